"""A database of messages that grow old: its clock is moved by hand, and retention, holds and archives work on it."""

import os
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from gateway.errors import Code, Problem
from gateway.lifecycle import Delivered, Outcome, next_step
from gateway.model import MessageId, PartyCode, Periods, Refusal, Reply, Request, RetryPolicy, Schedule, uuid7
from gateway.outbox.archive import Archive, read_archive
from gateway.outbox.holds import Holds
from gateway.outbox.outbox import SqlOutbox
from gateway.outbox.payloads import Payloads
from gateway.outbox.retention import Done, Retention
from gateway.ports import Claim, Database, Entry
from gateway.store.queries import Queries

from .desk import Time
from .entries import BNN, envelope_text, make_entry
from .staff import Staff, staff_at

DAY = timedelta(days=1)
CONTENT, RECORD, ARCHIVE = 10 * DAY, 100 * DAY, 5 * DAY
PERIODS = Periods(content=CONTENT, record=RECORD, archive=ARCHIVE)
SCHEDULE = Schedule(procedures={"P1": PERIODS}, otherwise=PERIODS)
_UNREADABLE = Problem(text="xml.doctype")


@dataclass
class Aging:
    """A database with all that works on it, and its clock."""

    database: Database
    payloads: Payloads
    folder: Path
    clock: Time
    count: int = 0
    outbox: SqlOutbox = field(init=False)
    queries: Queries = field(init=False)
    retention: Retention = field(init=False)
    holds: Holds = field(init=False)
    staff: Staff = field(init=False)

    def __post_init__(self) -> None:
        self.outbox = SqlOutbox(self.database, self.payloads, clock=self.clock, entropy=os.urandom)
        self.queries = Queries(self.database, self.payloads.unlock)
        self.retention = Retention(self.database, self.payloads, entropy=os.urandom)
        self.holds = Holds(self.database, entropy=os.urandom)
        self.staff = staff_at(self.database, self.payloads)

    def pass_(self, pause: timedelta) -> None:
        """Let time go by."""
        self.clock.now += pause

    def entry(self, *, reference: str = "R1", content: bytes | None = None, parties: tuple[PartyCode, ...] = (BNN,)) -> Entry:
        """Make an entry of now, unlike any other."""
        self.count += 1
        made = make_entry(
            key=b"k%d" % self.count,
            content=content or envelope_text(f"<Phyto>{self.count}</Phyto>"),
            parties=parties,
            reference=reference,
        )
        return moved(made, self.clock())

    def accept(self, **asked: object) -> Entry:
        """Record an entry of now."""
        entry = self.entry(**asked)  # type: ignore[arg-type]
        self.outbox.record(entry)
        return entry

    def end(self, outcome: Outcome, party: PartyCode = BNN, *, asked: bytes = b"", answered: bytes = b"reply") -> Claim:
        """Carry the earliest delivery to an end."""
        (claim,) = self.outbox.claim({party: 1})
        self.outbox.note(claim, Request(endpoint="http://x", action="", body=b"request of " + claim.message.encode() + asked))
        step = next_step(claim.state, outcome, attempt=claim.attempt, policy=RetryPolicy(attempts=1), now=self.clock())
        self.outbox.settle(claim, step, outcome, Reply(status=200, body=answered))
        return claim

    def done(self, **asked: object) -> Entry:
        """Accept and deliver."""
        entry = self.accept(**asked)
        self.end(Delivered(reference="77"))
        return entry

    def refuse(self) -> MessageId:
        """Keep a refused arrival whose answer quotes it."""
        entry = self.entry()
        refusal = Refusal(message=entry.arrival.id, refused_at=self.clock(), code=Code.SCHEMA, problems=(_UNREADABLE,))
        self.outbox.refuse(entry.arrival, refusal, Reply(status=200, body=b"00 quotes Nguyen Van A"))
        return entry.arrival.id

    def run(self, schedule: Schedule = SCHEDULE) -> list[Done]:
        """Make a whole run."""
        return list(self.retention.run(schedule, folder=self.folder))

    def archives(self) -> list[Path]:
        """List what lies in the folder of archives."""
        return sorted(self.folder.glob("*")) if self.folder.is_dir() else []

    def opened(self) -> Archive:
        """Open the one archive there is."""
        (path,) = self.archives()
        return read_archive(path.read_bytes(), cipher=self.payloads.cipher)

    def purged(self, entry: Entry) -> bool:
        """Say whether a message's content went."""
        return self.queries.content(entry.arrival.id) is None


def moved(entry: Entry, at: datetime) -> Entry:
    """Let an entry come in at another time, under another id."""
    number = MessageId(uuid7(at, os.urandom(10)))
    return replace(
        entry,
        arrival=replace(entry.arrival, id=number, received_at=at),
        envelope=replace(entry.envelope, id=number, received_at=at),
        receipt=replace(entry.receipt, message=number, accepted_at=at),
        answer=Reply(status=200, body=b"99 " + number.encode()),
    )
