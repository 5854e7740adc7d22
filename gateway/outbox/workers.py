"""The threads that keep deliveries going: whichever runs out of work claims what fits, for itself and for the others that are free."""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Protocol

from gateway.errors import GatewayError
from gateway.model import Party, PartyCode
from gateway.ports import Claim, Clock, Outbox, Watch

from .circuit import Carried, Circuits

IDLE_SECONDS = 0.5  # how soon what another process wrote is noticed
RESCUE_EVERY = timedelta(seconds=10)
AWAY_SECONDS = 1.0  # the pause while the database is away


class Bell:
    """Wakes one waiting thread a ring; a ring that nobody waits for is heard by the next who does."""

    def __init__(self) -> None:
        self._condition = threading.Condition(threading.Lock())
        self._rung = False

    def ring(self) -> None:
        """Wake one."""
        with self._condition:
            self._rung = True
            self._condition.notify()

    def wait(self, seconds: float) -> None:
        """Wait for a ring, at most so long."""
        with self._condition:
            if not self._rung:
                self._condition.wait(seconds)
            self._rung = False


class Carry(Protocol):
    """Carries one claim out; gateway/delivery.py."""

    def __call__(self, claim: Claim, *, probe: bool) -> Carried:
        """Carry a claim to its settling. Raises StaleClaim or Unavailable."""


class Workers:
    """Keeps deliveries going until stopped; `bell` is rung by whoever makes something due."""

    def __init__(
        self,
        *,
        carry: Carry,
        outbox: Outbox,
        circuits: Circuits,
        parties: Callable[[], Iterable[Party]],
        clock: Clock,
        watch: Watch,
        bell: Bell,
        threads: int,
    ) -> None:
        self._carry_out = carry
        self._outbox = outbox
        self._circuits = circuits
        self._parties = parties
        self._clock = clock
        self._watch = watch
        self._bell = bell
        self._stopping = threading.Event()
        self._looking = threading.Lock()  # held by the one thread that claims; guards the three below
        self._claimed: deque[tuple[Claim, bool]] = deque()  # with whether it is a probe
        self._busy = 0
        self._rescued_at = clock()
        self._threads = [threading.Thread(target=self._work, name=f"delivery-{n}", daemon=True) for n in range(threads)]

    def start(self) -> None:
        """Begin to claim and carry."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Claim no more, and wait for what is under way."""
        self._stopping.set()
        for thread in self._threads:
            self._bell.ring()
            if thread.is_alive():
                thread.join()

    def _work(self) -> None:
        while True:
            claim = self._next()
            if claim:
                self._carry(*claim)
            elif self._stopping.is_set():
                self._bell.ring()  # so that the next one hears of it too
                return
            else:
                self._bell.wait(IDLE_SECONDS)

    def _next(self) -> tuple[Claim, bool] | None:
        """Give what was claimed; where nothing is left, look for more. None where there is nothing to do."""
        with self._looking:
            if not self._claimed and not self._stopping.is_set():
                self._look()
            if not self._claimed:
                return None
            self._busy += 1
            if len(self._claimed) > 1:
                self._bell.ring()  # there is something for another thread
            return self._claimed.popleft()

    def _look(self) -> None:
        try:
            self._claim()
        except GatewayError as error:  # the database is away; what is claimed keeps its lease
            self._watch("delivery.paused", {"code": error.code})
            self._stopping.wait(AWAY_SECONDS)
        except Exception as error:  # noqa: BLE001  # a defect must not end the thread that all deliveries depend on
            self._watch("delivery.defect", {"defect": type(error).__name__})
            self._stopping.wait(AWAY_SECONDS)

    def _claim(self) -> None:
        """Claim until no thread is free, or no partner that has room has anything due; a round a partner is enough to find that out."""
        now = self._clock()
        if now - self._rescued_at >= RESCUE_EVERY:
            self._rescued_at = now
            self._outbox.rescue(held_until=now)
        waiting = {party.code: party for party in self._parties()}
        for _ in range(len(waiting)):
            free = len(self._threads) - self._busy - len(self._claimed)
            slots, probes = self._circuits.room(waiting.values(), free=free, now=now)
            if self._stopping.is_set() or not (slots or probes):
                return
            claims = self._outbox.claim(slots, probes=probes)
            for claim in claims:
                probe = claim.party in probes
                self._circuits.begun(claim.party, probe=probe)
                self._claimed.append((claim, probe))
            for code in _served(slots, probes, Counter(claim.party for claim in claims)):
                del waiting[code]

    def _carry(self, claim: Claim, probe: bool) -> None:  # noqa: FBT001  # as it was claimed
        carried: Carried | None = None
        try:
            carried = self._carry_out(claim, probe=probe)
        except GatewayError as error:  # stale, or its end could not be written: the lease ends and it is made again
            self._watch("delivery.unsettled", {"delivery": claim.delivery, "code": error.code})
        except Exception as error:  # noqa: BLE001  # a defect around the attempt: the same, and seen in the metrics
            self._watch("delivery.defect", {"delivery": claim.delivery, "defect": type(error).__name__})
        finally:
            came_back = self._circuits.ended(claim.party, carried, probe=probe, now=self._clock())
            if came_back:
                self._hurry(claim.party)
            with self._looking:
                self._busy -= 1

    def _hurry(self, party: PartyCode) -> None:
        """Make what waits for a partner due; where that cannot be written it becomes due by itself."""
        try:
            self._outbox.hurry(party)
        except GatewayError as error:
            self._watch("delivery.paused", {"code": error.code})


def _served(slots: Mapping[PartyCode, int], probes: Iterable[PartyCode], taken: Mapping[PartyCode, int]) -> list[PartyCode]:
    """Name the partners that have nothing more due now: probed, or with fewer due than there was room for."""
    return [*probes, *(code for code, room in slots.items() if taken.get(code, 0) < room)]
