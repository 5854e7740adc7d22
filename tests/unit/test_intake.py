"""The story of a message that comes in, with doors, prover and judge that are told what to say."""

import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from gateway.errors import Code, Conflict, GatewayError, NotProven, NotReadable, NotValid, Problem, Unavailable
from gateway.intake import Intake
from gateway.model import Arrival, Attachment, Channel, Document, Judged, MessageId, PartyCode, Receipt, Refusal, Reply, Wrapper, uuid7
from gateway.outbox.memory import MemoryOutbox
from gateway.ports import Directory, Entry, Opened, Proven
from gateway.routing.judge import Judge, Judgement
from gateway.routing.rules import RuleSet, load
from gateway.security.prover import Prover
from gateway.testing import builders
from gateway.testing.contents import Consignment
from gateway.xml.envelope import read_header
from gateway.xml.parse import parse
from gateway.xml.shipped import shipped

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
NUMBERS = itertools.count()
UNPROVEN = NotProven(Code.SIGNATURE, Problem(text="signature.digest"))
INVALID = NotValid(Code.SCHEMA, Problem(text="schema.value", values={"found": "bí mật"}))
AWAY = Unavailable(Code.UNAVAILABLE, Problem(text="store.away"))


@dataclass
class Scripted:
    """A door, a prover and a judge in one; each raises what it is told to, and remembers that it was asked."""

    rules: RuleSet
    fails: Mapping[str, GatewayError | Exception] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    results: list[Receipt | Refusal] = field(default_factory=list)
    sends_no_id: bool = False

    def _step(self, name: str) -> None:
        self.asked.append(name)
        if name in self.fails:
            raise self.fails[name]

    def open(self, arrival: Arrival) -> Opened:
        self._step("open")
        return Opened(wrapper=Wrapper(protocol="test", operation="send", version="1"), payload=arrival.body)

    def answer(self, _opened: Opened | None, result: Receipt | Refusal) -> Reply:
        self.results.append(result)
        return Reply(status=200, body=f"{type(result).__name__} {result.message}".encode())

    def prove(self, opened: Opened, channel: Channel, directory: Directory) -> Proven:
        self._step("prove")
        root = parse(opened.payload)
        header = read_header(root, zone=self.rules.zone)
        sender = directory.party(header.sender.identity)
        assert sender is not None
        named = replace(header, id=None) if self.sends_no_id else header
        return Proven(payload=opened.payload, root=root, header=named, sender=sender, signers=(), proof=channel.kind)

    def judge(self, proven: Proven, rules: RuleSet, *, at: datetime) -> Judgement:
        self._step("judge")
        procedure, row = rules.find(proven.header.subject, at)
        route = builders.route(rules.party("NSW" if proven.sender.code == "BNN" else "BNN"))
        return Judgement(
            document=Document(type="test", content=proven.payload, sha256="ab" * 32), rule=row, keys=(("file", "F1"),), facts={},
            opens_dossier=True, dossier_from=frozenset(), dossier_state="1", routes=(route,),
            judged=Judged(schema_pack="s", rule_set="r", procedure=procedure.code), warnings=(Problem(text="routing.doubt"),),
        )  # fmt: skip


@dataclass
class Outbox(MemoryOutbox):
    """The outbox in memory, away where it is told to be."""

    away: set[str] = field(default_factory=set)
    entries: list[Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(clock=lambda: NOW, entropy=os.urandom)

    def answered(self, arrival: Arrival) -> Reply | None:
        self._refuse_if("answered")
        return super().answered(arrival)

    def record(self, entry: Entry) -> Reply:
        self._refuse_if("record")
        self.entries.append(entry)
        return super().record(entry)

    def refuse(self, arrival: Arrival, refusal: Refusal, answer: Reply) -> None:
        self._refuse_if("refuse")
        super().refuse(arrival, refusal, answer)

    def _refuse_if(self, name: str) -> None:
        if name in self.away:
            raise AWAY


@dataclass
class Desk:
    """Intake over a script, and what it told whoever watches."""

    script: Scripted
    outbox: Outbox
    told: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)

    def receive(self, body: bytes, *, channel: Channel | None = None) -> Reply:
        intake = Intake(
            prover=cast("Prover", self.script), judge=cast("Judge", self.script), rules=lambda: self.script.rules, outbox=self.outbox,
            clock=lambda: NOW, entropy=os.urandom, watch=lambda event, fields: self.told.append((event, fields)),
        )  # fmt: skip
        number = MessageId(uuid7(NOW, next(NUMBERS).to_bytes(10)))
        arrival = replace(builders.arrival(body), id=number, received_at=NOW)
        return intake.receive(replace(arrival, channel=channel) if channel else arrival, self.script)

    @property
    def events(self) -> list[str]:
        return [event for event, _ in self.told]


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return load([shipped("routing_rules")])


@pytest.fixture
def desk(rules: RuleSet) -> Desk:
    return Desk(script=Scripted(rules=rules), outbox=Outbox())


def failing(desk: Desk, **fails: GatewayError | Exception) -> Desk:
    desk.script.fails = fails
    return desk


GOOD = builders.message("10/01")


def test_a_good_message_is_recorded_once_and_answered_with_its_receipt(desk: Desk) -> None:
    answer = desk.receive(GOOD)

    [entry] = desk.outbox.entries
    assert answer.body == f"Receipt {entry.arrival.id}".encode()
    assert desk.script.asked == ["open", "prove", "judge"]
    assert [route.party.code for route in entry.routes] == ["BNN"]
    assert len(entry.receipt.deliveries) == 1
    assert (entry.proof, entry.keys, entry.envelope.sender) == ("network", (("file", "F1"),), "NSW")
    assert entry.receipt.warnings == entry.warnings == (Problem(text="routing.doubt"),)
    assert desk.events == ["message.accepted"]


def test_identical_bytes_are_answered_before_anything_is_opened(desk: Desk) -> None:
    first = desk.receive(GOOD)
    desk.script.asked.clear()

    assert desk.receive(GOOD) == first
    assert desk.script.asked == []
    assert desk.events[-1] == "message.repeated"


def test_a_receipt_is_sealed_as_its_sender_accepts_it(desk: Desk) -> None:
    desk.receive(GOOD)
    desk.receive(builders.message("18/14"))

    assert [result.seal for result in desk.script.results] == ["xmldsig", "none"]


@pytest.mark.parametrize(
    ("step", "error", "asked"),
    [
        ("open", NotReadable(Code.NOT_SOAP, Problem(text="xml.soap-root")), ["open"]),
        ("prove", UNPROVEN, ["open", "prove"]),
        ("judge", INVALID, ["open", "prove", "judge"]),
    ],
)
def test_a_refusal_at_any_step_ends_the_story_and_is_kept_with_its_cause(
    desk: Desk, step: str, error: GatewayError, asked: list[str]
) -> None:
    answer = failing(desk, **{step: error}).receive(GOOD)

    [refusal] = desk.outbox.shelf.refused.values()
    assert answer.body == f"Refusal {refusal.message}".encode()
    assert (refusal.code, refusal.problems) == (error.code, error.problems)
    assert desk.script.asked == asked
    assert desk.outbox.entries == []
    assert desk.events == ["message.refused"]


def test_what_is_told_names_ids_and_codes_and_never_content(desk: Desk) -> None:
    failing(desk, judge=INVALID).receive(GOOD)

    [(_, fields)] = desk.told
    assert fields["code"] == Code.SCHEMA
    assert isinstance(fields["seconds"], float)
    assert "bí mật" not in repr(fields)


@pytest.mark.parametrize("away", ["answered", "record", "refuse"])
def test_where_nothing_can_be_kept_the_sender_is_asked_to_come_again(desk: Desk, away: str) -> None:
    desk.outbox.away = {away}
    script = failing(desk, judge=INVALID) if away == "refuse" else desk

    script.receive(GOOD)

    assert cast("Refusal", desk.script.results[-1]).code is Code.UNAVAILABLE
    assert desk.outbox.shelf.refused == {}
    desk.outbox.away.clear()
    desk.script.fails = {}
    assert desk.receive(GOOD).body.startswith(b"Receipt")


def test_a_refusal_names_the_party_that_the_header_claims_so_that_it_is_answered_in_its_language(desk: Desk) -> None:
    failing(desk, prove=UNPROVEN).receive(GOOD)

    refusal = cast("Refusal", desk.script.results[-1])
    assert (refusal.sender, refusal.seal) == ("NSW", "xmldsig")
    assert refusal.header is not None
    assert refusal.header.subject.reference == "BNN260000123"


@pytest.mark.parametrize("body", [b"xin chao", b"<Envelope/>", GOOD.replace(b"<identity>NSW<", b"<identity>X<", 1)])
def test_where_the_header_names_nobody_the_channels_party_is_meant(desk: Desk, body: bytes) -> None:
    channel = Channel(kind="key", name="portal", party=PartyCode("BNN"))

    failing(desk, prove=UNPROVEN).receive(body, channel=channel)

    assert cast("Refusal", desk.script.results[-1]).sender == "BNN"


def test_a_message_without_an_id_is_known_by_what_it_is_about_and_what_it_says(desk: Desk) -> None:
    desk.script.sends_no_id = True
    first = desk.receive(GOOD)

    again = desk.receive(GOOD.replace(b"<sendDate>2026-10-12 09:30", b"<sendDate>2026-10-12 09:31"))
    other = desk.receive(GOOD.replace(b"<HsCode>08109092", b"<HsCode>08109093", 1))

    assert again == first
    assert other.body.startswith(b"Receipt")
    assert other != first


def test_messages_of_two_senders_under_one_id_are_two_messages(desk: Desk) -> None:
    about = Consignment(number=7)
    number = builders.header("10/01", about).id
    fee = builders.message("18/14", about, under=replace(builders.header("18/14", about), id=number))

    answers = [desk.receive(builders.message("10/01", about)), desk.receive(fee)]

    assert [answer.body[:7] for answer in answers] == [b"Receipt", b"Receipt"]


def test_the_same_id_with_other_content_is_a_conflict_and_kept_as_refused(desk: Desk) -> None:
    desk.receive(GOOD)

    desk.receive(GOOD.replace(b"<HsCode>08109092", b"<HsCode>08109093", 1))

    [refusal] = desk.outbox.shelf.refused.values()
    assert (refusal.code, refusal.problems[0].text) == (Code.CONFLICT, "outbox.conflict")


def test_a_conflict_that_the_outbox_finds_is_a_refusal_like_any_other(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def conflict(_: Entry) -> Any:
        raise Conflict(Code.CONFLICT, Problem(text="outbox.repeat-key"))

    monkeypatch.setattr(desk.outbox, "record", conflict)

    desk.receive(GOOD)

    assert desk.events == ["message.refused"]


def test_a_defect_leaves_as_it_is_and_nothing_is_answered(desk: Desk) -> None:
    with pytest.raises(ZeroDivisionError):
        failing(desk, judge=ZeroDivisionError()).receive(GOOD)

    assert desk.script.results == []
    assert desk.outbox.shelf.refused == {}


@pytest.mark.parametrize("carries", [False, True])
def test_attachments_are_taken_in_only_where_every_receiver_is_given_them(rules: RuleSet, carries: bool) -> None:  # noqa: FBT001  # parametrized
    script, outbox = Scripted(rules=rules), Outbox()
    attachment = Attachment(name="a.pdf", media_type="application/pdf", size=1, sha256="ab" * 32, id="cd" * 32)
    intake = Intake(
        prover=cast("Prover", script), judge=cast("Judge", script), rules=lambda: rules, outbox=outbox, clock=lambda: NOW,
        entropy=os.urandom, watch=lambda _event, _fields: None, carries=lambda _: carries,
    )  # fmt: skip
    came = replace(builders.arrival(builders.message("10/01")), attachments=(attachment,))

    intake.receive(came, script)

    (result,) = script.results
    if carries:
        assert outbox.entries[0].envelope.attachments == (attachment,)
        assert isinstance(result, Receipt)
        assert result.attachments == (attachment,)
    else:
        assert outbox.entries == []
        assert isinstance(result, Refusal)
        assert (result.code, result.problems[0].text) == (Code.NO_ROUTE, "attachments.not-carried")
