"""The thread that seals: every second, or at once where a full batch waits, leaves get their places and the head its signature."""

import threading

from gateway.errors import GatewayError
from gateway.ports import Watch
from gateway.security.keys import SigningKey

from .ledger import BATCH, Ledger

EVERY_SECONDS = 1.0


class Sealing(threading.Thread):
    """Seals until stopped; any number of processes may, of which one at a time does."""

    def __init__(self, ledger: Ledger, key: SigningKey, *, watch: Watch, every: float = EVERY_SECONDS) -> None:
        super().__init__(name="sealing", daemon=True)
        self._ledger = ledger
        self._key = key
        self._watch = watch
        self._every = every
        self._stopping = threading.Event()

    def renew(self, key: SigningKey) -> None:
        """Sign with another key from now on."""
        self._key = key

    @property
    def key(self) -> SigningKey:
        """The key that heads are signed with now."""
        return self._key

    def run(self) -> None:
        """Seal and sign; where the database or the key is away, the next round does it."""
        while not self._stopping.wait(self._every):
            self.seal()

    def stop(self) -> None:
        """Seal what waits, and end."""
        self._stopping.set()
        if self.is_alive():
            self.join()
            self.seal()

    def seal(self) -> None:
        """Seal all that waits and sign the heads."""
        try:
            while self._ledger.seal() == BATCH and not self._stopping.is_set():
                pass
            self._ledger.sign(self._key)
        except GatewayError as error:
            self._watch("ledger.paused", {"code": error.code})
        except Exception as error:  # noqa: BLE001  # a defect must not end the thread that all evidence depends on
            self._watch("ledger.defect", {"defect": type(error).__name__})
