"""The threads that keep deliveries going: one that claims what fits, and a few that carry."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Protocol

from gateway.errors import GatewayError
from gateway.model import Party, PartyCode
from gateway.ports import Claim, Clock, Outbox, Watch

from .circuit import Carried, Circuits

IDLE_SECONDS = 0.5  # how soon what another process wrote is noticed
RESCUE_EVERY = timedelta(seconds=10)
AWAY_SECONDS = 1.0  # the pause while the database is away
PACE_SECONDS = 0.02  # between two looks for work: under load one look then finds several deliveries, each of which rang


class Carry(Protocol):
    """Carries one claim out; gateway/delivery.py."""

    def __call__(self, claim: Claim, *, probe: bool) -> Carried:
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
                self._stopping.wait(PACE_SECONDS)
            except GatewayError as error:  # the database is away; what is claimed keeps its lease
                self._watch("delivery.paused", {"code": error.code})
                self._stopping.wait(AWAY_SECONDS)
            except Exception as error:  # noqa: BLE001  # a defect must not end the thread that all deliveries depend on
                self._watch("delivery.defect", {"defect": type(error).__name__})
                self._stopping.wait(AWAY_SECONDS)

    def _dispatch(self) -> None:
        """Claim until no thread is free, or no partner that has room has anything due; a round a partner is enough to find that out."""
        now = self._clock()
        if now - self._rescued_at >= RESCUE_EVERY:
            self._rescued_at = now
            self._outbox.rescue(held_until=now)
        waiting = {party.code: party for party in self._parties()}
        for _ in range(len(waiting)):
            slots, probes = self._circuits.room(waiting.values(), free=self._free, now=now)
            if self._stopping.is_set() or not (slots or probes):
                return
            claims = self._outbox.claim(slots, probes=probes)
            for claim in claims:
                self._begin(claim, probe=claim.party in probes)
            for code in _served(slots, probes, Counter(claim.party for claim in claims)):
                del waiting[code]
        if waiting:  # threads came free meanwhile, or a partner has more
            self._signal.set()

    def _begin(self, claim: Claim, *, probe: bool) -> None:
        self._circuits.begun(claim.party, probe=probe)
        self._count(-1)
        self._pool.submit(self._carry, claim, probe=probe)

    def _carry(self, claim: Claim, *, probe: bool) -> None:
        carried: Carried | None = None
        try:
            carried = self._carry_out(claim, probe=probe)
        except GatewayError as error:  # stale, or its end could not be written: the lease ends and it is made again
            self._watch("delivery.unsettled", {"delivery": claim.delivery, "code": error.code})
        except Exception as error:  # noqa: BLE001  # a defect around the attempt: the same, and seen in the metrics
            self._watch("delivery.defect", {"delivery": claim.delivery, "defect": type(error).__name__})
        finally:
            came_back = self._circuits.ended(claim.party, carried, probe=probe, now=self._clock())
            self._count(+1)
            if came_back:
                self._hurry(claim.party)
            self._signal.set()

    def _hurry(self, party: PartyCode) -> None:
        """Make what waits for a partner due; where that cannot be written it becomes due by itself."""
        try:
            self._outbox.hurry(party)
        except GatewayError as error:
            self._watch("delivery.paused", {"code": error.code})

    def _count(self, change: int) -> None:
        with self._lock:
            self._free += change


def _served(slots: Mapping[PartyCode, int], probes: Iterable[PartyCode], taken: Mapping[PartyCode, int]) -> list[PartyCode]:
    """Name the partners that have nothing more due now: probed, or with fewer due than there was room for."""
    return [*probes, *(code for code, room in slots.items() if taken.get(code, 0) < room)]
