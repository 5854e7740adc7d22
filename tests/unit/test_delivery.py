import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.delivery import DATABASE_PAUSE, NO_ADDRESS_PAUSE, Delivery
from gateway.errors import Code, NotValid, Problem, StaleClaim, Unavailable
from gateway.lifecycle import Accepted, Deferred, Delivered, Failed, Outcome, Rejected, State, Step, perhaps_taken
from gateway.model import Attachment, Envelope, Party, PartyCode, Reply, Request, Route, Subject
from gateway.ports import Claim, Profile
from gateway.protocols.vnsw import client
from gateway.protocols.vnsw.dialects import GATEWAY
from gateway.protocols.vnsw.wrapping import response
from gateway.routing.rules import RuleSet, load
from gateway.security import beside, cms
from gateway.security.devpki import generate
from gateway.security.keys import SigningKey, load_key
from gateway.security.prover import Prover
from gateway.security.signer import sign_system
from gateway.security.trust import Trust
from gateway.testing import builders
from gateway.testing.evidence import receipt
from gateway.xml import soap
from gateway.xml.envelope import swap, write
from gateway.xml.shipped import shipped

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
ENDPOINT = "http://127.0.0.1:1/ws"


@dataclass
class Told:
    """An outbox that remembers what it was told."""

    steps: list[Step] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    noted: list[Request] = field(default_factory=list)
    lost: bool = False

    def load(self, claim: Claim) -> Envelope:
        return replace(builders.envelope(), id=claim.message)

    def note(self, claim: Claim, request: Request) -> None:
        if self.lost:
            raise StaleClaim(Code.CONFLICT, Problem(text="outbox.stale", values={"delivery": claim.delivery}))
        self.noted.append(request)

    def settle(self, _claim: Claim, step: Step, outcome: Outcome, _reply: Reply | None) -> None:
        self.steps.append(step)
        self.outcomes.append(outcome)


class Agency:
    """An adapter whose decode is given."""

    profile = Profile(name="agency", protocol="vnsw", specification="")

    def __init__(self, decode: Callable[[Reply], Outcome]) -> None:
        self._decode = decode
        self.encoded = 0

    def encode(self, _envelope: Envelope, route: Route) -> Request:
        self.encoded += 1
        return Request(endpoint=route.endpoint, action="", body=b"message")

    def decode(self, reply: Reply) -> Outcome:
        return self._decode(reply)


class AskedLater(Agency):
    def poll(self, reference: str, route: Route) -> Request:
        return Request(endpoint=route.endpoint, action="", body=reference.encode())


class Wire:
    """A transport that answers, or fails in one way."""

    def __init__(self, failure: str = "", *, answer: bytes = b"answer", status: int = 200) -> None:
        self._failure = failure
        self._status = status
        self._answer = answer
        self.sent: list[Request] = []
        self.allowed: list[timedelta] = []

    def send(self, request: Request, *, timeout: timedelta) -> Reply:
        self.sent.append(request)
        self.allowed.append(timeout)
        if self._failure:
            raise Unavailable(Code.UNAVAILABLE, Problem(text=f"transport.{self._failure}"))
        return Reply(status=self._status, body=self._answer)


class Unsealed:
    def seal(self, request: Request) -> Request:
        return request


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return load([shipped("routing_rules")])


def carrier(rules: RuleSet, told: Told, agency: Agency, wire: Wire, *, endpoint: str = ENDPOINT) -> Delivery:
    party = replace(_bnn(rules), endpoint=endpoint, adapter="agency")
    known = replace(rules, spellings={**rules.spellings, "BNN": party}, routes={})
    return Delivery(
        outbox=told,  # type: ignore[arg-type]  # only what delivery calls
        adapters={"agency": agency}, rules=lambda: known, sealer=Unsealed(), transport=wire,
        prover=Prover(Trust(Path("/nowhere")), lambda: NOW, rules.zone), clock=lambda: NOW, watch=lambda _event, _fields: None,
    )  # fmt: skip


def _bnn(rules: RuleSet) -> Party:
    party = rules.party("BNN")
    assert party is not None
    return party


def a_claim(*, state: State = State.QUEUED, attempt: int = 1, reference: str = "") -> Claim:
    return Claim(
        delivery=builders.envelope().id,  # type: ignore[arg-type]  # any id
        token=os.urandom(4).hex(), until=NOW + timedelta(seconds=90), state=state, attempt=attempt, party=PartyCode("BNN"), route="to-BNN",
        reference=reference, message=builders.envelope().id,
    )  # fmt: skip


def test_delivered_is_noted_before_it_is_sent_and_settled_after(rules: RuleSet) -> None:
    told, wire = Told(), Wire()

    carrier(rules, told, Agency(lambda _: Delivered(reference="7")), wire).carry(a_claim())

    assert [r.body for r in told.noted] == [r.body for r in wire.sent] == [b"message"]
    assert [s.to for s in told.steps] == [State.DELIVERED]


def test_what_staff_corrected_is_what_the_adapter_writes_with(rules: RuleSet) -> None:
    seen: list[Route] = []

    class Writing(Agency):
        def encode(self, envelope: Envelope, route: Route) -> Request:
            seen.append(route)
            return super().encode(envelope, route)

    claim = replace(a_claim(), corrections={"receiver": "MARD", "version": "2"})
    carrier(rules, Told(), Writing(lambda _: Delivered()), Wire()).carry(claim)

    assert [(r.party.identity.identity, r.party.dialect["version"], r.party.code) for r in seen] == [("MARD", "2", "BNN")]


@pytest.mark.parametrize(("within", "allowed"), [(None, 15), (timedelta(seconds=3), 3), (timedelta(minutes=1), 15)])
def test_request_has_what_its_route_allows_or_less(rules: RuleSet, within: timedelta | None, allowed: int) -> None:
    wire = Wire()

    carrier(rules, Told(), Agency(lambda _: Delivered()), wire).carry(a_claim(), probe=True, within=within)

    assert wire.allowed == [timedelta(seconds=allowed)]


def test_silent_partner_is_tried_again_by_policy(rules: RuleSet) -> None:
    told = Told()

    carried = carrier(rules, told, Agency(lambda _: Delivered()), Wire("timeout")).carry(a_claim())

    assert carried.outcome == Failed(code="timeout")
    assert carried.away
    assert (told.steps[0].to, told.steps[0].reason) == (State.RETRYING, "timeout")


def test_probe_that_fails_costs_no_attempt_and_keeps_its_cause(rules: RuleSet) -> None:
    told = Told()

    carrier(rules, told, Agency(lambda _: Delivered()), Wire("refused")).carry(a_claim(), probe=True)

    assert (told.steps[0].to, told.steps[0].counts, told.steps[0].reason) == (State.RETRYING, False, "refused")


def test_lost_claim_sends_nothing(rules: RuleSet) -> None:
    wire = Wire()

    with pytest.raises(StaleClaim):
        carrier(rules, Told(lost=True), Agency(lambda _: Delivered()), wire).carry(a_claim())

    assert wire.sent == []


def test_partner_is_asked_only_from_the_note_to_its_answer(rules: RuleSet) -> None:
    happened: list[str] = []

    class Slow(Told):
        def note(self, claim: Claim, request: Request) -> None:
            happened.append("note")
            super().note(claim, request)

        def settle(self, claim: Claim, step: Step, outcome: Outcome, reply: Reply | None) -> None:
            happened.append("settle")
            super().settle(claim, step, outcome, reply)

    @contextmanager
    def asking() -> Iterator[None]:
        happened.append("ask")
        yield
        happened.append("answer")

    carrier(rules, Slow(), Agency(lambda _: Delivered()), Wire()).carry(a_claim(), asking=asking())

    assert happened == ["note", "ask", "answer", "settle"]


def test_time_that_a_request_took_is_that_of_the_partner_alone(rules: RuleSet) -> None:
    times = itertools.count()

    class Waiting(Told):
        def settle(self, claim: Claim, step: Step, outcome: Outcome, reply: Reply | None) -> None:
            for _ in range(20):
                next(times)
            super().settle(claim, step, outcome, reply)

    delivery = carrier(rules, Waiting(), Agency(lambda _: Delivered()), Wire())

    carried = replace(delivery, clock=lambda: NOW + timedelta(seconds=next(times))).carry(a_claim())

    assert carried.took == timedelta(seconds=1)


@pytest.mark.parametrize("state", [State.QUEUED, State.AWAITING_REPLY])
def test_database_that_is_away_before_anything_left_costs_no_attempt(rules: RuleSet, state: State) -> None:
    class Away(Told):
        def note(self, _claim: Claim, _request: Request) -> None:
            raise Unavailable(Code.UNAVAILABLE, Problem(text="store.away"))

    told, wire = Away(), Wire()

    carried = carrier(rules, told, AskedLater(lambda _: Delivered()), wire).carry(a_claim(state=state))

    assert (told.outcomes[0], told.steps[0].counts, wire.sent) == (Deferred(for_=DATABASE_PAUSE, reason="database-away"), False, [])
    assert (carried.away, carried.silent) == (False, True)


def test_defect_of_an_adapter_ends_as_a_failure_with_its_name(rules: RuleSet) -> None:
    def broken(_: Reply) -> Outcome:
        raise KeyError("x")

    told = Told()

    carrier(rules, told, Agency(broken), Wire()).carry(a_claim())

    assert told.outcomes == [Failed(code="defect", detail="KeyError")]
    assert told.steps[0].to is State.RETRYING


def test_message_the_agency_cannot_be_sent_is_set_aside_at_once(rules: RuleSet) -> None:
    class Particular(Agency):
        def encode(self, _envelope: Envelope, _route: Route) -> Request:
            raise NotValid(Code.SCHEMA, Problem(text="wsdl.value"))

    told = Told()

    carrier(rules, told, Particular(lambda _: Delivered()), Wire()).carry(a_claim())

    assert (told.steps[0].to, told.steps[0].reason) == (State.DEAD, "value")


def test_party_without_an_address_waits_loses_no_attempt_and_is_told_of(rules: RuleSet) -> None:
    told, wire, seen = Told(), Wire(), []
    delivery = carrier(rules, told, Agency(lambda _: Delivered()), wire, endpoint="")

    replace(delivery, watch=lambda _event, fields: seen.append(fields["code"])).carry(a_claim())

    assert (told.outcomes, seen) == ([Deferred(for_=NO_ADDRESS_PAUSE, reason="no-address")], ["no-address"])
    assert (told.steps[0].counts, told.steps[0].reason, wire.sent) == (False, "no-address", [])


def test_what_the_partner_took_is_asked_about_and_not_sent_again(rules: RuleSet) -> None:
    agency, wire, told = AskedLater(lambda _: Accepted(reference="T", ask_again_in=timedelta(seconds=5))), Wire(), Told()

    carrier(rules, told, agency, wire).carry(a_claim(state=State.AWAITING_REPLY, reference="T"))

    assert (agency.encoded, [r.body for r in wire.sent]) == (0, [b"T"])
    assert told.steps[0].to is State.AWAITING_REPLY


def test_adapter_that_can_no_longer_ask_sets_aside_instead_of_sending_twice(rules: RuleSet) -> None:
    agency, wire, told = Agency(lambda _: Delivered()), Wire(), Told()

    carrier(rules, told, agency, wire).carry(a_claim(state=State.AWAITING_REPLY, reference="T"))

    assert (agency.encoded, wire.sent) == (0, [])
    assert (told.steps[0].to, told.steps[0].reason) == (State.DEAD, "cannot-ask")


def test_removed_party_sets_the_delivery_aside(rules: RuleSet) -> None:
    told = Told()

    carrier(rules, told, Agency(lambda _: Delivered()), Wire()).carry(replace(a_claim(), party=PartyCode("GONE")))

    assert told.steps[0].to is State.DEAD


def test_partner_s_reply_limit_goes_with_the_request(rules: RuleSet) -> None:
    wire = Wire()

    carrier(rules, Told(), Agency(lambda _: Delivered()), wire).carry(a_claim())

    assert wire.sent[0].reply_bytes == _bnn(rules).limits.reply_bytes


def test_message_that_an_adapter_would_send_without_its_attachments_is_set_aside(rules: RuleSet) -> None:
    class Beside(Told):
        def load(self, claim: Claim) -> Envelope:
            attachment = Attachment(name="a.pdf", media_type="application/pdf", size=1, sha256="ab" * 32, id="cd" * 32)
            return replace(super().load(claim), attachments=(attachment,))

    told, wire = Beside(), Wire()

    carrier(rules, told, Agency(lambda _: Delivered()), wire).carry(a_claim())

    assert (told.outcomes, wire.sent) == ([Failed(code="not-carried", final=True)], [])


# --- a reply with its signature beside it ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    generate(folder, now=NOW, parties=("BNN", "NSW"))
    return folder


@pytest.mark.parametrize(("signer", "end"), [("BNN", State.DELIVERED), ("NSW", State.RETRYING), ("", State.RETRYING)])
def test_reply_signed_beside_is_proved_and_its_first_part_decoded(rules: RuleSet, pki: Path, signer: str, end: State) -> None:
    key = load_key(pki / "keys" / f"{signer or 'BNN'}.key.pem", pki / "parties" / f"{signer or 'BNN'}.pem")
    body = beside.write(b"answer", cms.sign(b"answer" if signer else b"another", key, at=NOW))
    told, agency = Told(), Agency(lambda reply: Delivered(reference=reply.body.decode()))
    delivery = replace(carrier(rules, told, agency, Wire(answer=body)), prover=Prover(Trust(pki), lambda: NOW, rules.zone))

    delivery.carry(a_claim())

    assert [s.to for s in told.steps] == [end]
    assert (told.outcomes == [Delivered(reference="answer")]) == (end is State.DELIVERED)


# --- a signed reply is held to what was sent -------------------------------------------------------------------------


class Ministry(AskedLater):
    """An adapter that speaks as the gateway's own door does; its agency may be asked later, and may sign what it answers."""

    def __init__(self) -> None:
        super().__init__(lambda reply: client.decode(GATEWAY, reply))

    def encode(self, envelope: Envelope, route: Route) -> Request:
        self.encoded += 1
        return client.encode(GATEWAY, envelope, route)

    def signed_part(self, reply: Reply) -> bytes | None:
        return client.signed_part(GATEWAY, reply)


@pytest.fixture(scope="module")
def ministrys(pki: Path) -> SigningKey:
    return load_key(pki / "keys" / "BNN.key.pem", pki / "parties" / "BNN.pem")


def answered(rules: RuleSet, pki: Path, answer: bytes, **claimed: Any) -> tuple[Step, Outcome]:
    told = Told()
    delivery = replace(carrier(rules, told, Ministry(), Wire(answer=answer)), prover=Prover(Trust(pki), lambda: NOW, rules.zone))

    delivery.carry(a_claim(**claimed))

    return told.steps[0], told.outcomes[0]


@pytest.mark.parametrize("profile", ["xmldsig", "xades-b-b", "wss-x509", "cms-detached"])
def test_sig_33_signed_receipt_for_something_else_is_no_delivery(rules: RuleSet, pki: Path, ministrys: SigningKey, profile: str) -> None:
    sent = builders.envelope().document.content
    right = receipt(sent, ministrys, number="7", at=NOW, profile=profile)
    other = receipt(sent, ministrys, number="7", at=NOW, profile=profile, reference="another")

    assert answered(rules, pki, right)[1] == Delivered(reference="7")
    step, outcome = answered(rules, pki, other)
    assert outcome == Failed(code="reply-other", unproven=True)
    assert (step.to, step.reason) == (State.RETRYING, "reply-other")


def test_reply_that_fails_its_proof_leaves_it_open_whether_the_partner_has_the_message(
    rules: RuleSet, pki: Path, ministrys: SigningKey
) -> None:
    altered = receipt(builders.envelope().document.content, ministrys, number="7", at=NOW).replace(b"ReceiveDate", b"ReceivedAt")

    outcome = answered(rules, pki, altered)[1]

    assert isinstance(outcome, Failed)
    assert perhaps_taken(outcome, answered=True) is True


def test_redelivery_of_what_got_the_wrong_receipt_gets_the_right_one(rules: RuleSet, pki: Path, ministrys: SigningKey) -> None:
    sent, again = builders.envelope().document.content, {"state": State.RETRYING, "attempt": 2}
    other = receipt(sent, ministrys, number="7", at=NOW, reference="another")

    assert answered(rules, pki, other)[0].to is State.RETRYING
    assert answered(rules, pki, receipt(sent, ministrys, number="7", at=NOW), **again)[0].to is State.DELIVERED


def test_answer_to_a_poll_is_held_to_what_was_sent_before(rules: RuleSet, pki: Path, ministrys: SigningKey) -> None:
    sent, polled = builders.envelope().document.content, {"state": State.AWAITING_REPLY, "reference": "T"}
    other = receipt(sent, ministrys, number="7", at=NOW, reference="another")

    assert answered(rules, pki, receipt(sent, ministrys, number="7", at=NOW), **polled)[0].to is State.DELIVERED
    assert answered(rules, pki, other, **polled)[0].to is State.AWAITING_REPLY


@pytest.mark.parametrize(("reference", "end"), [("", State.REJECTED), ("another", State.RETRYING)])
def test_signed_refusal_may_leave_out_what_it_could_not_read_but_name_nothing_else(
    rules: RuleSet, pki: Path, ministrys: SigningKey, reference: str, end: State
) -> None:
    refusal = signed(ministrys, refused(reference))

    assert answered(rules, pki, refusal)[0].to is end


def test_signed_receipt_whose_header_cannot_be_read_is_no_delivery(rules: RuleSet, pki: Path, ministrys: SigningKey) -> None:
    vague = b"<Envelope><Header><Subject><function>99</function></Subject></Header><Body><Content></Content></Body></Envelope>"

    assert answered(rules, pki, signed(ministrys, vague))[0].reason == "reply-other"


def test_receipt_that_nobody_signed_is_proved_by_the_channel_alone(rules: RuleSet, pki: Path) -> None:
    unsigned = receipt(builders.envelope().document.content, None, number="7", at=NOW, reference="another")

    assert answered(rules, pki, unsigned)[1] == Delivered(reference="7")


def test_what_is_signed_for_the_partner_is_what_its_receipt_is_held_to(rules: RuleSet, pki: Path, ministrys: SigningKey) -> None:
    right = receipt(builders.envelope().document.content, ministrys, number="7", at=NOW)
    sealed = replace(_bnn(rules).accepts, signature="xmldsig")

    assert to_one_who(rules, pki, right, accepts=sealed) == Delivered(reference="7")


@pytest.mark.parametrize("demands", [True, False])
def test_sig_26_partner_that_signs_its_answers_is_held_to_it(rules: RuleSet, pki: Path, *, demands: bool) -> None:
    unsigned = receipt(builders.envelope().document.content, None, number="7", at=NOW)
    signs = replace(_bnn(rules).sends, replies_signed=demands)

    outcome = to_one_who(rules, pki, unsigned, sends=signs)

    assert outcome == (Failed(code="reply-unsigned", unproven=True) if demands else Delivered(reference="7"))


@pytest.mark.parametrize(
    ("status", "body", "code"), [(503, b"busy", "http-503"), (200, soap.fault("1.1", sender=False, text="x", language="en"), "soap-fault")]
)
def test_failure_needs_no_signature_and_keeps_its_own_name(rules: RuleSet, pki: Path, status: int, body: bytes, code: str) -> None:
    signs = replace(_bnn(rules).sends, replies_signed=True)

    outcome = to_one_who(rules, pki, body, status=status, sends=signs)

    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.unproven) == (code, False)


def test_refusal_of_a_partner_that_signs_counts_only_where_it_is_signed(rules: RuleSet, pki: Path, ministrys: SigningKey) -> None:
    signs = replace(_bnn(rules).sends, replies_signed=True)
    unsigned = soap.wrap(response(GATEWAY, refused("")), version="1.1")

    assert to_one_who(rules, pki, unsigned, status=500, sends=signs) == Failed(code="reply-unsigned", unproven=True)
    assert isinstance(to_one_who(rules, pki, signed(ministrys, refused("")), sends=signs), Rejected)


def to_one_who(rules: RuleSet, pki: Path, answer: bytes, *, status: int = 200, **what: Any) -> Outcome:
    """Deliver to a party with something of its own."""
    told, wire = Told(), Wire(answer=answer, status=status)
    delivery = replace(carrier(rules, told, Ministry(), wire), prover=Prover(Trust(pki), lambda: NOW, rules.zone))
    known = delivery.rules()
    party = known.party("BNN")
    assert party is not None
    known = replace(known, spellings={**known.spellings, "BNN": replace(party, **what)})

    replace(delivery, rules=lambda: known).carry(a_claim())

    return told.outcomes[0]


def refused(reference: str) -> bytes:
    header = swap(builders.envelope().header)
    about = Subject(document_type=header.subject.document_type, type="", function="00", reference=reference, year="")
    return write(replace(header, id="8", subject=about), b"<ErrorList/>", zone=builders.ZONE)


def signed(key: SigningKey, envelope: bytes) -> bytes:
    return soap.wrap(response(GATEWAY, sign_system(envelope, key)), version="1.1")
