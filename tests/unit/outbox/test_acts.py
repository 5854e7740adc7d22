"""Each act of staff on one delivery: what it does, what the ledger says of it, and when it is refused."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.errors import Conflict, NotValid
from gateway.installed import discover
from gateway.lifecycle import MAX_DEATHS, TRANSITIONS, Accepted, Delivered, Failed, Outcome, Rejected, State, next_step
from gateway.model import DeliveryId, PartyCode, Reply, Request, RetryPolicy
from gateway.outbox.orders import POSSIBLE, Act, FourEyes, Order
from gateway.outbox.outbox import LEASE
from gateway.protocols.vnsw.client import read_answer
from gateway.routing.rules import RuleSet
from gateway.testing.desk import Desk
from gateway.testing.entries import BNN, NSW

TCHQ = PartyCode("TCHQ")
REASON = "Bộ nông nghiệp đã nhận bản giấy"


def test_every_act_that_ends_a_delivery_is_a_listed_transition() -> None:
    ending = (Act.CANCEL, Act.REDIRECT, Act.RETURN)

    assert all(State.CANCELLED in TRANSITIONS[state] for act in ending for state in POSSIBLE[act])
    assert all(TRANSITIONS[state] & {State.QUEUED, State.AWAITING_REPLY} for state in POSSIBLE[Act.REPLAY])


def test_replay_makes_it_due_and_the_ledger_says_who_asked(desk: Desk) -> None:
    delivery = desk.deliver()

    assert desk.mending.once(Order(act=Act.REPLAY), delivery, by="key:lan") is None

    assert (desk.row(delivery).state, desk.row(delivery).attempt) == (State.QUEUED, 0)
    assert desk.told(delivery) == [("staff.replayed", {"by": "key:lan", "state": "queued"})]
    assert desk.wakes


@pytest.mark.parametrize(
    ("before", "after"), [(None, State.QUEUED), (Accepted(reference="T", ask_again_in=timedelta(0)), State.AWAITING_REPLY)]
)
def test_what_was_set_aside_because_its_carriers_died_is_shown_and_replayed(desk: Desk, before: Outcome | None, after: State) -> None:
    delivery = desk.deliver(before)
    die(desk, times=MAX_DEATHS)
    assert [(d.id, d.cause) for d in desk.queries.deliveries(state="dead", cause="died").items] == [(delivery, "died")]
    *_, (kind, told) = desk.told(delivery)
    assert (kind, told["state"], told["code"]) == ("delivery.rescued", "dead", "died")

    desk.mending.once(Order(act=Act.REPLAY), delivery, by="key:lan")

    assert desk.row(delivery).state == after
    die(desk, times=MAX_DEATHS - 1)  # of a new life
    assert desk.row(delivery).state == after


def die(desk: Desk, *, times: int) -> None:
    """Claim the one delivery there is, and let whoever claimed die of it."""
    for _ in range(times):
        assert len(desk.outbox.claim({BNN: 1})) == 1
        desk.clock.now += LEASE
        assert desk.outbox.rescue() == 1
        desk.clock.now += timedelta(hours=1)


NOTED = Request(endpoint="http://x", action="", body=b"asked")
UNANSWERED = Failed(code="timeout", final=True)


def ended(desk: Desk, *attempts: Outcome | None, noted: bool = True, answered: bool = False) -> DeliveryId:
    """Make a delivery of which these attempts left; whoever carried one of None died over it, until it was set aside."""
    delivery = desk.deliver(None)
    for outcome in attempts:
        for _ in range(1 if outcome else MAX_DEATHS):
            (claim,) = desk.outbox.claim({BNN: 1})
            if noted:
                desk.outbox.note(claim, NOTED)
            if outcome:
                step = next_step(claim.state, outcome, attempt=claim.attempt, policy=RetryPolicy(), now=desk.clock(), key=delivery)
                desk.outbox.settle(claim, step, outcome, Reply(status=503, body=b"?") if answered else None)
            desk.clock.now += LEASE
            desk.outbox.rescue()
            desk.clock.now += timedelta(hours=1)
    return delivery


GOING = {Act.REDIRECT: Order(act=Act.REDIRECT, party="HQ", reason="x"), Act.RETURN: Order(act=Act.RETURN, reason="x")}


@pytest.mark.parametrize("act", GOING)
@pytest.mark.parametrize(
    ("attempts", "answered"),
    [
        ((UNANSWERED,), False),
        ((Failed(code="reset"), Failed(code="refused", final=True)), False),
        ((Failed(code="reply-unreadable", final=True),), True),
        ((Failed(code="reply-other", final=True, unproven=True),), True),  # signed, and about another message
        ((Accepted(reference="T"),), True),  # it has it, and cannot be asked
        ((None,), False),
    ],
)
def test_what_the_party_may_have_goes_elsewhere_only_where_a_duplicate_is_accepted(
    desk: Desk, act: Act, attempts: Sequence[Outcome | None], *, answered: bool
) -> None:
    delivery = ended(desk, *attempts, answered=answered)
    assert (desk.row(delivery).state, desk.row(delivery).perhaps_taken) == (State.DEAD, True)

    with pytest.raises(Conflict) as refused:
        desk.mending.once(GOING[act], delivery, by="key:lan")
    assert refused.value.problems[0].text == "mending.perhaps-taken"
    assert desk.row(delivery).state == State.DEAD

    desk.mending.once(replace(GOING[act], accept_duplicate=True), delivery, by="key:lan")
    *_, (_, told) = desk.told(delivery)
    assert (desk.row(delivery).state, told["duplicate"]) == (State.CANCELLED, "accepted")


def test_what_a_party_may_have_is_still_replayed_and_that_makes_it_no_surer(desk: Desk) -> None:
    delivery = ended(desk, UNANSWERED)
    desk.mending.once(Order(act=Act.REPLAY), delivery, by="key:lan")

    with pytest.raises(Conflict):
        desk.mending.once(GOING[Act.RETURN], delivery, by="key:lan")


@pytest.mark.parametrize(
    ("attempts", "noted", "answered"),
    [
        ((Failed(code="refused", final=True),), True, False),  # nothing left
        ((Failed(code="attachments-lost", final=True),), False, False),  # nothing was written that could leave
        ((Failed(code="http-503", final=True),), True, True),  # the party said that it does not have it
        ((Failed(code="timeout"), Rejected(reason="no")), True, True),  # the party said no in the end
        ((None,), False, False),  # whoever carried it died before it left
    ],
)
def test_what_the_party_surely_does_not_have_goes_elsewhere(
    desk: Desk, attempts: Sequence[Outcome | None], *, noted: bool, answered: bool
) -> None:
    delivery = ended(desk, *attempts, noted=noted, answered=answered)
    assert desk.row(delivery).perhaps_taken is False

    desk.mending.once(GOING[Act.REDIRECT], delivery, by="key:lan")

    *_, (_, told) = desk.told(delivery)
    assert "duplicate" not in told


def test_what_was_delivered_in_the_end_is_no_longer_in_doubt(desk: Desk) -> None:
    delivery = ended(desk, Failed(code="timeout"), Delivered())

    assert (desk.row(delivery).state, desk.row(delivery).perhaps_taken) == (State.DELIVERED, False)


def test_cancel_keeps_its_reason_and_the_ledger_only_a_digest_of_it(desk: Desk) -> None:
    delivery = desk.deliver(None)

    desk.mending.once(Order(act=Act.CANCEL, reason=REASON), delivery, by="key:lan")

    ((kind, values),) = desk.told(delivery)
    assert (desk.row(delivery).state, desk.row(delivery).cause) == (State.CANCELLED, REASON)
    assert (kind, values["by"], len(values["reason"])) == ("staff.cancelled", "key:lan", 64)
    assert REASON not in json.dumps(values, ensure_ascii=False)


def test_redirect_ends_the_old_delivery_and_creates_its_successor_in_one_commit(desk: Desk) -> None:
    delivery = desk.deliver()

    desk.mending.once(Order(act=Act.REDIRECT, party="HQ", reason=REASON), delivery, by="key:lan")

    old = desk.row(delivery)
    ((_, told),) = desk.told(delivery)
    new = desk.row(told["successor"])
    assert (old.state, old.cause) == (State.CANCELLED, f"redirected: {REASON}")
    assert (new.message, new.party, new.state, new.attempt) == (old.message, TCHQ, State.QUEUED, 0)
    assert desk.told(new.id) == [("delivery.created", {"by": "key:lan", "party": "TCHQ", "predecessor": delivery})]
    (claim,) = desk.outbox.claim({TCHQ: 1})
    assert desk.outbox.load(claim).id == old.message


def test_redirect_by_route_keeps_the_order_of_its_dossier(desk: Desk, rules: RuleSet) -> None:
    route = next(route for route in rules.routes.values() if route.party.code == TCHQ and route.order == "dossier")
    first, second = desk.deliver(order="dossier"), desk.deliver()

    for delivery in (first, second):
        desk.mending.once(Order(act=Act.REDIRECT, route=route.name, reason=REASON), delivery, by="key:lan")

    assert [(claim.party, claim.route) for claim in desk.outbox.claim({TCHQ: 5})] == [(TCHQ, route.name)] * 2


def test_redirect_never_gives_a_party_the_same_message_twice(desk: Desk) -> None:
    delivery = desk.deliver()

    with pytest.raises(Conflict) as refused:
        desk.mending.once(Order(act=Act.REDIRECT, party="BNN", reason=REASON), delivery, by="key:lan")

    assert refused.value.problems[0].text == "mending.served"
    assert desk.row(delivery).state == State.DEAD


@pytest.mark.parametrize(
    ("order", "text"),
    [
        (Order(act=Act.REDIRECT, party="NOBODY", reason="x"), "mending.unknown-party"),
        (Order(act=Act.REDIRECT, route="no-such", reason="x"), "mending.unknown-route"),
        (Order(act=Act.REDIRECT, party="TCHQ", route="no-such", reason="x"), "mending.unknown-route"),
        (Order(act=Act.REDIRECT, reason="x"), "mending.no-party"),
        (Order(act=Act.REDIRECT, party="TCHQ"), "mending.no-reason"),
        (Order(act=Act.CANCEL, reason="  "), "mending.no-reason"),
        (Order(act=Act.RETURN), "mending.no-reason"),
        (Order(act=Act.CANCEL, reason="x" * 501), "mending.long-reason"),
        (Order(act=Act.CORRECT), "mending.no-correction"),
        (Order(act=Act.CORRECT, corrections={"content": "x"}), "mending.not-ours"),
        (Order(act=Act.CORRECT, corrections={"messageId": "x"}), "mending.not-ours"),
        (Order(act=Act.CORRECT, corrections={"version": "1\n"}), "mending.correction"),
        (Order(act=Act.CORRECT, corrections={"receiver": "TCHQ"}), "mending.receiver"),
        (Order(act=Act.CORRECT, route="no-such"), "mending.unknown-route"),
        (Order(act=Act.REPLAY, accept_duplicate=True), "mending.no-duplicate"),
    ],
)
def test_order_that_cannot_be_meant_is_refused_and_nothing_is_done(desk: Desk, order: Order, text: str) -> None:
    delivery = desk.deliver()

    with pytest.raises(NotValid) as refused:
        desk.mending.once(order, delivery, by="key:lan")

    assert refused.value.problems[0].text == text
    assert desk.row(delivery).state == State.DEAD


def test_return_tells_the_sender_which_message_did_not_reach_whom_and_why(desk: Desk) -> None:
    delivery = desk.deliver()

    desk.mending.once(Order(act=Act.RETURN, reason=REASON), delivery, by="key:lan")

    old = desk.row(delivery)
    ((_, told),) = desk.told(delivery)
    (claim,) = desk.outbox.claim({NSW: 1})
    notice = desk.outbox.load(claim)
    assert (old.state, old.cause) == (State.CANCELLED, f"returned: {REASON}")
    assert (notice.id, notice.sender, claim.party) == (told["notice"], "VNSW-GW", NSW)
    assert (notice.header.sender.identity, notice.header.receiver.identity) == ("VNSW-GW", "NSW")
    assert (notice.header.subject.function, notice.header.subject.reference) == ("00", "R1")
    ((code, words),) = read_answer(notice.document.content).errors
    assert code == "ERR00_CODE"
    assert REASON in words
    assert "m-1" in words
    assert "Bộ Nông nghiệp" in words


def test_notice_is_found_like_any_message_and_goes_out_by_the_senders_adapter(desk: Desk) -> None:
    delivery = desk.deliver()
    desk.mending.once(Order(act=Act.RETURN, reason=REASON), delivery, by="key:lan")
    (claim,) = desk.outbox.claim({NSW: 1})

    row = desk.queries.message(claim.message)
    party = desk.rules.party("NSW")
    route = desk.mending._acts._ways.route("NSW", "")  # as delivery rebuilds it
    request = discover()["portal"].encode(desk.outbox.load(claim), route)

    assert row is not None
    assert (row.door, row.sender, row.receiver, row.reference, row.proof) == ("gateway", "VNSW-GW", "NSW", "R1", "own")
    assert party is not None
    assert request.seal is not None
    assert b"<function>00</function>" in request.seal.document


def test_return_to_a_sender_that_takes_no_envelopes_is_refused(desk: Desk) -> None:
    delivery = desk.deliver()
    desk.adapters = lambda: {name: adapter for name, adapter in discover().items() if name != "portal"}

    with pytest.raises(NotValid) as refused:
        desk.with_eyes(FourEyes.OFF).once(Order(act=Act.RETURN, reason=REASON), delivery, by="key:lan")

    assert refused.value.problems[0].text == "mending.no-way-back"
    assert desk.row(delivery).state == State.DEAD


def test_notice_that_fails_is_not_returned_to_the_gateway_itself(desk: Desk) -> None:
    desk.mending.once(Order(act=Act.RETURN, reason=REASON), desk.deliver(), by="key:lan")
    (claim,) = desk.outbox.claim({NSW: 1})
    desk.settle(claim, Failed(code="refused", final=True))

    with pytest.raises(NotValid) as refused:
        desk.mending.once(Order(act=Act.RETURN, reason=REASON), claim.delivery, by="key:lan")

    assert refused.value.problems[0].text == "mending.no-way-back"


def test_correction_reaches_the_gateways_own_header_and_nothing_else(desk: Desk) -> None:
    delivery = desk.deliver()

    desk.mending.once(Order(act=Act.CORRECT, corrections={"receiver": "MARD"}), delivery, by="key:lan")
    desk.mending.once(Order(act=Act.CORRECT, corrections={"version": "2"}), delivery, by="key:lan")
    desk.mending.once(Order(act=Act.REPLAY), delivery, by="key:lan")

    (claim,) = desk.outbox.claim({BNN: 1})
    assert claim.corrections == {"receiver": "MARD", "version": "2"}
    assert [kind for kind, _ in desk.told(delivery)] == ["staff.corrected", "staff.corrected", "staff.replayed"]


def test_correction_of_the_route_stays_with_the_party(desk: Desk, rules: RuleSet) -> None:
    own = next(route.name for route in rules.routes.values() if route.party.code == BNN)
    foreign = next(route.name for route in rules.routes.values() if route.party.code != BNN)
    delivery = desk.deliver()

    desk.mending.once(Order(act=Act.CORRECT, route=own), delivery, by="key:lan")
    with pytest.raises(NotValid):
        desk.mending.once(Order(act=Act.CORRECT, route=foreign), delivery, by="key:lan")

    assert desk.row(delivery).route == own


@pytest.mark.parametrize("act", Act)
@pytest.mark.parametrize("outcome", [Delivered(), Accepted(reference="T", ask_again_in=timedelta(hours=1)), Rejected(reason="ERR02")])
def test_state_decides_what_is_possible(desk: Desk, act: Act, outcome: Outcome) -> None:
    delivery = desk.deliver(outcome)
    state = State(desk.row(delivery).state)
    order = Order(act=act, reason=REASON, party="TCHQ" if act is Act.REDIRECT else "", corrections={"version": "2"})

    if state in POSSIBLE[act]:
        desk.mending.once(order, delivery, by="key:lan")
        return
    with pytest.raises(Conflict) as refused:
        desk.mending.once(order, delivery, by="key:lan")

    assert refused.value.problems[0].text == "mending.wrong-state"
    assert desk.row(delivery).state == state
    assert desk.told(delivery) == []


def test_what_is_being_sent_is_left_alone(desk: Desk) -> None:
    delivery = desk.deliver(None)
    desk.outbox.claim({BNN: 1})

    for act in (Act.REPLAY, Act.CANCEL, Act.RETURN):
        with pytest.raises(Conflict):
            desk.mending.once(Order(act=act, reason=REASON), delivery, by="key:lan")


def test_unknown_delivery_is_not_found(desk: Desk) -> None:
    with pytest.raises(NotValid) as refused:
        desk.mending.once(Order(act=Act.REPLAY), DeliveryId("no"), by="key:lan")

    assert refused.value.problems[0].text == "outbox.no-delivery"
