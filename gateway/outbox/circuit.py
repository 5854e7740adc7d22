"""A circuit breaker a partner: one that is away is left alone, and asked again every few seconds.

Two things open a circuit: failures in a row that say "not there", and silence, which is requests at the partner while nothing came back
for three seconds, or for twice as long as its slowest answers lately took. What a delivery waits for on our side, such as a database
that is away, is no silence of the partner's. Any answer closes it. While it is open one message at
a time is tried, with that same patience as its time limit and at no cost of an attempt; each fifth try has all the time its route
allows, so that a partner that has become slow is found again. What hangs at a partner whose circuit is open holds nobody's place: for
every place another thread stands by.
"""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.lifecycle import Failed, Outcome
from gateway.model import Party, PartyCode
from gateway.ports import Clock

from .pauses import paused_until
from .rate import every

OPEN_AFTER = 5  # failures in a row: more than one message's bad luck
PROBE_EVERY = timedelta(seconds=2)
PATIENCE = timedelta(seconds=3)  # so that a partner is taken up again within 5 seconds of its recovery
LONG_PROBE = 5  # each fifth has all the time there is
FAR = 2 * PROBE_EVERY  # no turn is so far ahead, unless the clock was set back
LONGEST = timedelta(minutes=1)  # no request takes longer, unless the clock was set forward
FADING = 0.9  # of what is remembered of slow answers, by each answer that is quicker
LOOK_AGAIN = timedelta(seconds=1)  # after a probe that another process was faster with, or that there was no message for
# Failures that say the partner is not there. Any other may be one message's own, or ours.
AWAY = frozenset({"dns", "refused", "timeout", "tls", "reset", "not-http", "other", "http-502", "http-503", "http-504"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """How an attempt went, whether the partner was `heard`, as any answer shows that somebody is there, and how long its request `took`."""

    outcome: Outcome
    heard: bool
    took: timedelta = timedelta()

    @property
    def away(self) -> bool:
        """Say whether the partner is not there."""
        return isinstance(self.outcome, Failed) and self.outcome.code in AWAY

    @property
    def silent(self) -> bool:
        """Say whether nothing was learnt about the partner: the attempt ended before anything came of it."""
        return not self.heard and not self.away


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One attempt that was let through; `within` is its time limit where that is not the route's."""

    party: PartyCode
    probe: bool = False
    within: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What processes know together of one destination."""

    party: PartyCode
    open_since: datetime | None = None
    probe_at: datetime | None = None  # set while the circuit is open
    paused_until: datetime | None = None
    paused_by: str = ""
    reason: str = ""


# Tells other processes which circuits opened (True) and closed here, and gives what all know; None where there are no others.
Exchange = Callable[[Mapping[PartyCode, bool]], Iterable[Standing] | None]


@dataclass(slots=True)
class _Line:
    """What is known of one partner; guarded by the lock of Circuits."""

    under_way: int = 0
    asked: int = 0  # of those under way, the ones whose request is at the partner
    served: int = 0  # the turn at which it was last given a place
    failures: int = 0
    heard_at: datetime | None = None  # when something last came back, or the first of those asked was asked
    pace: timedelta = timedelta()  # what its slowest answers lately took
    probe_at: datetime | None = None  # set while the circuit is open
    probes: int = 0
    probing: bool = False
    paused_until: datetime | None = None  # by staff
    more_at: datetime | None = None  # when its rate allows another
    untold: bool = False  # other processes do not know yet that it opened or closed

    def patience(self) -> timedelta:
        return max(PATIENCE, 2 * self.pace)

    def leave(self, now: datetime) -> None:
        """Open the circuit."""
        if self.probe_at is None:
            self.probe_at, self.untold = now + PROBE_EVERY, True

    def take_up(self) -> bool:
        """Close the circuit; says whether it was open."""
        was_open = self.probe_at is not None
        self.failures, self.probes, self.probe_at, self.untold = 0, 0, None, self.untold or was_open
        return was_open

    def silent(self, now: datetime) -> bool:
        return bool(self.asked) and self.heard_at is not None and now - self.heard_at > self.patience()

    def may_probe(self, now: datetime) -> bool:
        return self.probe_at is not None and not self.probing and not now < self.probe_at < now + FAR


class Circuits:
    """Who may be sent to now, and how much; shared by the threads of one process, and through `exchange` by processes."""

    def __init__(self) -> None:
        self._lines: dict[PartyCode, _Line] = {}
        self._turns = 0
        self._lock = threading.Lock()

    def room(self, parties: Collection[Party], *, places: int, now: datetime) -> tuple[dict[PartyCode, int], frozenset[PartyCode]]:
        """Share free places out among partners, fairly; gives how many of each, and whom to probe instead.

        There are twice as many threads as places: what hangs and what probes may have as many as there are places.
        """
        with self._lock:
            going = [p for p in parties if paused_until(p, self._line(p.code).paused_until, now) is None]
            for line in self._lines.values():
                if line.silent(now):
                    line.leave(now)
            hanging = sum(line.under_way for line in self._lines.values() if line.probe_at)
            held = sum(line.under_way for line in self._lines.values() if not line.probe_at)
            probes = [code for code in self._by_turn(p.code for p in going) if self._lines[code].may_probe(now)][: max(places - hanging, 0)]
            free = min(places - held, 2 * places - held - hanging - len(probes))
            wanted = {p.code: p.limits.concurrency - line.under_way for p in going if not (line := self._lines[p.code]).probe_at}
            return self._share(wanted, free), frozenset(probes)

    def begun(self, party: Party, *, probe: bool, now: datetime) -> Turn:
        """Count a delivery that begins."""
        with self._lock:
            line = self._line(party.code)
            self._turns += 1
            line.served = self._turns
            line.under_way += 1
            line.more_at = now + every(party.limits.per_minute) if party.limits.per_minute else None
            if not probe:
                return Turn(party=party.code)
            line.probes += 1
            line.probe_at = line.probe_at and now + PROBE_EVERY
            line.probing = line.probes % LONG_PROBE != 0
            return Turn(party=party.code, probe=True, within=line.patience() if line.probing else None)

    @contextmanager
    def asking(self, turn: Turn, clock: Clock) -> Iterator[None]:
        """Count a request while it is at the partner: only then is its silence heard."""
        with self._lock:
            line = self._line(turn.party)
            line.heard_at = line.heard_at if line.asked else clock()
            line.asked += 1
        answered = False
        try:
            yield
            answered = True
        finally:
            with self._lock:
                line.asked -= 1
                line.heard_at = clock() if answered else line.heard_at

    def skipped(self, parties: Iterable[PartyCode], *, now: datetime) -> None:
        """Look later whether partners can be probed: another process was faster, or nothing waits for them."""
        with self._lock:
            for line in map(self._line, parties):
                line.probe_at = line.probe_at and now + LOOK_AGAIN

    def ended(self, turn: Turn, carried: Carried | None, *, now: datetime) -> bool:
        """Count a delivery that ended, None where its end could not be written; says whether the partner just came back."""
        with self._lock:
            line = self._line(turn.party)
            line.under_way -= 1
            line.probing = line.probing and turn.within is None
            if carried is None or carried.silent:
                return False
            if carried.away:
                line.failures += 1
                if line.failures >= OPEN_AFTER:
                    line.leave(now)
                return False
            line.pace = min(max(carried.took, FADING * line.pace), LONGEST)
            return line.take_up() and not isinstance(carried.outcome, Failed)

    def exchange(self, tell: Exchange) -> Mapping[PartyCode, bool]:
        """Tell other processes what changed here, and learn from them; gives what was told. Raises what `tell` raises."""
        with self._lock:
            changed = {code: line.probe_at is not None for code, line in self._lines.items() if line.untold}
            self._told(changed, untold=False)
        try:
            standings = tell(changed)
        except BaseException:
            with self._lock:
                self._told(changed, untold=True)
            raise
        if standings is not None:
            with self._lock:
                self._learn({standing.party: standing for standing in standings})
        return changed

    def next_turn(self, now: datetime) -> datetime | None:
        """Say when the next partner can be probed, or may be sent more by its rate."""
        with self._lock:
            turns = (at for line in self._lines.values() for at in (None if line.probing else line.probe_at, line.more_at))
            return min((at for at in turns if at is not None and at > now), default=None)

    def open(self) -> Mapping[PartyCode, datetime]:
        """Give the partners that are left alone, and when each is asked again."""
        with self._lock:
            return {code: line.probe_at for code, line in self._lines.items() if line.probe_at is not None}

    def _line(self, party: PartyCode) -> _Line:
        return self._lines.setdefault(party, _Line())

    def _told(self, parties: Iterable[PartyCode], *, untold: bool) -> None:
        for code in parties:
            self._lines[code].untold = untold

    def _learn(self, known: Mapping[PartyCode, Standing]) -> None:
        """Take over what all know, save of a circuit that opened or closed here meanwhile."""
        for code in {*known, *self._lines}:
            line, told = self._line(code), known.get(code, Standing(party=code))
            line.paused_until = told.paused_until
            if line.untold:
                continue
            if line.probe_at and not told.probe_at:
                line.take_up()
                line.untold = False  # it is they who told
            line.probe_at = told.probe_at

    def _by_turn(self, codes: Iterable[PartyCode]) -> list[PartyCode]:
        return sorted(codes, key=lambda code: self._lines[code].served)

    def _share(self, wanted: Mapping[PartyCode, int], free: int) -> dict[PartyCode, int]:
        """Deal free places one at a time, each to the partner that holds fewest, of equals to the one served longest ago.

        A second place is dealt only while there is one left for each partner that holds none, up to half of all: partners that
        hang together cannot take every place before their silence shows.
        """
        holding = {code: line.under_way for code, line in self._lines.items() if not line.probe_at}
        half = (sum(holding.values()) + free) // 2
        given: Counter[PartyCode] = Counter()
        order = self._by_turn(wanted)
        for left in range(free, 0, -1):
            short = [code for code in order if given[code] < wanted[code]]
            code = min(short, key=holding.__getitem__, default=None)
            if code is None or (holding[code] and left <= min(half, list(holding.values()).count(0))):
                break
            holding[code] += 1
            given[code] += 1
        return dict(given)
