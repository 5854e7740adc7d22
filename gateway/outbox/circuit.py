"""A circuit breaker a partner: one that does not answer is left alone, and asked again every few seconds."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.lifecycle import Failed, Outcome
from gateway.model import Party, PartyCode

OPEN_AFTER = 5  # failures in a row: more than one message's bad luck
PROBE_EVERY = timedelta(seconds=2)  # so that a partner is taken up again within 5 seconds of its recovery
# Failures that say the partner is not there. Any other may be one message's own, or ours.
AWAY = frozenset({"dns", "refused", "timeout", "tls", "reset", "not-http", "other", "http-502", "http-503", "http-504"})


@dataclass(slots=True)
class _Line:
    """What is known of one partner; guarded by the lock of Circuits."""

    under_way: int = 0
    failures: int = 0
    probe_at: datetime | None = None  # set while the circuit is open
    probing: bool = False


class Circuits:
    """Who may be sent to now, and how much; shared by the threads of one process."""

    def __init__(self) -> None:
        self._lines: dict[PartyCode, _Line] = {}
        self._lock = threading.Lock()

    def room(self, parties: Iterable[Party], *, free: int, now: datetime) -> tuple[dict[PartyCode, int], frozenset[PartyCode]]:
        """Share free threads out among partners, fairly; gives how many of each, and whom to probe instead."""
        with self._lock:
            wanted = {p.code: p.limits.concurrency - self._line(p.code).under_way for p in parties}
            closed = {c: n for c, n in wanted.items() if n > 0 and self._line(c).probe_at is None}
            probes = [c for c in wanted if self._may_probe(c, now)][:free]
            return _share(closed, free - len(probes)), frozenset(probes)

    def begun(self, party: PartyCode, *, probe: bool) -> None:
        """Count a delivery that begins."""
        with self._lock:
            line = self._line(party)
            line.under_way += 1
            line.probing = line.probing or probe

    def ended(self, party: PartyCode, outcome: Outcome | None, *, now: datetime) -> bool:
        """Count a delivery that ended; says whether the partner just came back."""
        with self._lock:
            line = self._line(party)
            line.under_way -= 1
            line.probing = False
            if outcome is None or (isinstance(outcome, Failed) and outcome.code not in AWAY):
                return False
            away = isinstance(outcome, Failed)
            came_back = line.probe_at is not None and not away
            line.failures = line.failures + 1 if away else 0
            line.probe_at = now + PROBE_EVERY if line.failures >= OPEN_AFTER else None
            return came_back

    def open(self) -> Mapping[PartyCode, datetime]:
        """Give the partners that are left alone, and when each is asked again."""
        with self._lock:
            return {code: line.probe_at for code, line in self._lines.items() if line.probe_at is not None}

    def _line(self, party: PartyCode) -> _Line:
        return self._lines.setdefault(party, _Line())

    def _may_probe(self, party: PartyCode, now: datetime) -> bool:
        line = self._line(party)
        return line.probe_at is not None and line.probe_at <= now and not line.probing


def _share(wanted: Mapping[PartyCode, int], free: int) -> dict[PartyCode, int]:
    """Deal free places one at a time, so that a greedy partner never takes another's."""
    given = dict.fromkeys(wanted, 0)
    while free > 0 and any(given[c] < wanted[c] for c in wanted):
        for code in wanted:
            if free > 0 and given[code] < wanted[code]:
                given[code] += 1
                free -= 1
    return {code: n for code, n in given.items() if n}
