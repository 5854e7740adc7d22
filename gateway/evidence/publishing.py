"""Has heads leave the house by themselves: to a file, by mail, to a witness; what is away holds up nothing but itself."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from gateway.errors import GatewayError, Problem, explain
from gateway.ports import Clock, Watch

from .copies import Copy, open_journal, write_line
from .heads import SignedHead
from .stamping import Gap

LOOK_SECONDS = 5.0
AGAIN = timedelta(seconds=30)  # between two tries while a place is away, at least
TRIES = 24  # in the time of one interval, at most: whoever reads mail once a day is not sent one every minute

Carry = Callable[[SignedHead], Copy]  # brings a head to a place, and gives what is kept of it; raises Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where heads go: its name, the file that tells what went there, how often one goes, and how."""

    name: str
    kept: Path
    every: timedelta
    carry: Carry


class Publication:
    """Brings the newest head to one place where that is due; of all processes with the same file one does."""

    def __init__(self, place: Place, newest: Callable[[], SignedHead | None], *, clock: Clock, watch: Watch) -> None:
        """`newest` gives the last signed head. Events: `ledger.published`, `ledger.unpublished`."""
        self.place = place
        self._newest = newest
        self._clock = clock
        self._watch = watch
        self._gap: Gap | None = None
        self._tried: datetime | None = None

    @property
    def gap(self) -> Gap | None:
        """Since when no head reaches the place, and why; None where they do."""
        return self._gap

    def look(self) -> None:
        """Publish the newest head where it is due; a place that is away is told of, and tried again. Raises where the database is away."""
        now = self._clock()
        if self._gap and self._tried and _within(max(AGAIN, self.place.every / TRIES), self._tried, now):
            return
        head = self._newest()
        if head is None:
            return
        self._tried = now
        try:
            published = self._publish(head, now)
        except GatewayError as error:
            cause = error.problems[0].text
            self._gap = Gap(since=self._gap.since if self._gap else now, cause=cause)
            self._watch("ledger.unpublished", {"place": self.place.name, "code": error.code, "cause": cause, "size": head.head.size})
            return
        self._gap = None
        if published:
            self._watch("ledger.published", {"place": self.place.name, "size": head.head.size})

    def notices(self) -> list[Problem]:
        """Say that no head reaches the place, and since when; empty where they do."""
        gap = self._gap
        if gap is None:
            return []
        values = {"place": self.place.name, "since": gap.since.isoformat(" ", "seconds"), "cause": gap.cause}
        return [Problem(text="ledger.unpublished", values=values)]

    def _publish(self, head: SignedHead, now: datetime) -> bool:
        with open_journal(self.place.kept, wait=False) as journal:
            if journal is None:
                return False  # another process is at it
            last = journal.last()
            if last and (head.head.size <= last.signed.head.size or _within(self.place.every, last.signed.head.at, now)):
                return False
            journal.append(self.place.carry(head))
            return True


def _within(pause: timedelta, since: datetime, now: datetime) -> bool:
    """Say whether a pause lasts; one that a clock began which was ahead does not."""
    return timedelta() <= now - since < pause


def keep(signed: SignedHead) -> Copy:
    """Carry a head to a file: what is kept of it is the place itself."""
    return Copy(signed=signed)


def by_mail(send: Callable[[str, str], None]) -> Carry:
    """Carry heads by mail: `send` is given a subject and a text, which holds the line to keep."""

    def carry(signed: SignedHead) -> Copy:
        copy = Copy(signed=signed)
        subject, told = Problem(text="ledger.mail-subject", values={"size": f"{signed.head.size:,}"}), Problem(text="ledger.mail-text")
        text = f"{explain(told, 'vi')}\n\n{explain(told, 'en')}\n\n{write_line(copy).decode('ascii')}\n"
        send(explain(subject, "vi"), text)
        return copy

    return carry
