"""Who sees what of a message."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.store.queries import DeliveryRow, MessageRow, Moment
from gateway.store.viewer import STAFF, TOLD, Viewer, tells_leaf

NOW = datetime(2026, 12, 31, 1, 0, tzinfo=UTC)
SIGNER = {"role": "person", "subject": "CN=Nguyễn Văn A", "tax_code": "0101", "certificate_sha256": "ab", "covers": ["/x"]}
SENDER, RECEIVER, OTHER, STRANGER = "NSW", "BNN", "PORT", "TCHQ"


def message(*, state: str = "accepted") -> MessageRow:
    return MessageRow(
        id="m1", state=state, received_at=NOW, door="rest", channel="key:portal", sender=SENDER, receiver=RECEIVER, message_id="1",
        procedure="P", type="10", function="01", reference="R1", year="2026", previous="", sha256="cd", schema="S", proof="signature",
        signers=(SIGNER,), schema_pack="1", rule_set="1", procedure_version="1", code=None, cause=(), warnings=(),
    )  # fmt: skip


def delivery(party: str) -> DeliveryRow:
    return DeliveryRow(
        id=f"d-{party}", message="m1", party=party, route="r", state="rejected", attempt=2, due_at=None, reference="77/2026",
        cause="Giấy phép hết hạn", created_at=NOW, updated_at=NOW, perhaps_taken=True,
    )  # fmt: skip


BOTH = (delivery(RECEIVER), delivery(OTHER))


@pytest.mark.parametrize(("party", "concerned"), [(None, True), (SENDER, True), (RECEIVER, True), (OTHER, True), (STRANGER, False)])
def test_a_message_concerns_staff_its_sender_and_its_receivers(party: str | None, concerned: bool) -> None:  # noqa: FBT001  # a case
    assert Viewer(party=party, content=True).concerned(message(), BOTH) is concerned


@pytest.mark.parametrize(("party", "shown"), [(None, BOTH), (RECEIVER, BOTH[:1]), (OTHER, BOTH[1:]), (STRANGER, ())])
def test_staff_see_every_delivery_and_a_receiver_its_own_as_it_stands(party: str | None, shown: tuple[DeliveryRow, ...]) -> None:
    assert Viewer(party=party).deliveries(message(), BOTH) == shown


def test_a_delivery_that_ended_before_anything_left_is_no_business_of_its_party() -> None:
    unmade = replace(delivery(RECEIVER), state="cancelled", concerns=False)
    viewer = Viewer(party=RECEIVER, content=True)

    assert not viewer.concerned(message(), (unmade,))
    assert not viewer.owns(unmade)
    assert Viewer(party=SENDER).deliveries(message(), (unmade,))[0].state == "cancelled"
    assert STAFF.owns(unmade)


def test_the_sender_sees_whether_its_message_arrived_and_nothing_that_was_answered() -> None:
    shown = Viewer(party=SENDER, content=True).deliveries(message(), BOTH)

    assert [(d.party, d.state, d.cause, d.reference) for d in shown] == [(RECEIVER, "rejected", "", ""), (OTHER, "rejected", "", "")]
    assert {d.perhaps_taken for d in shown} == {None}


def test_the_sender_sees_a_delivery_to_itself_whole() -> None:
    own = delivery(SENDER)

    assert Viewer(party=SENDER).deliveries(message(), (own,)) == (own,)


@pytest.mark.parametrize("party", [None, SENDER, RECEIVER])
def test_who_signed_is_for_those_who_see_content(party: str | None) -> None:
    assert Viewer(party=party).message(message()).signers == ({"role": "person", "certificate_sha256": "ab"},)
    assert Viewer(party=party, content=True).message(message()).signers == (SIGNER,)


@pytest.mark.parametrize(("party", "channel"), [(None, "key:portal"), (SENDER, "key:portal"), (RECEIVER, "key")])
def test_by_which_key_it_came_is_between_the_sender_and_the_gateway(party: str | None, channel: str) -> None:
    assert Viewer(party=party).message(message()).channel == channel


@pytest.mark.parametrize(
    ("party", "parts"), [(None, {"document", "body", "answer"}), (SENDER, {"document", "body", "answer"}), (RECEIVER, {"document"})]
)
def test_content_is_the_senders_and_the_document_the_receivers_too(party: str | None, parts: set[str]) -> None:
    assert Viewer(party=party, content=True).parts(message()) == parts
    assert Viewer(party=party).parts(message()) == frozenset()


def test_a_refused_message_proves_no_sender() -> None:
    named, refused = Viewer(party=SENDER, content=True), message(state="refused")

    assert named.concerned(refused, ())
    assert (named.parts(refused), named.message(refused).channel) == (frozenset(), "key")
    assert STAFF.parts(refused) == {"document", "body", "answer"}


KINDS = ("message.accepted", "delivery.settled", "delivery.created", "staff.replayed", "staff.looked", "evidence.exported", "hold.placed")


@pytest.mark.parametrize(
    ("party", "told"),
    [
        (None, {(kind, of) for kind in KINDS for of in (f"d-{RECEIVER}", f"d-{OTHER}")}),
        (SENDER, {(kind, of) for kind in KINDS[:2] for of in (f"d-{RECEIVER}", f"d-{OTHER}")}),
        (RECEIVER, {(kind, f"d-{RECEIVER}") for kind in KINDS[:2]}),
        (STRANGER, set()),
    ],
)
def test_events_that_name_staff_and_those_of_others_are_not_told(party: str | None, told: set[tuple[str, str]]) -> None:
    tells = Viewer(party=party).tells(message(), BOTH)

    assert {(kind, of) for kind in KINDS for of in (f"d-{RECEIVER}", f"d-{OTHER}") if tells(kind, of)} == told


def test_a_leaf_is_told_as_its_event_is() -> None:
    tells = Viewer(party=RECEIVER).tells(message(), BOTH)

    assert tells_leaf(tells, '{"at":1,"kind":"message.accepted","message":"m1"}')
    assert not tells_leaf(tells, '{"at":1,"by":"key:duty","kind":"staff.replayed","message":"m1","delivery":"d-BNN"}')
    assert not tells_leaf(tells, f'{{"at":1,"kind":"delivery.settled","message":"m1","delivery":"d-{OTHER}"}}')


@pytest.mark.parametrize(("party", "named"), [(None, True), (SENDER, True), (RECEIVER, False)])
def test_a_receiver_is_not_told_how_many_others_there_are(party: str | None, named: bool) -> None:  # noqa: FBT001  # a case
    moment = Moment(at=NOW, kind="message.accepted", delivery=None, values={"sha256": "cd", "deliveries": "d-BNN d-PORT"})

    (told,) = Viewer(party=party).timeline(message(), BOTH, (moment,))

    assert (told.values["sha256"], "deliveries" in told.values) == ("cd", named)


def test_no_event_that_parties_are_told_is_an_act_of_staff() -> None:
    assert {kind.partition(".")[0] for kind in TOLD} == {"message", "delivery"}
