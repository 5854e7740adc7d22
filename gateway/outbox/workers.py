"""The threads that keep deliveries going: one that claims what fits, and a few that carry."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Protocol

from gateway.errors import GatewayError
from gateway.lifecycle import Outcome
from gateway.model import Party
from gateway.ports import Claim, Clock, Outbox, Watch

from .circuit import Circuits

IDLE_SECONDS = 0.5  # how soon what another process wrote is noticed
RESCUE_EVERY = timedelta(seconds=10)
AWAY_SECONDS = 1.0  # the pause while the database is away


class Carry(Protocol):
    """Carries one claim out; gateway/delivery.py."""

    def __call__(self, claim: Claim, *, probe: bool) -> Outcome:
        """Carry a claim to its settling. Raises StaleClaim or Unavailable."""


class Workers:
    """Keeps deliveries going until stopped; `signal` is set by whoever makes something due."""

    def __init__(
        self,
        *,
        carry: Carry,
        outbox: Outbox,
        circuits: Circuits,
        parties: Callable[[], Iterable[Party]],
        clock: Clock,
        watch: Watch,
        signal: threading.Event,
        threads: int,
    ) -> None:
        self._carry_out = carry
        self._outbox = outbox
        self._circuits = circuits
        self._parties = parties
        self._clock = clock
        self._watch = watch
        self._threads = threads
        self._free = threads
        self._lock = threading.Lock()
        self._signal = signal
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="delivery")
        self._dispatcher = threading.Thread(target=self._dispatch_forever, name="dispatcher", daemon=True)
        self._rescued_at = clock()

    def start(self) -> None:
        """Begin to claim and carry."""
        self._dispatcher.start()

    def stop(self) -> None:
        """Claim no more, and wait for what is under way."""
        self._stopping.set()
        self._signal.set()
        if self._dispatcher.is_alive():
            self._dispatcher.join()
        self._pool.shutdown(wait=True)

    def _dispatch_forever(self) -> None:
        while not self._stopping.is_set():
            self._signal.wait(IDLE_SECONDS)
            self._signal.clear()
            try:
                self._dispatch()
            except GatewayError as error:  # the database is away; what is claimed keeps its lease
                self._watch("delivery.paused", {"code": error.code})
                self._stopping.wait(AWAY_SECONDS)

    def _dispatch(self) -> None:
        now = self._clock()
        if now - self._rescued_at >= RESCUE_EVERY:
            self._rescued_at = now
            self._outbox.rescue(held_until=now)
        slots, probes = self._circuits.room(self._parties(), free=self._free, now=now)
        if not slots and not probes:
            return
        for claim in self._outbox.claim(slots, probes=probes):
            probe = claim.party in probes
            self._circuits.begun(claim.party, probe=probe)
            self._count(-1)
            self._pool.submit(self._carry, claim, probe=probe)

    def _carry(self, claim: Claim, *, probe: bool) -> None:
        outcome: Outcome | None = None
        try:
            outcome = self._carry_out(claim, probe=probe)
            if self._circuits.ended(claim.party, outcome, now=self._clock()):
                self._outbox.hurry(claim.party)
        except GatewayError as error:  # stale, or its end could not be written: the lease ends and it is made again
            self._watch("delivery.unsettled", {"delivery": claim.delivery, "code": error.code})
            if outcome is None:
                self._circuits.ended(claim.party, None, now=self._clock())
        finally:
            self._count(+1)
            self._signal.set()

    def _count(self, change: int) -> None:
        with self._lock:
            self._free += change
