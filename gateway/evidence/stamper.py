"""The thread that has heads stamped, apart from sealing: an authority that is away or slow holds up nothing but itself."""

import threading
from datetime import timedelta

from gateway.errors import GatewayError
from gateway.ports import Watch

from .stamping import Stamps
from .timestamps import Authorities

LOOK_SECONDS = 5.0
FAREWELL_SECONDS = 1.0  # a question under way is given up when the process ends: it is asked again by whoever runs next


class Stamping:
    """Looks every few seconds whether a stamp is due; implements hub.Background."""

    def __init__(self, stamps: Stamps, authorities: Authorities, *, every: timedelta, watch: Watch, look: float = LOOK_SECONDS) -> None:
        self._stamps = stamps
        self._authorities = authorities
        self._every = every
        self._watch = watch
        self._look = look
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="stamping", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(FAREWELL_SECONDS)

    def stamp(self) -> None:
        """Have the newest head stamped where that is due; where no authority does, the next look asks again."""
        try:
            if self._stamps.renew(self._authorities, every=self._every):
                self._watch("ledger.stamped", {})
        except GatewayError as error:
            self._watch("ledger.not-stamped", {"code": error.code, "cause": " ".join(problem.text for problem in error.problems)})
        except Exception as error:  # noqa: BLE001  # a defect must not end the thread: the gap would never close
            self._watch("ledger.defect", {"defect": type(error).__name__})

    def _work(self) -> None:
        while not self._stopping.wait(self._look):
            self.stamp()
