"""The heartbeat: keeps what this process holds its own, and takes over what a dead one held.

A process that lives lengthens the leases of its claims every few seconds, so a lease can be short. Whoever was cut off from the database
gives the others as much time to come back as itself before it takes anything for lost.
"""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta

from gateway.errors import GatewayError
from gateway.ports import Claim, Outbox, Watch

from .circuit import Carried
from .outbox import LEASE
from .workers import Carry

BEAT_SECONDS = LEASE.total_seconds() / 5
STEADY = 3  # beats in a row that reached the database


class Heartbeat(threading.Thread):
    """Beats until stopped; `carry` wraps what carries claims out, and so knows which of them are in this process's hands."""

    def __init__(
        self,
        outbox: Outbox,
        *,
        watch: Watch,
        every: float = BEAT_SECONDS,
    ) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._outbox = outbox
        self._watch = watch
        self._every = every
        self._held: set[str] = set()  # tokens; a set's own operations are atomic
        self._steady = 0
        self._stopping = threading.Event()

    def carrying(self, carry: Carry) -> Carry:
        """Have the leases of what is carried out lengthened until it is done."""

        def carried(claim: Claim, *, probe: bool, within: timedelta | None, asking: AbstractContextManager[None]) -> Carried:
            with self._holding(claim):
                return carry(claim, probe=probe, within=within, asking=asking)

        return carried

    def run(self) -> None:
        """Beat until stopped."""
        while not self._stopping.wait(self._every):
            self.beat()

    def beat(self) -> None:
        """Lengthen what is held; return what others lost, once the database was there for a while."""
        try:
            self._outbox.lengthen(frozenset(self._held))
            self._steady += 1
            if self._steady >= STEADY:
                self._outbox.rescue()
        except GatewayError as error:  # the database is away; the next beat tries again
            self._steady = 0
            self._watch("delivery.paused", {"code": error.code})
        except Exception as error:  # noqa: BLE001  # a defect must not end the thread that keeps claims alive
            self._watch("delivery.defect", {"defect": type(error).__name__})

    def stop(self) -> None:
        """Beat no more; called when nothing is under way."""
        self._stopping.set()
        if self.is_alive():
            self.join()

    @contextmanager
    def _holding(self, claim: Claim) -> Iterator[None]:
        self._held.add(claim.token)
        try:
            yield
        finally:
            self._held.discard(claim.token)
