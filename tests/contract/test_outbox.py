"""What every outbox promises; run over each implementation."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.errors import Conflict, NotValid, Problem, StaleClaim
from gateway.lifecycle import Accepted, Deferred, Delivered, Failed, Outcome, Rejected, State
from gateway.model import Channel, DeliveryId, MessageId, Receipt, Refusal, Reply, Request, Wrapper
from gateway.outbox.outbox import LEASE
from gateway.ports import Claim, Handed, Outbox
from gateway.testing.entries import BNN, NSW, START, envelope_text, make_entry
from gateway.testing.settling import Time, claim_one, end
from gateway.testing.staff import Staff


def test_record_gives_its_own_answer_and_wakes_the_workers(outbox: Outbox, time: Time) -> None:
    entry = make_entry()

    answer = outbox.record(entry)

    assert answer == entry.answer
    assert time.wakes


def test_claim_gives_what_was_recorded(outbox: Outbox) -> None:
    entry = make_entry()
    outbox.record(entry)

    claim = claim_one(outbox)

    assert (claim.delivery, claim.message, claim.party, claim.route) == (entry.receipt.deliveries[0], entry.arrival.id, BNN, "to-BNN")
    assert (claim.state, claim.attempt, claim.reference) == (State.QUEUED, 1, "")
    assert outbox.load(claim) == entry.envelope


def test_identical_bytes_are_answered_from_store(outbox: Outbox) -> None:
    entry = make_entry()
    outbox.record(entry)

    assert outbox.answered(replace(entry.arrival, id=MessageId("other"))) == entry.answer


@pytest.mark.parametrize(
    "change",
    [
        {"body": b"other"},
        {"path": "/ws/other"},
        {"media_type": "application/soap+xml"},
        {"channel": Channel(kind="network", name="10.0.0.1")},
        {"channel": Channel(kind="key", name="127.0.0.1")},
    ],
)
def test_other_bytes_place_or_channel_are_not_answered_from_store(outbox: Outbox, change: dict[str, object]) -> None:
    entry = make_entry()
    outbox.record(entry)

    assert outbox.answered(replace(entry.arrival, **change)) is None  # type: ignore[arg-type]


def test_repeat_with_the_same_content_gets_the_first_answer_and_no_second_delivery(outbox: Outbox) -> None:
    first = make_entry()
    outbox.record(first)

    again = outbox.record(make_entry(content=envelope_text(sent="2026-11-21 09:30:00"), body=b"signed again"))

    assert again == first.answer
    assert len(outbox.claim({BNN: 10})) == 1


def test_repeat_that_came_wrapped_otherwise_is_answered_in_its_own_words_about_the_first(outbox: Outbox) -> None:
    first, again = make_entry(), make_entry(body=b"wrapped otherwise")
    outbox.record(first)
    told: list[Receipt] = []

    def answer(receipt: Receipt) -> Reply:
        told.append(receipt)
        return Reply(status=202, body=b"again")

    answered = outbox.record(replace(again, wrapper=Wrapper(protocol="rest", operation="documents"), again=answer))

    assert answered.body == b"again"
    assert [(r.message, r.deliveries, r.sha256) for r in told] == [(first.arrival.id, first.receipt.deliveries, first.receipt.sha256)]


def test_repeat_of_a_message_that_holds_a_credential_gets_the_first_answer(outbox: Outbox) -> None:
    content = envelope_text("<Login><Password>s3cret</Password></Login>")
    first = make_entry(content=content)
    outbox.record(first)

    assert outbox.record(make_entry(content=content, body=b"signed again")) == first.answer


def test_repeat_with_other_content_is_refused(outbox: Outbox) -> None:
    outbox.record(make_entry())

    with pytest.raises(Conflict) as refused:
        outbox.record(make_entry(content=envelope_text("<Phyto>2</Phyto>")))

    assert refused.value.problems[0].text == "outbox.conflict"
    assert len(outbox.claim({BNN: 10})) == 1


def test_repeat_key_with_another_document_is_refused(outbox: Outbox) -> None:
    outbox.record(make_entry(repeat_key="K"))

    with pytest.raises(Conflict) as refused:
        outbox.record(make_entry(key=b"k2", repeat_key="K"))

    assert refused.value.problems[0].text == "outbox.repeat-key"


def test_repeat_key_belongs_to_its_channel(outbox: Outbox) -> None:
    outbox.record(make_entry(repeat_key="K"))

    outbox.record(make_entry(key=b"k2", repeat_key="K", channel="10.0.0.9"))

    assert len(outbox.claim({BNN: 10})) == 2


def test_concurrent_repeats_have_one_effect(outbox: Outbox) -> None:
    entries = [make_entry(body=str(n).encode()) for n in range(16)]
    answers: list[Reply] = []
    threads = [threading.Thread(target=lambda e=e: answers.append(outbox.record(e))) for e in entries]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 16
    assert len({answer.body for answer in answers}) == 1
    assert len(outbox.claim({BNN: 20})) == 1


def test_refused_message_is_judged_anew(outbox: Outbox) -> None:
    from gateway.errors import Code  # noqa: PLC0415  # only here

    entry = make_entry()
    refusal = Refusal(message=MessageId("r1"), refused_at=START, code=Code.SCHEMA, problems=(Problem(text="schema.x"),))
    outbox.refuse(replace(entry.arrival, id=MessageId("r1")), refusal, Reply(status=200, body=b"00"))

    assert outbox.answered(entry.arrival) is None
    assert outbox.record(entry) == entry.answer


def test_claimed_delivery_is_not_claimed_again(outbox: Outbox) -> None:
    outbox.record(make_entry())
    claim_one(outbox)

    assert outbox.claim({BNN: 10}) == []


def test_concurrent_claims_never_share_a_delivery(outbox: Outbox) -> None:
    for n in range(40):
        outbox.record(make_entry(key=str(n).encode(), content=envelope_text(message_id=str(n))))
    claims: list[Claim] = []
    threads = [threading.Thread(target=lambda: claims.extend(outbox.claim({BNN: 10}))) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(claims) == 40
    assert len({c.delivery for c in claims}) == 40


def test_claim_takes_no_more_than_the_slots_of_each_party(outbox: Outbox) -> None:
    for n in range(5):
        outbox.record(make_entry(key=str(n).encode(), parties=(BNN, NSW)))

    claims = outbox.claim({BNN: 2, NSW: 3})

    assert sorted(c.party for c in claims) == [BNN, BNN, NSW, NSW, NSW]


def test_delivered_is_done(outbox: Outbox, time: Time) -> None:
    outbox.record(make_entry())

    assert end(outbox, claim_one(outbox), Delivered(reference="P1"), time) is State.DELIVERED
    time.pass_(timedelta(days=1))
    assert outbox.claim({BNN: 10}) == []


def test_failed_waits_and_is_tried_again_with_a_higher_attempt(outbox: Outbox, time: Time) -> None:
    outbox.record(make_entry())
    end(outbox, claim_one(outbox), Failed(code="timeout"), time)
    assert outbox.claim({BNN: 10}) == []

    time.pass_(timedelta(seconds=8))
    claim = claim_one(outbox)

    assert (claim.attempt, claim.state) == (2, State.RETRYING)


def test_deferred_costs_no_attempt(outbox: Outbox, time: Time) -> None:
    outbox.record(make_entry())
    end(outbox, claim_one(outbox), Deferred(for_=timedelta(seconds=1)), time)

    time.pass_(timedelta(seconds=1))

    assert claim_one(outbox).attempt == 1


def test_attempts_run_out_and_the_delivery_is_dead(outbox: Outbox, time: Time) -> None:
    outbox.record(make_entry())

    states = []
    for _ in range(3):
        states.append(end(outbox, claim_one(outbox), Failed(code="timeout"), time))
        time.pass_(timedelta(hours=1))

    assert states == [State.RETRYING, State.RETRYING, State.DEAD]
    assert outbox.claim({BNN: 10}) == []


def test_accepted_is_polled_with_the_partners_reference(outbox: Outbox, time: Time) -> None:
    outbox.record(make_entry())
    end(outbox, claim_one(outbox), Accepted(reference="TRACK-1", ask_again_in=timedelta(seconds=30)), time)
    assert outbox.claim({BNN: 10}) == []

    time.pass_(timedelta(seconds=30))
    claim = claim_one(outbox)

    assert (claim.state, claim.reference) == (State.AWAITING_REPLY, "TRACK-1")


def test_failed_poll_waits_for_the_next_poll(outbox: Outbox, time: Time) -> None:
    outbox.record(make_entry())
    end(outbox, claim_one(outbox), Accepted(reference="TRACK-1", ask_again_in=timedelta(0)), time)

    assert end(outbox, claim_one(outbox), Failed(code="timeout"), time) is State.AWAITING_REPLY
    time.pass_(timedelta(hours=1))
    assert claim_one(outbox).reference == "TRACK-1"


def test_settle_by_another_token_is_stale(outbox: Outbox, time: Time) -> None:
    outbox.record(make_entry())
    claim = claim_one(outbox)

    with pytest.raises(StaleClaim):
        end(outbox, replace(claim, token="forged"), Delivered(), time)  # noqa: S106  # not a secret

    assert end(outbox, claim, Delivered(), time) is State.DELIVERED


def test_settle_twice_is_stale(outbox: Outbox, time: Time) -> None:
    outbox.record(make_entry())
    claim = claim_one(outbox)
    end(outbox, claim, Failed(code="timeout"), time)

    with pytest.raises(StaleClaim):
        end(outbox, claim, Delivered(), time)


def test_note_of_a_lost_claim_is_stale(outbox: Outbox, time: Time) -> None:
    outbox.record(make_entry())
    claim = claim_one(outbox)
    time.pass_(LEASE)
    outbox.rescue(held_until=time())

    with pytest.raises(StaleClaim):
        outbox.note(claim, Request(endpoint="http://x", action="", body=b"x"))


def test_rescue_leaves_a_living_workers_claim_alone(outbox: Outbox, time: Time) -> None:
    outbox.record(make_entry())
    claim_one(outbox)

    assert outbox.rescue(held_until=time()) == 0
    assert outbox.claim({BNN: 10}) == []


def test_rescued_delivery_is_claimed_by_another_and_the_first_is_stale(outbox: Outbox, time: Time) -> None:
    outbox.record(make_entry())
    dead = claim_one(outbox)
    outbox.note(dead, Request(endpoint="http://x", action="", body=b"x"))
    time.pass_(LEASE)

    assert outbox.rescue(held_until=time()) == 1
    claim = claim_one(outbox)

    assert claim.token != dead.token
    with pytest.raises(StaleClaim):
        end(outbox, dead, Delivered(), time)
    assert end(outbox, claim, Delivered(), time) is State.DELIVERED


def test_rescued_poll_is_polled_again_and_never_sent_again(outbox: Outbox, time: Time) -> None:
    outbox.record(make_entry())
    end(outbox, claim_one(outbox), Accepted(reference="TRACK-1", ask_again_in=timedelta(0)), time)
    claim_one(outbox)
    time.pass_(LEASE)
    outbox.rescue(held_until=time())

    assert claim_one(outbox).state is State.AWAITING_REPLY


@pytest.mark.parametrize("after", [Failed(code="timeout"), Accepted(reference="TRACK-1", ask_again_in=timedelta(seconds=5))])
def test_what_waits_by_a_clock_that_was_set_back_is_due(outbox: Outbox, time: Time, after: Outcome) -> None:
    outbox.record(make_entry())
    end(outbox, claim_one(outbox), after, time)
    outbox.record(make_entry(key=b"k2"))

    time.pass_(-timedelta(hours=2))
    assert outbox.claim({BNN: 10}) == []
    outbox.rescue()

    assert len(outbox.claim({BNN: 10})) == 2


def test_what_waits_while_the_clock_goes_on_is_not_due_before_its_time(outbox: Outbox, time: Time) -> None:
    outbox.record(make_entry())
    end(outbox, claim_one(outbox), Failed(code="timeout"), time)
    for _ in range(2):
        outbox.rescue()

    assert outbox.claim({BNN: 10}) == []


def test_lease_is_as_long_as_a_fetcher_asks(outbox: Outbox, time: Time) -> None:
    outbox.record(make_entry())
    (claim,) = outbox.claim({BNN: 1}, lease=timedelta(hours=1))
    assert claim.until == time() + timedelta(hours=1)
    time.pass_(LEASE)

    assert outbox.rescue(held_until=time()) == 0
    time.pass_(timedelta(hours=1))
    assert outbox.rescue(held_until=time()) == 1


def test_rescue_spares_those_who_outlive_the_process(outbox: Outbox, time: Time) -> None:
    outbox.record(make_entry(parties=(BNN, NSW)))
    outbox.claim({BNN: 1, NSW: 1})

    assert outbox.rescue(held_until=time() + timedelta(days=1), spared=frozenset({NSW})) == 1
    assert [claim.party for claim in outbox.claim({BNN: 1, NSW: 1})] == [BNN]


def test_what_was_handed_out_is_found_by_its_token(outbox: Outbox) -> None:
    outbox.record(make_entry())
    claim = claim_one(outbox)

    assert outbox.handed(claim.delivery, claim.token) == Handed(party=BNN, claim=claim)
    assert outbox.handed(claim.delivery, "forged") == Handed(party=BNN)
    assert outbox.handed(DeliveryId("unknown"), claim.token) is None


def test_what_was_settled_under_a_token_is_remembered(outbox: Outbox, time: Time) -> None:
    outbox.record(make_entry())
    first = claim_one(outbox)
    end(outbox, first, Failed(code="timeout"), time)
    time.pass_(timedelta(hours=1))
    second = claim_one(outbox)
    end(outbox, second, Delivered(), time)

    assert outbox.handed(first.delivery, first.token) == Handed(party=BNN, outcome="failed")
    assert outbox.handed(first.delivery, second.token) == Handed(party=BNN, outcome="delivered")


def test_token_of_a_lease_that_ended_holds_nothing(outbox: Outbox, time: Time) -> None:
    outbox.record(make_entry())
    claim = claim_one(outbox)
    time.pass_(LEASE)
    outbox.rescue(held_until=time())

    assert outbox.handed(claim.delivery, claim.token) == Handed(party=BNN)


def test_replay_gives_a_rejected_delivery_a_new_life(outbox: Outbox, staff: Staff, time: Time) -> None:
    outbox.record(make_entry())
    claim = claim_one(outbox)
    end(outbox, claim, Rejected(reason="no"), time)

    staff.replay(claim.delivery, by="lan")

    again = claim_one(outbox)
    assert (again.state, again.attempt) == (State.QUEUED, 1)


def test_replay_of_what_the_partner_took_asks_again_instead_of_sending(outbox: Outbox, staff: Staff, time: Time) -> None:
    outbox.record(make_entry())
    end(outbox, claim_one(outbox), Accepted(reference="TRACK-1", ask_again_in=timedelta(0)), time)
    for _ in range(2):
        claim = claim_one(outbox)
        end(outbox, claim, Failed(code="timeout"), time)
        time.pass_(timedelta(hours=1))

    staff.replay(claim.delivery, by="lan")

    assert claim_one(outbox).state is State.AWAITING_REPLY


def test_replay_of_what_is_sent_again_forgets_what_the_partner_called_it_before(outbox: Outbox, staff: Staff, time: Time) -> None:
    outbox.record(make_entry())
    claim = claim_one(outbox)
    end(outbox, claim, Accepted(reference="TRACK-1"), time)  # set aside: nobody can be asked
    staff.replay(claim.delivery, by="lan")

    again = claim_one(outbox)
    end(outbox, again, Failed(code="timeout", final=True), time)

    staff.replay(claim.delivery, by="lan")
    assert again.reference == ""
    assert claim_one(outbox).state is State.QUEUED


def test_delivered_cannot_be_replayed(outbox: Outbox, staff: Staff, time: Time) -> None:
    outbox.record(make_entry())
    claim = claim_one(outbox)
    end(outbox, claim, Delivered(), time)

    with pytest.raises(Conflict):
        staff.replay(claim.delivery, by="lan")


def test_cancelled_is_never_claimed(outbox: Outbox, staff: Staff) -> None:
    entry = make_entry()
    outbox.record(entry)

    staff.cancel(entry.receipt.deliveries[0], by="lan", reason="sent by paper")

    assert outbox.claim({BNN: 10}) == []


def test_what_is_being_sent_is_left_to_whoever_sends_it(outbox: Outbox, staff: Staff) -> None:
    outbox.record(make_entry())
    claim = claim_one(outbox)

    with pytest.raises(Conflict):
        staff.cancel(claim.delivery, by="lan", reason="sent by paper")
    with pytest.raises(Conflict):
        staff.replay(claim.delivery, by="lan")


@pytest.mark.parametrize("act", [lambda s: s.replay(DeliveryId("no"), by="x"), lambda s: s.cancel(DeliveryId("no"), by="x", reason="x")])
def test_unknown_delivery_is_not_found(staff: Staff, act: Callable[[Staff], None]) -> None:
    with pytest.raises(NotValid):
        act(staff)
