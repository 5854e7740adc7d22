"""A party that fetches: handed out under a lease, confirmed, refused, or back in the mailbox."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from gateway.collect import MAX_BYTES, Collect, Parcel
from gateway.errors import Code, Conflict, NotValid, Problem
from gateway.lifecycle import Accepted, Delivered, State, next_step
from gateway.model import DeliveryId, Envelope, Party, PartyCode, Reply, Request, RetryPolicy, Route
from gateway.outbox.memory import MemoryOutbox
from gateway.ports import Entry, Profile
from gateway.routing.rules import RuleSet, load
from gateway.testing.entries import BNN, NSW, START, make_entry
from gateway.xml.shipped import shipped

LEASE = timedelta(minutes=5)
ATTEMPTS = 3


@dataclass
class Agency:
    """An adapter that writes a message's content, unless it is told to fail."""

    profile = Profile(name="agency", protocol="vnsw", specification="")
    trouble: Exception | None = None
    size: int = 0

    def encode(self, envelope: Envelope, _route: Route) -> Request:
        if self.trouble:
            raise self.trouble
        return Request(endpoint="", action="", body=envelope.document.content + bytes(self.size), headers={"content-type": "text/xml"})

    def decode(self, _reply: Reply) -> Delivered:
        return Delivered()


class Seals:
    def seal(self, request: Request) -> Request:
        return replace(request, body=b"sealed " + request.body)


@dataclass
class Post:
    """A mailbox over the outbox in memory, with a clock that is moved by hand."""

    agency: Agency = field(default_factory=Agency)
    events: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.now = START
        self.outbox = MemoryOutbox(clock=lambda: self.now, entropy=os.urandom)
        rules = _rules()
        self.mailbox = Collect(
            outbox=self.outbox,
            adapters={"agriculture": self.agency},
            rules=lambda: rules,
            sealer=Seals(),
            clock=lambda: self.now,
            watch=lambda event, fields: self.events.append((event, fields)),
        )

    def receive(self, number: int = 1, **asked: object) -> Entry:
        entry = make_entry(key=str(number).encode(), **asked)  # type: ignore[arg-type]
        self.outbox.record(entry)
        return entry

    def collect(self, limit: int = 10) -> list[Parcel]:
        return self.mailbox.collect(BNN, limit=limit, lease=LEASE)

    def state(self, delivery: DeliveryId) -> State:
        return self.outbox.shelf.rows[delivery].state


def _rules() -> RuleSet:
    rules = load([shipped("routing_rules")])
    found = rules.party("BNN")
    assert isinstance(found, Party)
    collecting = replace(found, collects=True, retry=RetryPolicy(attempts=ATTEMPTS, first=timedelta(0)))
    return replace(rules, spellings={**rules.spellings, "BNN": collecting}, routes={})


@pytest.fixture
def post() -> Post:
    return Post()


def test_collect_hands_out_what_the_adapter_writes_sealed(post: Post) -> None:
    entry = post.receive()

    (parcel,) = post.collect()

    assert parcel.body == b"sealed " + entry.envelope.document.content
    assert parcel.sha256 == hashlib.sha256(parcel.body).hexdigest()
    assert (parcel.media_type, parcel.claim.message, parcel.claim.until) == ("text/xml", entry.arrival.id, START + LEASE)


def test_collect_notes_what_it_hands_out(post: Post) -> None:
    post.receive()

    (parcel,) = post.collect()

    assert post.outbox.shelf.notes[parcel.claim.delivery, parcel.claim.token].body == parcel.body
    assert [event for event, _ in post.events] == ["delivery.handed-out"]


def test_what_is_handed_out_is_in_no_other_hands_while_its_lease_runs(post: Post) -> None:
    post.receive()
    post.collect()

    post.now += LEASE - timedelta(seconds=1)

    assert post.collect() == []


def test_collect_takes_nothing_from_those_who_deliver_to_others(post: Post) -> None:
    post.receive(parties=(NSW,))
    (claim,) = post.outbox.claim({NSW: 1})
    post.now += timedelta(hours=1)  # the database was away: nobody could lengthen a lease, and its holder lives

    post.collect()

    post.outbox.note(claim, Request(endpoint="", action="", body=b"x"))
    assert post.state(claim.delivery) is State.SENDING


def test_collect_hands_out_no_more_than_was_asked_for(post: Post) -> None:
    for number in range(3):
        post.receive(number)

    assert [len(post.collect(limit=2)) for _ in range(3)] == [2, 1, 0]


def test_collect_ends_with_the_message_that_fills_it(post: Post) -> None:
    for number in range(3):
        post.receive(number)
    post.agency.size = MAX_BYTES // 2

    assert [len(post.collect()) for _ in range(2)] == [2, 1]


def test_mailbox_of_another_party_is_not_touched(post: Post) -> None:
    post.receive(parties=(BNN, NSW))

    assert [parcel.claim.party for parcel in post.collect()] == [BNN]


def test_confirmed_is_delivered(post: Post) -> None:
    entry = post.receive()
    (parcel,) = post.collect()

    state = post.mailbox.confirm(BNN, parcel.claim.delivery, parcel.claim.token, reference="K-1")

    assert state is post.state(entry.receipt.deliveries[0]) is State.DELIVERED
    assert post.outbox.shelf.rows[entry.receipt.deliveries[0]].reference == "K-1"


def test_confirming_twice_is_answered_alike(post: Post) -> None:
    post.receive()
    (parcel,) = post.collect()

    states = [post.mailbox.confirm(BNN, parcel.claim.delivery, parcel.claim.token) for _ in range(2)]

    assert states == [State.DELIVERED, State.DELIVERED]
    assert [event for event, _ in post.events].count("delivery.settled") == 1


def test_refused_is_rejected_with_its_reason_and_twice_too(post: Post) -> None:
    post.receive()
    (parcel,) = post.collect()

    states = [post.mailbox.refuse(BNN, parcel.claim.delivery, parcel.claim.token, reason="sai cảng") for _ in range(2)]

    assert states == [State.REJECTED, State.REJECTED]
    assert post.outbox.shelf.rows[parcel.claim.delivery].cause == "sai cảng"


def test_refusing_what_was_confirmed_is_a_conflict(post: Post) -> None:
    post.receive()
    (parcel,) = post.collect()
    post.mailbox.confirm(BNN, parcel.claim.delivery, parcel.claim.token)

    with pytest.raises(Conflict) as refused:
        post.mailbox.refuse(BNN, parcel.claim.delivery, parcel.claim.token, reason="no")

    assert refused.value.problems[0].text == "outbox.settled-otherwise"


def test_not_confirmed_returns_to_the_mailbox_when_its_lease_ends(post: Post) -> None:
    post.receive()
    (first,) = post.collect()
    post.now += LEASE

    (second,) = post.collect()

    assert second.claim.message == first.claim.message
    assert second.claim.token != first.claim.token
    with pytest.raises(Conflict) as refused:
        post.mailbox.confirm(BNN, first.claim.delivery, first.claim.token)
    assert refused.value.problems[0].text == "outbox.lease-ended"


def test_late_confirmation_counts_while_nobody_else_has_it(post: Post) -> None:
    post.receive()
    (parcel,) = post.collect()
    post.now += LEASE

    assert post.mailbox.confirm(BNN, parcel.claim.delivery, parcel.claim.token) is State.DELIVERED


@pytest.mark.parametrize("wrong", ["party", "delivery", "token"])
def test_what_is_not_held_cannot_be_confirmed(post: Post, wrong: str) -> None:
    post.receive()
    (parcel,) = post.collect()
    given = {"party": BNN, "delivery": parcel.claim.delivery, "token": parcel.claim.token} | {wrong: "OTHER"}

    with pytest.raises(Conflict if wrong == "token" else NotValid):
        post.mailbox.confirm(PartyCode(given["party"]), DeliveryId(given["delivery"]), given["token"])

    assert post.state(parcel.claim.delivery) is State.SENDING


def test_set_aside_after_its_last_handing_out_and_the_next_one_is_given(post: Post) -> None:
    entry = post.receive()
    for _ in range(ATTEMPTS):
        assert len(post.collect()) == 1
        post.now += LEASE
    other = post.receive(2)

    assert [parcel.claim.message for parcel in post.collect(limit=1)] == [other.arrival.id]

    row = post.outbox.shelf.rows[entry.receipt.deliveries[0]]
    assert (row.state, row.cause, row.attempt) == (State.DEAD, "not-confirmed", ATTEMPTS)


def test_what_cannot_be_written_is_set_aside_and_the_next_one_is_given(post: Post) -> None:
    entry = post.receive()
    post.agency.trouble = NotValid(Code.SCHEMA, Problem(text="outbox.purged"))

    assert post.collect() == []
    assert post.state(entry.receipt.deliveries[0]) is State.DEAD


def test_defect_of_an_adapter_ends_set_aside_under_its_name(post: Post) -> None:
    entry = post.receive()
    post.agency.trouble = RuntimeError("secret")

    assert post.collect() == []

    row = post.outbox.shelf.rows[entry.receipt.deliveries[0]]
    assert (row.state, row.cause) == (State.DEAD, "defect")
    assert "secret" not in str(post.events)


def test_what_was_taken_when_it_was_still_sent_is_not_handed_out_again(post: Post) -> None:
    entry = post.receive()
    (claim,) = post.outbox.claim({BNN: 1})
    taken = Accepted(reference="77", ask_again_in=timedelta(0))
    post.outbox.settle(claim, next_step(claim.state, taken, attempt=1, policy=RetryPolicy(), now=post.now), taken, None)

    assert post.collect() == []
    assert post.outbox.shelf.rows[entry.receipt.deliveries[0]].cause == "no-answer"


def test_later_message_of_a_dossier_waits_for_the_earlier_one_to_be_confirmed(post: Post) -> None:
    for number in (1, 2):
        post.receive(number, order="dossier")

    (first,) = post.collect()
    assert post.collect() == []
    post.mailbox.confirm(BNN, first.claim.delivery, first.claim.token)

    assert len(post.collect()) == 1
