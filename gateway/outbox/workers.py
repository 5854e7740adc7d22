"""The threads that keep deliveries going: whichever runs out of work claims what fits, for itself and for the others that are free.

They sleep until somebody rings: whoever makes something due, and once a second, or when the next delivery becomes due, a thread that
keeps watch. It also learns how partners stand elsewhere, so that carrying costs none of it.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Protocol, TypeVar

from gateway.errors import GatewayError
from gateway.model import Party, PartyCode
from gateway.ports import Claim, Clock, Outbox, Watch

from .circuit import Carried, Circuits, Exchange, Turn

T = TypeVar("T")

LOOK_SECONDS = 1.0  # how soon what another process wrote is noticed where no one rings
BREATH_SECONDS = 0.01  # between two rings of the watch, however much becomes due
SHARE_EVERY = timedelta(seconds=0.9)  # a little less than a look, so that none is left out


class Bell:
    """Wakes one waiting thread a ring; a ring that nobody waits for is heard by the next who does."""

    def __init__(self) -> None:
        self._condition = threading.Condition(threading.Lock())
        self._rung = False
        self._about: set[PartyCode] | None = None

    def ring(self, about: Iterable[PartyCode] | None = None) -> None:
        """Wake one, for these parties, or for whatever there may be."""
        with self._condition:
            self._tell(about)
            self._rung = True
            self._condition.notify()

    def tell(self, about: Iterable[PartyCode]) -> None:
        """Wake nobody: whoever looks next shall look after these parties too."""
        with self._condition:
            self._tell(about)

    def news(self) -> set[PartyCode] | None:
        """Say for whom it was rung since this was last asked; None for whatever there may be."""
        with self._condition:
            about, self._about = self._about, set()
            return about

    def _tell(self, about: Iterable[PartyCode] | None) -> None:
        if about is None:
            self._about = None
        elif self._about is not None:
            self._about.update(about)

    def wait(self, seconds: float | None = None) -> None:
        """Wait for a ring, at most so long."""
        with self._condition:
            if not self._rung:
                self._condition.wait(seconds)
            self._rung = False


class Carry(Protocol):
    """Carries one claim out; gateway/delivery.py."""

    def __call__(self, claim: Claim, *, probe: bool, within: timedelta | None, asking: AbstractContextManager[None]) -> Carried:
        """Carry a claim to its settling, its request `within` a time where that is shorter, and inside of `asking`.

        Raises StaleClaim or Unavailable.
        """


def alone(_changed: Mapping[PartyCode, bool]) -> None:
    """Share nothing: there is no other process."""


class Workers:
    """Keeps deliveries going until stopped; `bell` is rung by whoever makes something due.

    `threads` deliveries are under way at once; as many more threads stand by for what hangs at partners and for what asks after them.
    """

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
        exchange: Exchange = alone,
    ) -> None:
        self._carry_out = carry
        self._outbox = outbox
        self._circuits = circuits
        self._parties = parties
        self._clock = clock
        self._watch = watch
        self._bell = bell
        self._places = threads
        self._exchange = exchange
        self._stopping = threading.Event()
        self._looking = threading.Lock()  # held by the one thread that claims; guards what is claimed
        self._claimed: deque[tuple[Claim, Turn]] = deque()
        self._quiet: set[PartyCode] = set()  # had nothing due, and nobody rang for them since; guarded likewise
        self._shared_at = clock()
        self._threads = [threading.Thread(target=self._work, name=f"delivery-{n}", daemon=True) for n in range(2 * threads)]
        self._keeper = threading.Thread(target=self._keep_watch, name="delivery-watch", daemon=True)

    def start(self) -> None:
        """Learn which partners are away, then begin to claim and carry."""
        self.learn()
        for thread in (*self._threads, self._keeper):
            thread.start()

    def learn(self) -> None:
        """Tell other processes how partners stand here, and learn how they stand elsewhere; where it fails, the next look does it."""
        self._guarded(self._share)

    def drain(self) -> None:
        """Claim no more; what is under way goes on."""
        self._stopping.set()

    def stop(self) -> None:
        """Claim no more, and wait for what is under way."""
        self.drain()
        for thread in (*self._threads, self._keeper):
            self._bell.ring()
            if thread.is_alive():
                thread.join()

    # --- carrying ----------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            found = self._next()
            if found:
                self._carry(*found)
            elif self._stopping.is_set():
                self._bell.ring(())  # so that the next one hears of it too
                return
            else:
                self._bell.wait()

    def _next(self) -> tuple[Claim, Turn] | None:
        """Give what was claimed; where nothing is left, look for more. None where there is nothing to do."""
        with self._looking:
            if not self._claimed and not self._stopping.is_set():
                self._guarded(self._claim)
            if len(self._claimed) > 1:
                self._bell.ring(())  # there is something for another thread
            return self._claimed.popleft() if self._claimed else None

    def _claim(self) -> None:
        """Claim until no place is free, or no partner that has room has anything due; a round a partner is enough to find that out."""
        now, news = self._clock(), self._bell.news()
        self._quiet = set() if news is None else self._quiet - news
        waiting = {party.code: party for party in self._parties() if party.code not in self._quiet}
        for _ in range(len(waiting)):
            slots, probes = self._circuits.room(waiting.values(), places=self._places, now=now)
            if self._stopping.is_set() or not (slots or probes):
                return
            rates = {code: limit for code in (*slots, *probes) if (limit := waiting[code].limits.per_minute)}
            claims = self._outbox.claim(slots, probes=probes, rates=rates)
            for claim in claims:
                self._claimed.append((claim, self._circuits.begun(waiting[claim.party], probe=claim.party in probes, now=now)))
            taken = Counter(claim.party for claim in claims)
            self._circuits.skipped([code for code in probes if not taken[code]], now=now)
            for code in _served(slots, probes, taken):
                del waiting[code]
                self._quiet.add(code)

    def _carry(self, claim: Claim, turn: Turn) -> None:
        carried: Carried | None = None
        try:
            asking = self._circuits.asking(turn, self._clock)
            carried = self._carry_out(claim, probe=turn.probe, within=turn.within, asking=asking)
        except GatewayError as error:  # stale, or its end could not be written: the lease ends and it is made again
            self._watch("delivery.unsettled", {"delivery": claim.delivery, "code": error.code})
        except Exception as error:  # noqa: BLE001  # a defect around the attempt: the same, and seen in the metrics
            self._watch("delivery.defect", {"delivery": claim.delivery, "defect": type(error).__name__})
        finally:
            came_back = self._circuits.ended(turn, carried, now=self._clock())
            if came_back:  # where it cannot be written, what waits becomes due by itself
                self._guarded(lambda: self._outbox.hurry(claim.party))
            self._bell.tell([claim.party])  # what waited for this one's end may be due

    # --- keeping watch -------------------------------------------------------------------------------------------------

    def _keep_watch(self) -> None:
        while not self._stopping.wait(self._rest()):
            now = self._clock()  # which may be set back
            if abs(now - self._shared_at) >= SHARE_EVERY:
                self._shared_at = now
                self.learn()
            self._bell.ring()

    def _rest(self) -> float:
        """Say how many seconds until there is something to do."""
        now = self._clock()
        due_in = self._guarded(lambda: self._outbox.due_in([party.code for party in self._parties()]))
        turn = self._circuits.next_turn(now)
        waits = [wait.total_seconds() for wait in (due_in, turn and turn - now) if wait]
        return max(min([LOOK_SECONDS, *waits]), BREATH_SECONDS)

    def _share(self) -> None:
        for party, is_open in self._circuits.exchange(self._exchange).items():
            self._watch("circuit.opened" if is_open else "circuit.closed", {"party": party})

    def _guarded(self, work: Callable[[], T]) -> T | None:
        """Do what can be done later as well; where the database is away or a defect shows, the threads go on."""
        try:
            return work()
        except GatewayError as error:
            self._watch("delivery.paused", {"code": error.code})
        except Exception as error:  # noqa: BLE001  # a defect must not end the threads that all deliveries depend on
            self._watch("delivery.defect", {"defect": type(error).__name__})
        return None


def _served(slots: Mapping[PartyCode, int], probes: Iterable[PartyCode], taken: Mapping[PartyCode, int]) -> list[PartyCode]:
    """Name the partners that have nothing more due now: probed, or with fewer due than there was room for."""
    return [*probes, *(code for code, room in slots.items() if taken.get(code, 0) < room)]
