"""The thread that notices when the gateway's own key or certificate was put in force anew, so that renewal needs no restart."""

import threading
from collections.abc import Callable, Iterable

from gateway.errors import GatewayError
from gateway.ports import Watch

from .keys import SigningKey
from .trust import Trust

LOOK_SECONDS = 1.0


class KeyKeeper:
    """Hands a new key to whoever signs; a key that cannot be used never replaces the one in force."""

    def __init__(self, trust: Trust, takers: Iterable[Callable[[SigningKey], None]], *, watch: Watch, every: float = LOOK_SECONDS) -> None:
        self._trust = trust
        self._takers = tuple(takers)
        self._watch = watch
        self._every = every
        self._stamp = trust.own_stamp()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="own-key", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """Take up what changed; half of a change is looked at again."""
        stamp = self._trust.own_stamp()
        if stamp == self._stamp:
            return
        try:
            key = self._trust.own_key()
        except GatewayError as error:
            self._watch("key.unusable", {"code": error.problems[0].text})
            return
        self._stamp = stamp
        for take in self._takers:
            take(key)
        self._watch("key.renewed", {"certificate": key.certificates[0].sha256})

    def _work(self) -> None:
        while not self._stopping.wait(self._every):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001  # a defect must not keep every later change from being seen
                self._watch("key.defect", {"defect": type(error).__name__})
