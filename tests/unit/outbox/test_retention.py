"""Retention over a real database: what goes, what stays, what a late repeat is told, and what a death in the middle leaves behind."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from gateway.errors import Code, Conflict, NotReadable, NotValid, Problem, Unavailable
from gateway.lifecycle import Delivered, Failed, Outcome, Rejected, next_step
from gateway.model import MessageId, PartyCode, Periods, Refusal, Reply, Request, RetryPolicy, Schedule, uuid7
from gateway.outbox import archive
from gateway.outbox import retention as module
from gateway.outbox.archive import Archive, read_archive
from gateway.outbox.holds import Holds
from gateway.outbox.outbox import SqlOutbox
from gateway.outbox.payloads import Payloads
from gateway.outbox.retention import Done, Retention
from gateway.ports import Claim, Database, Entry, Tx
from gateway.security.cipher import FileCipher
from gateway.store.engine import open_database
from gateway.store.migrate import upgrade
from gateway.store.queries import Queries
from gateway.store.tables import METADATA
from gateway.testing.entries import BNN, NSW, START, envelope_text, make_entry

DAY = timedelta(days=1)
CONTENT, RECORD, ARCHIVE = 10 * DAY, 100 * DAY, 5 * DAY
PERIODS = Periods(content=CONTENT, record=RECORD, archive=ARCHIVE)
SCHEDULE = Schedule(procedures={"P1": PERIODS}, otherwise=PERIODS)


@dataclass
class Store:
    """A database with all that works on it, and a clock that is moved by hand."""

    database: Database
    payloads: Payloads
    folder: Path
    now: list[datetime]
    count: int = 0
    outbox: SqlOutbox = field(init=False)
    queries: Queries = field(init=False)
    retention: Retention = field(init=False)
    holds: Holds = field(init=False)

    def __post_init__(self) -> None:
        self.outbox = SqlOutbox(self.database, self.payloads, clock=lambda: self.now[0], entropy=os.urandom)
        self.queries = Queries(self.database, self.payloads.unlock)
        self.retention = Retention(self.database, self.payloads, entropy=os.urandom)
        self.holds = Holds(self.database, entropy=os.urandom)

    def pass_(self, pause: timedelta) -> None:
        self.now[0] += pause

    def entry(self, *, reference: str = "R1", content: bytes | None = None, parties: tuple[PartyCode, ...] = (BNN,)) -> Entry:
        """Make an entry of now, unlike any other."""
        self.count += 1
        made = make_entry(
            key=b"k%d" % self.count,
            content=content or envelope_text(f"<Phyto>{self.count}</Phyto>"),
            parties=parties,
            reference=reference,
        )
        return _moved(made, self.now[0])

    def accept(self, **asked: object) -> Entry:
        entry = self.entry(**asked)  # type: ignore[arg-type]
        self.outbox.record(entry)
        return entry

    def end(self, outcome: Outcome, party: PartyCode = BNN) -> Claim:
        """Carry the earliest delivery to an end."""
        (claim,) = self.outbox.claim({party: 1})
        self.outbox.note(claim, Request(endpoint="http://x", action="", body=b"request of " + claim.message.encode()))
        step = next_step(claim.state, outcome, attempt=claim.attempt, policy=RetryPolicy(attempts=1), now=self.now[0])
        self.outbox.settle(claim, step, outcome, Reply(status=200, body=b"reply"))
        return claim

    def done(self, **asked: object) -> Entry:
        """Accept and deliver."""
        entry = self.accept(**asked)
        self.end(Delivered(reference="77"))
        return entry

    def refuse(self) -> MessageId:
        entry = self.entry()
        refusal = Refusal(message=entry.arrival.id, refused_at=self.now[0], code=Code.SCHEMA, problems=(Problem(text="schema.x"),))
        self.outbox.refuse(entry.arrival, refusal, Reply(status=200, body=b"00 quotes Nguyen Van A"))
        return entry.arrival.id

    def run(self, schedule: Schedule = SCHEDULE) -> list[Done]:
        return list(self.retention.run(schedule, folder=self.folder))

    def archives(self) -> list[Path]:
        return sorted(self.folder.glob("*")) if self.folder.is_dir() else []

    def opened(self) -> Archive:
        (path,) = self.archives()
        return read_archive(path.read_bytes(), cipher=self.payloads.cipher)

    def purged(self, entry: Entry) -> bool:
        return self.queries.content(entry.arrival.id) is None

    def plain(self) -> str:
        """Everything the tables hold without encryption."""

        def work(tx: Tx) -> list[tuple[Any, ...]]:
            return [row for table in METADATA.tables.values() for row in tx.rows(select(table))]

        return "\n".join(repr([value for value in row if not isinstance(value, bytes)]) for row in self.database.read(work))


def _moved(entry: Entry, at: datetime) -> Entry:
    number = MessageId(uuid7(at, os.urandom(10)))
    return replace(
        entry,
        arrival=replace(entry.arrival, id=number, received_at=at),
        envelope=replace(entry.envelope, id=number, received_at=at),
        receipt=replace(entry.receipt, message=number, accepted_at=at),
        answer=Reply(status=200, body=b"99 " + number.encode()),
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else f"sqlite:///{tmp_path}/gateway.db"
    upgrade(url)
    now = [START]
    database = open_database(url, clock=lambda: now[0])
    cipher = FileCipher(tmp_path / "keys", entropy=os.urandom)
    yield Store(database=database, payloads=Payloads(cipher=cipher), folder=tmp_path / "archive", now=now)
    database.close()


# --- what goes ---------------------------------------------------------------------------------------------------------


def test_content_goes_when_its_period_is_over_and_not_before(store: Store) -> None:
    entry = store.done()
    store.pass_(CONTENT)

    assert store.run() == []
    assert store.queries.content(entry.arrival.id) == entry.envelope.document.content
    store.pass_(timedelta(milliseconds=1))
    (done,) = store.run()

    assert (done.stage, done.messages) == ("content", 1)
    assert store.purged(entry)


def test_requests_replies_keys_and_names_go_with_the_content(store: Store) -> None:
    entry = store.done(content=envelope_text("<Phyto>Nguyen Van A</Phyto>"))
    delivery = entry.receipt.deliveries[0]
    store.pass_(CONTENT + DAY)
    store.run()

    plain = store.plain()
    assert "'C1'" not in plain  # the business key
    assert '"ministry"' not in plain  # the header
    assert [store.queries.content(entry.arrival.id, part) for part in ("document", "body")] == [None, b""]
    row = store.queries.message(entry.arrival.id)
    assert row is not None
    assert (row.procedure, row.type, row.reference, row.sha256, row.signers) == ("P1", "10", "R1", "ab" * 32, ())
    assert store.queries.messages(key="C1").items == ()
    kept = store.database.read(lambda tx: tx.rows(select(METADATA.tables["attempts"])))
    assert [(row[0], row[2], len(row[4])) for row in kept] == [(delivery, 1, 64)]  # number and digest stay
    assert store.payloads.unlock(delivery, kept[0][1], kept[0][5]) == b""
    assert [row[-1] for row in store.database.read(lambda tx: tx.rows(select(METADATA.tables["outcomes"])))] == [None]


def test_partners_words_go_and_codes_stay(store: Store) -> None:
    store.accept()
    store.accept()
    store.end(Rejected(reason="Ông Nguyen Van A thiếu giấy tờ"))
    store.end(Failed(code="http-500"))
    store.pass_(CONTENT + DAY)
    store.run()

    assert {row.cause for row in store.queries.deliveries().items} == {"", "http-500"}
    assert "Nguyen" not in store.plain()


def test_timeline_stays_and_tells_of_the_purge(store: Store) -> None:
    entry = store.done()
    store.pass_(CONTENT + DAY)
    store.run()

    moments = store.queries.timeline(entry.arrival.id)

    assert [m.kind for m in moments] == ["message.accepted", "delivery.settled", "message.purged"]
    assert moments[-1].at == store.now[0]


def test_refused_message_loses_its_body_and_its_answer(store: Store) -> None:
    number = store.refuse()
    store.pass_(CONTENT + DAY)
    store.run()

    assert [store.queries.content(number, part) for part in ("body", "answer")] == [None, None]


def test_record_goes_after_its_own_period_and_leaves_the_ledger(store: Store) -> None:
    entry = store.done()
    store.pass_(CONTENT + DAY)
    store.run()
    store.pass_(RECORD)

    assert [(done.stage, done.messages) for done in store.run()] == [("archive", 0), ("record", 1)]  # the archive first, then what finds it
    assert store.queries.message(entry.arrival.id) is None
    assert store.queries.deliveries(message=entry.arrival.id).items == ()
    assert store.queries.dossier("P1", "R1", "2026") is None
    assert [m.kind for m in store.queries.timeline(entry.arrival.id)][-1] == "message.forgotten"


def test_each_procedure_and_party_has_its_own_period(store: Store) -> None:
    plain, kept = store.done(), store.accept(parties=(NSW,))
    store.end(Delivered(), NSW)
    schedule = replace(SCHEDULE, parties={"NSW": replace(PERIODS, content=20 * DAY)}, procedures={"P1": replace(PERIODS, content=DAY)})
    sender_is_nsw = replace(schedule, parties={"BNN": replace(PERIODS, content=20 * DAY)})
    store.pass_(15 * DAY)

    store.run(sender_is_nsw)

    assert not store.purged(plain)
    assert store.purged(kept)


def test_unknown_procedures_are_kept_where_nothing_says_how_long(store: Store) -> None:
    entry = store.done()
    store.pass_(1000 * DAY)

    assert store.run(Schedule(procedures={"P2": PERIODS})) == []
    assert not store.purged(entry)


def test_a_period_beyond_all_time_keeps_everything(store: Store) -> None:
    entry = store.done()
    endless = Periods(content=timedelta(days=366 * 999_999), record=timedelta(days=366 * 999_999))

    assert store.run(Schedule(otherwise=endless)) == []
    assert not store.purged(entry)


# --- what stays --------------------------------------------------------------------------------------------------------


def test_open_stays_until_a_run_after_it_has_ended(store: Store) -> None:
    entry = store.accept()
    store.pass_(CONTENT + DAY)
    store.run()
    assert not store.purged(entry)

    store.end(Delivered())
    store.run()

    assert store.purged(entry)


@pytest.mark.parametrize("kind", ["message", "dossier", "party", "procedure", "sender"])
def test_held_stays_until_it_is_released(store: Store, kind: str) -> None:
    entry = store.done()
    values = {"message": entry.arrival.id, "dossier": "P1/R1/2026", "party": "BNN", "procedure": "P1", "sender": "NSW"}
    hold = store.holds.place("party" if kind == "sender" else kind, values[kind], by="lan", reason="vụ án 12")  # type: ignore[arg-type]
    store.pass_(CONTENT + DAY)
    store.run()
    assert not store.purged(entry)

    store.holds.release(hold.id, by="lan", reason="kết thúc")
    store.run()

    assert store.purged(entry)


def test_hold_on_another_thing_keeps_nothing(store: Store) -> None:
    entry = store.done()
    holds = Holds(store.database, entropy=os.urandom, known=lambda _kind, _value: True)
    for kind, value in (("dossier", "P1/R2/2026"), ("party", "IPPC"), ("procedure", "P2")):
        holds.place(kind, value, by="lan", reason="x")  # type: ignore[arg-type]
    store.pass_(CONTENT + DAY)
    store.run()

    assert store.purged(entry)


def test_hold_placed_while_a_step_is_made_keeps_what_it_covers(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    entry, other = store.done(), store.done()
    store.pass_(CONTENT + DAY)
    write = archive.write_archive

    def held_meanwhile(path: Path, data: bytes) -> None:
        write(path, data)
        store.holds.place("message", entry.arrival.id, by="lan", reason="x")

    monkeypatch.setattr(module, "write_archive", held_meanwhile)
    store.run()

    assert not store.purged(entry)
    assert store.purged(other)


def test_what_cannot_be_decrypted_stays_and_stops_nothing(store: Store) -> None:
    lost, other = store.done(), store.done()
    payloads = METADATA.tables["payloads"]
    broken = payloads.update().where(payloads.c.message == lost.arrival.id).values(document=b"\x01x")
    store.database.commit(lambda tx: tx.changed(broken))
    store.pass_(CONTENT + DAY)
    store.run()

    assert store.purged(other)
    with pytest.raises(Unavailable):
        store.queries.content(lost.arrival.id)


# --- a late repeat -------------------------------------------------------------------------------------------------------


def test_identical_repeat_of_a_purged_message_gets_its_first_answer(store: Store) -> None:
    entry = store.done()
    store.pass_(CONTENT + DAY)
    store.run()

    assert store.outbox.answered(entry.arrival) == entry.answer


def test_repeat_signed_anew_gets_the_first_answer_and_no_second_effect(store: Store) -> None:
    entry = store.done()
    store.pass_(CONTENT + DAY)
    store.run()
    again = replace(entry, arrival=replace(entry.arrival, id=MessageId("again"), body=b"signed anew"))

    assert store.outbox.record(again) == entry.answer
    assert store.outbox.claim({BNN: 10}) == []


def test_other_content_under_the_key_of_a_purged_message_is_refused(store: Store) -> None:
    entry = store.done()
    store.pass_(CONTENT + DAY)
    store.run()
    document = replace(entry.envelope.document, content=envelope_text("<Phyto>other</Phyto>"))
    other = replace(
        entry, arrival=replace(entry.arrival, id=MessageId("o"), body=b"o"), envelope=replace(entry.envelope, document=document)
    )

    with pytest.raises(Conflict) as refused:
        store.outbox.record(other)

    assert refused.value.problems[0].text == "outbox.conflict"


def test_forgotten_message_is_a_new_one(store: Store) -> None:
    entry = store.done()
    store.pass_(RECORD + CONTENT + DAY)
    schedule = Schedule(otherwise=replace(PERIODS, archive=timedelta(0)))
    store.run(schedule)

    again = _moved(entry, store.now[0])

    assert store.outbox.record(again) == again.answer
    assert len(store.outbox.claim({BNN: 10})) == 1


def test_purged_delivery_that_is_replayed_ends_set_aside_by_its_name(store: Store) -> None:
    store.accept()
    claim = store.end(Failed(code="http-500"))
    store.pass_(CONTENT + DAY)
    store.run()

    store.outbox.replay(claim.delivery, by="lan")
    (again,) = store.outbox.claim({BNN: 1})

    with pytest.raises(NotValid) as refused:
        store.outbox.load(again)
    assert refused.value.problems[0].text == "outbox.purged"


# --- archives ------------------------------------------------------------------------------------------------------------


def test_archive_holds_everything_that_went_with_its_digests(store: Store) -> None:
    entry = store.done()
    delivery = entry.receipt.deliveries[0]
    store.pass_(CONTENT + DAY)
    store.run()

    opened = store.opened()

    (told,) = opened.manifest["messages"]
    contents = {name.removeprefix(entry.arrival.id + "/"): part for name, part in opened.parts.items()}
    exchanged = {name: part for name, part in contents.items() if name.startswith(delivery)}
    assert {name: contents[name] for name in ("document", "body", "answer")} == {
        "document": entry.envelope.document.content,
        "body": entry.arrival.body,
        "answer": entry.answer.body,
    }
    assert sorted(exchanged.values()) == [b"reply", b"request of " + entry.arrival.id.encode()]
    assert (told["id"], told["procedure"], json.loads(told["keys"])) == (entry.arrival.id, "P1", [["certificate", "C1"]])
    assert opened.damaged == ()


def test_archive_on_disk_is_encrypted(store: Store) -> None:
    store.done(content=envelope_text("<Phyto>Nguyen Van A</Phyto>"))
    store.pass_(CONTENT + DAY)
    store.run()

    (path,) = store.archives()
    assert b"Nguyen" not in path.read_bytes()
    assert b"manifest" not in path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("change", [b"", b"no archive", None])
def test_what_is_no_archive_is_refused(store: Store, change: bytes | None) -> None:
    store.done()
    store.pass_(CONTENT + DAY)
    store.run()
    (path,) = store.archives()
    data = path.read_bytes()[:-1] + b"\x00" if change is None else change

    with pytest.raises((NotReadable, Unavailable)):
        read_archive(data, cipher=store.payloads.cipher)


def test_archive_goes_when_its_own_period_is_over(store: Store) -> None:
    store.done()
    store.pass_(CONTENT + DAY)
    store.run()
    assert len(store.archives()) == 1
    store.pass_(ARCHIVE)

    assert [done.stage for done in store.run()] == ["archive"]
    assert store.archives() == []
    assert store.run() == []


def test_archive_with_something_held_stays(store: Store) -> None:
    entry = store.done()
    store.pass_(CONTENT + DAY)
    store.run()
    hold = store.holds.place("dossier", "P1/R1/2026", by="lan", reason="x")
    store.pass_(2 * RECORD)

    assert store.run() == []
    assert len(store.archives()) == 1
    assert store.queries.message(entry.arrival.id) is not None
    store.holds.release(hold.id, by="lan", reason="x")
    assert [done.stage for done in store.run()] == ["archive", "record"]


def test_archive_whose_folder_is_away_stays_known(store: Store) -> None:
    store.done()
    store.pass_(CONTENT + DAY)
    store.run()
    store.folder.rename(store.folder.with_name("elsewhere"))
    store.pass_(ARCHIVE)
    assert store.run() == []

    store.folder.with_name("elsewhere").rename(store.folder)

    assert [done.stage for done in store.run()] == ["archive"]


def test_without_an_archive_period_nothing_is_archived(store: Store) -> None:
    entry = store.done()
    store.pass_(CONTENT + DAY)
    store.run(Schedule(otherwise=replace(PERIODS, archive=timedelta(0))))

    assert store.purged(entry)
    assert store.archives() == []


def test_archive_that_cannot_be_written_keeps_everything(store: Store) -> None:
    entry = store.done()
    store.pass_(CONTENT + DAY)
    store.folder.write_text("a file where the folder should be", "utf-8")

    with pytest.raises(Unavailable) as refused:
        store.run()

    assert refused.value.problems[0].text == "retention.not-archived"
    assert not store.purged(entry)


# --- steps, turns and deaths ---------------------------------------------------------------------------------------------


class DiedError(Exception):
    """The process was killed here."""


def test_large_content_makes_small_steps(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        store.done()
    monkeypatch.setattr(module, "BATCH_BYTES", 1)
    store.pass_(CONTENT + DAY)

    assert [done.messages for done in store.run()] == [1, 1, 1]


def test_a_run_that_is_stopped_goes_on_where_it_was(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [store.done() for _ in range(5)]
    monkeypatch.setattr(module, "BATCH", 2)
    store.pass_(CONTENT + DAY)
    steps = store.retention.run(SCHEDULE, folder=store.folder)
    assert next(steps).messages == 2
    steps.close()

    assert [done.messages for done in store.run()] == [2, 1]
    assert all(store.purged(entry) for entry in entries)


def test_two_runs_are_not_made_at_once(store: Store) -> None:
    store.done()
    store.pass_(CONTENT + DAY)
    steps = store.retention.run(SCHEDULE, folder=store.folder)
    next(steps)

    with pytest.raises(Conflict) as refused:
        store.run()

    assert refused.value.problems[0].text == "retention.under-way"
    steps.close()
    assert store.run() == []


def test_turn_of_a_dead_run_ends_by_itself_and_it_does_nothing_more(store: Store) -> None:
    for _ in range(2):
        store.done()
    store.pass_(CONTENT + DAY)
    slow = store.retention._begin(SCHEDULE, store.folder)
    store.pass_(module.TURN)
    assert [done.messages for done in store.run()] == [2]

    with pytest.raises(Conflict):
        store.retention._note(slow, module.Walk(stage="content", period=CONTENT), "x")


@pytest.mark.parametrize("after", ["the archive was begun", "the archive was written"])
def test_a_death_between_archive_and_purge_loses_nothing_and_leaves_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    entry = store.done()
    store.pass_(CONTENT + DAY)
    write = archive.write_archive

    def dying(path: Path, data: bytes) -> None:
        if after == "the archive was written":
            write(path, data)
        raise DiedError

    monkeypatch.setattr(module, "write_archive", dying)
    with pytest.raises(DiedError):
        store.run()
    assert not store.purged(entry)
    monkeypatch.undo()
    store.pass_(module.TURN)

    assert [done.messages for done in store.run()] == [1]

    assert store.purged(entry)
    assert [told["id"] for told in store.opened().manifest["messages"]] == [entry.arrival.id]  # one archive, whole


def test_other_periods_make_every_message_be_looked_at_again(store: Store) -> None:
    entry = store.done()
    store.pass_(CONTENT - DAY)
    assert store.run() == []

    assert [done.messages for done in store.run(Schedule(otherwise=replace(PERIODS, content=DAY)))] == [1]
    assert store.purged(entry)


def test_preview_counts_and_changes_nothing(store: Store) -> None:
    due, _, held = store.done(), store.accept(parties=(NSW,)), store.done(reference="R2")
    store.holds.place("dossier", "P1/R2/2026", by="lan", reason="x")
    store.pass_(CONTENT + DAY)

    preview = store.retention.preview(SCHEDULE)

    key = ("content", "P1")
    assert (preview.due[key], preview.open[key], preview.held[key]) == (1, 1, 1)
    assert preview.bytes > len(due.envelope.document.content)
    assert not store.purged(due)
    assert not store.purged(held)


# --- holds -----------------------------------------------------------------------------------------------------------------


def test_holds_are_listed_with_who_and_why(store: Store) -> None:
    store.done()
    hold = store.holds.place("party", "BNN", by="cli:lan", reason="thanh tra")
    store.pass_(DAY)
    over = store.holds.place("party", "NSW", by="cli:lan", reason="x")
    ended = store.holds.release(over.id, by="cli:minh", reason="xong")

    assert store.holds.listed() == (hold,)
    assert store.holds.listed(released=True) == (hold, ended)
    assert (ended.released_by, ended.release_reason, ended.released_at) == ("cli:minh", "xong", START + DAY)


def test_holds_are_told_to_the_ledger_without_words(store: Store) -> None:
    entry = store.done()
    hold = store.holds.place("message", entry.arrival.id, by="lan", reason="Ông Nguyen Van A khởi kiện")
    store.holds.release(hold.id, by="lan", reason="Ông A rút đơn")

    moments = store.queries.timeline(entry.arrival.id)[-2:]

    assert [m.kind for m in moments] == ["retention.held", "retention.released"]
    assert [(m.values["hold"], m.values["what"], m.values["by"]) for m in moments] == [(hold.id, "message", "lan")] * 2
    assert "Nguyen" not in str(moments)


def test_hold_is_released_once(store: Store) -> None:
    store.done()
    hold = store.holds.place("procedure", "P1", by="lan", reason="x")
    store.holds.release(hold.id, by="lan", reason="x")

    with pytest.raises(Conflict):
        store.holds.release(hold.id, by="lan", reason="x")
    with pytest.raises(NotValid):
        store.holds.release("unknown", by="lan", reason="x")


@pytest.mark.parametrize(
    ("kind", "value"),
    [("message", "0198f3c2-6b20-7d01-8e77-000000000000"), ("party", "X"), ("procedure", "X"), ("dossier", "P1/R9/2026"), ("dossier", "x")],
)
def test_nothing_cannot_be_held(store: Store, kind: str, value: str) -> None:
    store.done()

    with pytest.raises(NotValid) as refused:
        store.holds.place(kind, value, by="lan", reason="x")  # type: ignore[arg-type]

    assert refused.value.problems[0].text == "retention.nothing-to-hold"
    assert store.holds.listed() == ()


# --- whatever happens ------------------------------------------------------------------------------------------------------

ACTS = st.lists(
    st.sampled_from(["accept", "deliver", "fail", "hold", "release", "replay", "run", "step", "day", "week"]), min_size=5, max_size=40
)


@given(acts=ACTS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_open_held_or_within_its_period_is_ever_purged(tmp_path_factory: pytest.TempPathFactory, acts: list[str]) -> None:
    place = tmp_path_factory.mktemp("store")
    upgrade(f"sqlite:///{place}/gateway.db")
    now = [START]
    database = open_database(f"sqlite:///{place}/gateway.db", clock=lambda: now[0])
    cipher = FileCipher(place / "keys", entropy=os.urandom)
    store = Store(database=database, payloads=Payloads(cipher=cipher), folder=place / "archive", now=now)
    entries: list[Entry] = []
    ends: list[Claim] = []
    holds: list[tuple[str, str]] = []

    for act in acts:
        if act == "accept":
            entries.append(store.accept(reference=f"R{len(entries) % 3}"))
        elif act in ("deliver", "fail") and store.queries.deliveries(state="queued").items:
            ends.append(store.end(Delivered() if act == "deliver" else Failed(code="x", final=True)))
        elif act == "replay":
            for row in store.queries.deliveries(state="dead").items[:1]:
                store.outbox.replay(row.id, by="lan")  # type: ignore[arg-type]
        elif act == "hold" and entries:
            hold = store.holds.place("message", entries[len(holds) % len(entries)].arrival.id, by="lan", reason="x")
            holds.append((hold.id, hold.value))
        elif act == "release" and holds:
            store.holds.release(holds.pop()[0], by="lan", reason="x")
        elif act in ("day", "week"):
            store.pass_(DAY if act == "day" else 7 * DAY)
        elif act in ("run", "step"):
            protected = [e for e in entries if _protected(store, e, {value for _, value in holds}) and not store.purged(e)]
            steps = store.retention.run(SCHEDULE, folder=store.folder)
            list(steps) if act == "run" else next(steps, None)
            steps.close()
            assert [e.arrival.id for e in protected if store.purged(e)] == []
    database.close()


def _protected(store: Store, entry: Entry, held: set[str]) -> bool:
    young = store.now[0] - entry.arrival.received_at <= CONTENT
    unended = any(row.due_at or row.state == "sending" for row in store.queries.deliveries(message=entry.arrival.id).items)
    return young or unended or entry.arrival.id in held
