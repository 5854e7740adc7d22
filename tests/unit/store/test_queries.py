"""Search over what the outbox wrote: a few messages of two dossiers, one of them refused."""

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.errors import Code, NotValid, Problem, Unavailable
from gateway.lifecycle import Accepted, Delivered, Failed, Rejected, State, next_step
from gateway.model import DeliveryId, Judged, MessageId, PartyCode, Receipt, Refusal, Reply, Request, RetryPolicy, Wrapper, uuid7
from gateway.outbox.outbox import SqlOutbox
from gateway.outbox.payloads import Payloads
from gateway.ports import Database, DossierMove, Entry, Tx
from gateway.security.cipher import FileCipher
from gateway.store.engine import open_database
from gateway.store.queries import MAX_PAGE, SEARCHES, Backlog, Queries
from gateway.testing import builders
from gateway.testing.contents import Consignment
from gateway.testing.staff import staff_at

START = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
BNN, NSW, IPPC = PartyCode("BNN"), PartyCode("NSW"), PartyCode("IPPC")
POLICY = RetryPolicy(attempts=1)


@dataclass
class Shelf:
    """An outbox and the queries over its database; the clock stands still until it is moved."""

    database: Database
    payloads: Payloads
    outbox: SqlOutbox
    queries: Queries
    now: datetime = START

    def accept(self, kind: str = "10/01", number: int = 1, *, to: tuple[PartyCode, ...] = (BNN,), moves: str | None = None) -> Entry:
        """Record a message, a minute after the one before."""
        self.now += timedelta(minutes=1)
        envelope = builders.envelope(kind, Consignment(number=number))
        named = replace(envelope, id=MessageId(uuid7(self.now, os.urandom(10))), received_at=self.now)
        arrival = replace(builders.arrival(os.urandom(8)), id=named.id, received_at=self.now)
        routes = tuple(replace(builders.route(builders.party(code)), order="dossier") for code in to)
        receipt = Receipt(
            message=named.id, header=named.header, sender=named.sender, sha256=named.document.sha256, accepted_at=self.now,
            deliveries=tuple(DeliveryId(uuid7(self.now, os.urandom(10))) for _ in routes),
            warnings=(Problem(text="outbox.unknown-dossier", values={"dossier": "secret"}),),
        )  # fmt: skip
        entry = Entry(
            arrival=arrival, envelope=named, wrapper=Wrapper(protocol="vnsw", operation="receiveRequest", version="1.1"),
            judged=Judged(schema_pack="vnsw 1.0", rule_set="r 1", procedure="p 1"), receipt=receipt,
            answer=Reply(status=200, body=b"99 " + named.id.encode(), headers={"content-type": "text/xml"}), proof="signature",
            routes=routes, key=os.urandom(16), keys=(("file", f"F{number}"), ("certificate", "C1")),
            dossier=DossierMove(allowed=frozenset(), to=moves, opens=True), warnings=receipt.warnings,
        )  # fmt: skip
        self.outbox.record(entry)
        return entry

    def refuse(self) -> MessageId:
        """Keep a refused arrival of which nothing could be read."""
        self.now += timedelta(minutes=1)
        number = MessageId(uuid7(self.now, os.urandom(10)))
        arrival = replace(builders.arrival(b"xin chao"), id=number, received_at=self.now)
        problem = Problem(text="xml.not-well-formed", line=1, values={"found": "secret"})
        refusal = Refusal(message=number, refused_at=self.now, code=Code.NOT_XML, problems=(problem,))
        self.outbox.refuse(arrival, refusal, Reply(status=200, body=b"00"))
        return number

    def settle(self, party: PartyCode, outcome: Delivered | Rejected | Failed | Accepted) -> DeliveryId:
        (claim,) = self.outbox.claim({party: 1})
        step = next_step(claim.state, outcome, attempt=claim.attempt, policy=POLICY, now=self.now, key=claim.delivery)
        self.outbox.settle(claim, step, outcome, Reply(status=200, body=b"reply"))
        return claim.delivery


@pytest.fixture(params=["sqlite", "postgresql"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    url = request.getfixturevalue("postgres_url" if request.param == "postgresql" else "sqlite_url")
    made: list[Shelf] = []
    database = open_database(url, clock=lambda: made[0].now)
    payloads = Payloads(cipher=FileCipher(tmp_path / "keys", entropy=os.urandom))
    outbox = SqlOutbox(database, payloads, clock=lambda: made[0].now, entropy=os.urandom)
    made.append(Shelf(database=database, payloads=payloads, outbox=outbox, queries=Queries(database, payloads.unlock)))
    yield made[0]
    database.close()


def test_an_accepted_message_is_found_with_all_that_is_known_of_it(shelf: Shelf) -> None:
    entry = shelf.accept()

    row = shelf.queries.message(entry.arrival.id)

    assert row is not None
    assert (row.state, row.sender, row.receiver, row.proof) == ("accepted", "NSW", "BNN", "signature")
    assert (row.procedure, row.type, row.function, row.reference) == (builders.PROCEDURE, "10", "01", "BNN260000001")
    assert (row.schema_pack, row.rule_set, row.procedure_version) == ("vnsw 1.0", "r 1", "p 1")
    assert (row.received_at, row.channel, row.sha256) == (entry.arrival.received_at, "network:127.0.0.1", entry.receipt.sha256)
    assert row.warnings == ({"text": "outbox.unknown-dossier", "path": None, "line": None},)


def test_a_refused_message_is_found_with_its_cause_and_without_its_content(shelf: Shelf) -> None:
    number = shelf.refuse()

    row = shelf.queries.message(number)

    assert row is not None
    assert (row.state, row.code, row.sender, row.reference) == ("refused", "not-xml", None, None)
    assert row.cause == ({"text": "xml.not-well-formed", "path": None, "line": 1},)


def test_an_unknown_message_is_none(shelf: Shelf) -> None:
    assert shelf.queries.message("0198f3c2-6b1e-7c44-9a53-1f0c2ab4d5e6") is None
    assert shelf.queries.delivery("0198f3c2-6b1e-7c44-9a53-1f0c2ab4d5e6") is None
    assert shelf.queries.content("0198f3c2-6b1e-7c44-9a53-1f0c2ab4d5e6") is None
    assert shelf.queries.timeline("0198f3c2-6b1e-7c44-9a53-1f0c2ab4d5e6") == ()


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, "refused fee other first"),
        ({"party": "NSW"}, "fee other first"),
        ({"party": "BNN"}, "fee other first"),
        ({"party": "IPPC"}, ""),
        ({"procedure": builders.PROCEDURE}, "fee other first"),
        ({"procedure": "P0"}, ""),
        ({"reference": "BNN260000001"}, "fee first"),
        ({"key": "F1"}, "fee first"),
        ({"key": "C1"}, "fee other first"),
        ({"state": "refused"}, "refused"),
        ({"state": "accepted", "reference": "BNN260000002"}, "other"),
        ({"message_id": builders.message_id("18/14", Consignment(number=1))}, "fee"),
        ({"since": START + timedelta(minutes=3)}, "refused fee"),
        ({"until": START + timedelta(minutes=3)}, "other first"),
        ({"since": START + timedelta(minutes=2), "until": START + timedelta(minutes=3)}, "other"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_search_finds_by_each_filter_the_newest_first(shelf: Shelf, asked: dict[str, object], found: str) -> None:
    first, other, fee = shelf.accept(number=1), shelf.accept(number=2), shelf.accept("18/14", number=1, to=(NSW,))
    names = {first.arrival.id: "first", other.arrival.id: "other", fee.arrival.id: "fee", shelf.refuse(): "refused"}

    page = shelf.queries.messages(**asked)  # type: ignore[arg-type]

    assert " ".join(names[MessageId(row.id)] for row in page.items) == found
    assert page.next_cursor is None


def test_pages_follow_one_another_without_gap_or_overlap(shelf: Shelf) -> None:
    numbers = [shelf.accept(number=n).arrival.id for n in range(7)]

    seen, cursor = [], None
    while True:
        page = shelf.queries.messages(cursor=cursor, limit=3)
        seen += [row.id for row in page.items]
        cursor = page.next_cursor
        shelf.accept(number=100 + len(seen))  # what comes meanwhile is newer and is not seen
        if cursor is None:
            break

    assert seen == numbers[::-1]


def test_pages_of_deliveries_follow_one_another_too(shelf: Shelf) -> None:
    for number in range(5):
        shelf.accept(number=number, to=(BNN, NSW))

    first = shelf.queries.deliveries(party="BNN", limit=3)
    second = shelf.queries.deliveries(party="BNN", limit=3, cursor=first.next_cursor)

    assert [len(first.items), len(second.items), second.next_cursor] == [3, 2, None]
    assert len({row.id for row in (*first.items, *second.items)}) == 5
    assert {row.party for row in (*first.items, *second.items)} == {"BNN"}


@pytest.mark.parametrize("cursor", ["x", "-1", "0 OR 1=1", "9" * 40, "1e3", "٣"])
def test_a_cursor_that_was_not_given_out_is_refused(shelf: Shelf, cursor: str) -> None:
    for ask in (shelf.queries.messages, shelf.queries.deliveries):
        with pytest.raises(NotValid) as refused:
            ask(cursor=cursor)
        assert refused.value.problems[0].text == "store.cursor"


@pytest.mark.parametrize(("limit", "given"), [(0, 1), (-5, 1), (2, 2), (MAX_PAGE + 1, 3)])
def test_a_page_has_at_least_one_row_and_at_most_what_one_answer_holds(shelf: Shelf, limit: int, given: int) -> None:
    for number in range(3):
        shelf.accept(number=number)

    assert len(shelf.queries.messages(limit=limit).items) == given


def test_a_timeline_tells_everything_about_a_message_and_its_deliveries_in_order(shelf: Shelf) -> None:
    entry = shelf.accept()
    shelf.settle(BNN, Rejected(reason="ERR02"))
    delivery = entry.receipt.deliveries[0]
    staff_at(shelf.database, shelf.payloads).replay(delivery, by="lan")
    shelf.settle(BNN, Delivered(reference="P-1"))

    moments = shelf.queries.timeline(entry.arrival.id)

    assert [m.kind for m in moments] == ["message.accepted", "delivery.routed", "delivery.settled", "staff.replayed", "delivery.settled"]
    assert [m.delivery for m in moments] == [None, delivery, delivery, delivery, delivery]
    assert moments[1].values == {"party": "BNN", "route": entry.routes[0].name}
    assert moments[3].values == {"by": "lan", "state": "queued"}


def test_deliveries_are_found_by_message_party_and_state(shelf: Shelf) -> None:
    entry = shelf.accept(to=(BNN, NSW))
    shelf.accept(number=2)
    shelf.settle(NSW, Failed(code="http-500"))

    (dead,) = shelf.queries.deliveries(message=entry.arrival.id, state=State.DEAD).items

    assert (dead.party, dead.cause, dead.attempt, dead.due_at) == ("NSW", "http-500", 1, None)
    assert len(shelf.queries.deliveries(state=State.QUEUED).items) == 2
    assert shelf.queries.delivery(dead.id) == dead


def test_what_ended_before_anything_left_concerns_its_party_no_longer(shelf: Shelf) -> None:
    untouched, begun = shelf.accept(), shelf.accept(number=2)
    left, unmade = begun.receipt.deliveries[0], untouched.receipt.deliveries[0]
    claims = shelf.outbox.claim({BNN: 2})
    shelf.outbox.note(next(claim for claim in claims if claim.delivery == left), Request(endpoint="http://x", action="", body=b"asked"))
    shelf.now += timedelta(minutes=5)
    shelf.outbox.rescue()
    acts = staff_at(shelf.database, shelf.payloads)
    queued = [shelf.queries.delivery(each) for each in (left, unmade)]
    for delivery in (left, unmade):
        acts.cancel(delivery, by="lan", reason="x")

    kept = [shelf.queries.delivery(each) for each in (left, unmade)]

    assert [(row.state, row.concerns) for row in queued if row] == [("queued", True), ("queued", True)]
    assert [(row.state, row.concerns) for row in kept if row] == [("cancelled", True), ("cancelled", False)]
    assert [row.id for row in shelf.queries.deliveries(party=BNN, own=True).items] == [left]
    assert [row.id for row in shelf.queries.messages(party=BNN, own=True).items] == [begun.arrival.id]
    assert len(shelf.queries.messages(party=BNN).items) == len(shelf.queries.deliveries(party=BNN).items) == 2
    assert len(shelf.queries.messages(party=untouched.envelope.sender, own=True).items) == 2


def test_each_part_of_a_message_is_given_byte_for_byte(shelf: Shelf) -> None:
    entry = shelf.accept()
    refused = shelf.refuse()

    parts = [shelf.queries.content(entry.arrival.id, part) for part in ("document", "body", "answer")]

    assert parts == [entry.envelope.document.content, entry.arrival.body, entry.answer.body]
    assert [shelf.queries.content(refused, part) for part in ("document", "body", "answer")] == [None, b"xin chao", b"00"]


def test_a_dossier_says_where_it_stands(shelf: Shelf) -> None:
    shelf.accept(moves="1")
    shelf.accept("18/14", moves="7", to=(NSW,))

    assert shelf.queries.dossier(builders.PROCEDURE, "BNN260000001", "2026") == "7"
    assert shelf.queries.dossier(builders.PROCEDURE, "BNN260000009", "2026") is None


def test_counts_tell_what_waits_and_what_was_set_aside(shelf: Shelf) -> None:
    shelf.accept(number=1, to=(BNN, IPPC))
    shelf.accept(number=2)
    shelf.refuse()
    shelf.settle(IPPC, Failed(code="http-500"))

    counts = shelf.queries.counts()

    assert counts.messages == {"accepted": 2, "refused": 1}
    assert counts.deliveries == {("BNN", "queued"): 2, ("IPPC", "dead"): 1}
    assert counts.oldest_due == START + timedelta(minutes=1)


def test_backlogs_tell_what_each_party_is_owed(shelf: Shelf) -> None:
    shelf.accept(number=1, to=(BNN, IPPC))
    shelf.accept(number=2)
    shelf.settle(IPPC, Failed(code="http-500"))
    shelf.outbox.claim({BNN: 1})

    assert shelf.queries.backlogs() == {"BNN": Backlog(waiting=1, under_way=1, oldest_due=START + timedelta(minutes=2))}


def test_a_database_that_is_closed_is_unavailable(shelf: Shelf) -> None:
    shelf.queries.ping()
    shelf.database.close()

    with pytest.raises(Unavailable):
        shelf.queries.ping()


def test_mailbox_tells_what_waits_what_is_held_and_what_was_set_aside(shelf: Shelf) -> None:
    shelf.accept(number=1)
    shelf.settle(BNN, Failed(code="not-confirmed"))
    for number in (2, 3, 4):
        shelf.accept(number=number)
    shelf.outbox.claim({BNN: 1})

    mailbox = shelf.queries.mailbox("BNN")

    assert (mailbox.waiting, mailbox.held, mailbox.set_aside) == (2, 1, 1)
    assert mailbox.oldest == START + timedelta(minutes=2)
    assert shelf.queries.mailbox("IPPC") == replace(mailbox, waiting=0, held=0, set_aside=0, oldest=None)


@dataclass
class Slow:
    """A database in which every reading takes as long as a test says."""

    database: Database
    began: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    gate: threading.Event = field(default_factory=threading.Event)

    def read(self, work: Callable[[Tx], object]) -> object:
        def slow(tx: Tx) -> object:
            self.began.release()
            self.gate.wait(10)
            return work(tx)

        return self.database.read(slow)


def test_slow_searches_leave_the_flow_its_readers(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("sqlite", "postgres", "queries"):
        monkeypatch.setattr(f"gateway.store.{module}.BUSY_SECONDS", 0.05)
    entry = shelf.accept()
    slow = Slow(database=shelf.database)
    queries = Queries(slow, lambda _owner, _part, content: content)  # type: ignore[arg-type]  # what reads is all it asks for
    found: list[str] = []

    def search() -> None:
        try:
            found.extend(row.id for row in queries.messages().items)
        except Unavailable as busy:
            found.append(busy.problems[0].values["cause"])

    threads = [threading.Thread(target=search) for _ in range(6)]
    for thread in threads:
        thread.start()
    for _ in range(SEARCHES):
        assert slow.began.acquire(timeout=5)
    answered = shelf.outbox.answered(entry.arrival)
    slow.gate.set()
    for thread in threads:
        thread.join()

    assert answered is not None
    assert found.count(entry.arrival.id) >= SEARCHES
    assert set(found) <= {entry.arrival.id, "busy"}
