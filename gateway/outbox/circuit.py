"""A circuit breaker a partner: one that does not answer is left alone, and asked again every few seconds."""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.lifecycle import Failed, Outcome
from gateway.model import Party, PartyCode

OPEN_AFTER = 5  # failures in a row: more than one message's bad luck
PROBE_EVERY = timedelta(seconds=2)  # so that a partner is taken up again within 5 seconds of its recovery
# Failures that say the partner is not there. Any other may be one message's own, or ours.
AWAY = frozenset({"dns", "refused", "timeout", "tls", "reset", "not-http", "other", "http-502", "http-503", "http-504"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """How an attempt went, and whether the partner was `heard`: any answer to it shows that somebody is there."""

    outcome: Outcome
    heard: bool

    @property
    def away(self) -> bool:
        """Say whether the partner is not there."""
        return isinstance(self.outcome, Failed) and self.outcome.code in AWAY

    @property
    def silent(self) -> bool:
        """Say whether nothing was learnt about the partner: the attempt ended before anything came of it."""
        return not self.heard and not self.away


@dataclass(slots=True)
class _Line:
    """What is known of one partner; guarded by the lock of Circuits."""

    under_way: int = 0
    served: int = 0  # the turn at which it was last given a place
    failures: int = 0
    probe_at: datetime | None = None  # set while the circuit is open
    probing: bool = False


class Circuits:
    """Who may be sent to now, and how much; shared by the threads of one process."""

    def __init__(self) -> None:
        self._lines: dict[PartyCode, _Line] = {}
        self._turns = 0
        self._lock = threading.Lock()

    def room(self, parties: Iterable[Party], *, free: int, now: datetime) -> tuple[dict[PartyCode, int], frozenset[PartyCode]]:
        """Share free threads out among partners, fairly; gives how many of each, and whom to probe instead."""
        with self._lock:
            lines = {p.code: self._line(p.code) for p in parties}
            wanted = {p.code: p.limits.concurrency - lines[p.code].under_way for p in parties if lines[p.code].probe_at is None}
            probes = [code for code in self._by_turn(lines) if _may_probe(lines[code], now)][:free]
            return self._share(wanted, free - len(probes)), frozenset(probes)

    def begun(self, party: PartyCode, *, probe: bool) -> None:
        """Count a delivery that begins."""
        with self._lock:
            line = self._line(party)
            self._turns += 1
            line.served = self._turns
            line.under_way += 1
            line.probing = line.probing or probe

    def ended(self, party: PartyCode, carried: Carried | None, *, probe: bool, now: datetime) -> bool:
        """Count a delivery that ended, None where its end could not be written; says whether the partner just came back."""
        with self._lock:
            line = self._line(party)
            line.under_way -= 1
            was_open = line.probe_at is not None
            if probe:
                line.probing = False
                line.probe_at = now + PROBE_EVERY if was_open else None
            if carried is None or carried.silent:
                return False
            line.failures = line.failures + 1 if carried.away else 0
            line.probe_at = now + PROBE_EVERY if line.failures >= OPEN_AFTER else None
            return was_open and not isinstance(carried.outcome, Failed)

    def open(self) -> Mapping[PartyCode, datetime]:
        """Give the partners that are left alone, and when each is asked again."""
        with self._lock:
            return {code: line.probe_at for code, line in self._lines.items() if line.probe_at is not None}

    def _line(self, party: PartyCode) -> _Line:
        return self._lines.setdefault(party, _Line())

    def _by_turn(self, codes: Iterable[PartyCode]) -> list[PartyCode]:
        return sorted(codes, key=lambda code: self._lines[code].served)

    def _share(self, wanted: Mapping[PartyCode, int], free: int) -> dict[PartyCode, int]:
        """Deal free places one at a time, each to the partner that holds fewest, of equals to the one served longest ago.

        A second place is dealt only while there is one left for each partner that holds none, up to half of all: partners that
        hang together cannot take every thread.
        """
        holding = {code: line.under_way for code, line in self._lines.items()}
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


def _may_probe(line: _Line, now: datetime) -> bool:
    return line.probe_at is not None and line.probe_at <= now and not line.probing
