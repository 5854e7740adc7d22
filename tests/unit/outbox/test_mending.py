"""Orders for many deliveries: what is chosen, how far a job came, who succeeds whom, and a second person's word."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.errors import Conflict, NotProven, NotValid, StaleClaim
from gateway.lifecycle import Accepted, Delivered, Failed, Rejected, State, Step
from gateway.model import DeliveryId, PartyCode, Request
from gateway.outbox import mending
from gateway.outbox.mending import LEASE
from gateway.outbox.orders import MAX_IDS, Act, Choice, FourEyes, JobState, Order
from gateway.testing.desk import DEAD, Desk
from gateway.testing.entries import BNN, START

TCHQ = PartyCode("TCHQ")
REASON = "Bộ nông nghiệp đã nhận bản giấy"


def test_filter_chooses_what_is_dead_unless_a_state_is_named(desk: Desk) -> None:
    dead = desk.deliver()
    waiting = desk.deliver(None)

    job = desk.mending.order(Order(act=Act.CANCEL, reason=REASON), Choice(party="BNN"), by="key:lan")
    desk.run()

    assert (job.total, desk.mending.job(job.id).done) == (1, 1)
    assert (desk.row(dead).state, desk.row(waiting).state) == (State.CANCELLED, State.QUEUED)


@pytest.mark.parametrize(
    ("choice", "found"),
    [
        (Choice(party="BNN"), 2),
        (Choice(party="TCHQ"), 1),
        (Choice(cause="timeout"), 2),
        (Choice(cause="http-"), 1),
        (Choice(cause="ERR02", state="rejected"), 1),
        (Choice(route="to-TCHQ"), 1),
        (Choice(procedure="P1"), 3),
        (Choice(procedure="P2"), 0),
        (Choice(since=START), 3),
        (Choice(since=START + timedelta(seconds=1)), 0),
        (Choice(until=START), 0),
        (Choice(party="BNN", cause="timeout", until=START + timedelta(days=1)), 2),
        (Choice(state="delivered"), 0),
    ],
)
def test_conditions_hold_together(desk: Desk, choice: Choice, found: int) -> None:
    desk.deliver()
    desk.deliver()
    desk.deliver(Failed(code="http-503"), party=TCHQ)
    desk.deliver(Rejected(reason="ERR02_CODE: thiếu"))

    job = desk.mending.order(Order(act=Act.REPLAY), choice, by="key:lan")
    desk.run()

    assert (desk.mending.count(Choice(party="BNN")) if found == 0 else job.total) == (2 if found == 0 else found)
    assert (desk.mending.job(job.id).state, desk.mending.job(job.id).done) == (JobState.DONE, found)


def test_what_would_be_passed_over_is_foreseen(desk: Desk) -> None:
    desk.deliver()
    desk.deliver(Delivered())
    desk.deliver(Accepted(reference="T"))
    order, everything = Order(act=Act.RETURN, reason=REASON), Choice(party="BNN", since=START)

    foreseen = [desk.mending.foresee(order, replace(everything, state=state)) for state in ("dead", "delivered")]
    job = desk.mending.order(order, replace(everything, state="dead"), by="key:lan")
    desk.run()

    assert foreseen == [(2, {"mending.perhaps-taken": 1}), (1, {"mending.wrong-state": 1})]
    assert desk.mending.job(job.id).skips == {"mending.perhaps-taken": 1}


def test_job_does_not_touch_what_was_recorded_after_it(desk: Desk) -> None:
    desk.deliver()
    job = desk.mending.order(Order(act=Act.REPLAY), Choice(party="BNN"), by="key:lan")
    later = desk.deliver()

    desk.run()

    assert desk.mending.job(job.id).done == 1
    assert desk.row(later).state == State.DEAD


def test_deliveries_named_one_by_one_are_a_job_too(desk: Desk) -> None:
    first, second, third = desk.deliver(), desk.deliver(Delivered()), desk.deliver()

    job = desk.mending.order(Order(act=Act.REPLAY), Choice(ids=(first, second, third)), by="key:lan")
    desk.run()

    done = desk.mending.job(job.id)
    assert (done.done, done.skipped, done.skips) == (2, 1, {"mending.wrong-state": 1})


@pytest.mark.parametrize(
    ("choice", "text"),
    [
        (Choice(), "mending.no-choice"),
        (Choice(ids=(DeliveryId("a"),), party="BNN"), "mending.no-choice"),
        (Choice(ids=tuple(DeliveryId(str(n)) for n in range(MAX_IDS + 1))), "mending.many-ids"),
        (Choice(ids=(DeliveryId("no"),)), "outbox.no-delivery"),
    ],
)
def test_choice_that_cannot_be_meant_is_refused(desk: Desk, choice: Choice, text: str) -> None:
    with pytest.raises(NotValid) as refused:
        desk.mending.order(Order(act=Act.REPLAY), choice, by="key:lan")

    assert refused.value.problems[0].text == text
    assert desk.mending.jobs().items == ()


def test_return_of_many_goes_in_small_batches_and_tells_each_sender(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mending.FEWER, Act.RETURN, 3)
    for _ in range(6):
        desk.deliver()
    job = desk.mending.order(Order(act=Act.RETURN, reason=REASON), Choice(party="BNN"), by="key:lan")
    hold = desk.mending.take()
    assert hold is not None

    first = desk.mending.step(hold)
    desk.mending.step(hold)

    assert first.done == 3
    assert desk.mending.job(job.id).state is JobState.DONE
    assert len(desk.queries.deliveries(party="NSW", route="return", limit=200).items) == 6


def test_job_passes_over_what_its_party_may_have(desk: Desk) -> None:
    deliveries = [desk.deliver(None) for _ in range(3)]
    for claim, code in zip(desk.outbox.claim({BNN: 3}), ("refused", "timeout", "dns"), strict=True):
        desk.outbox.note(claim, Request(endpoint="http://x", action="", body=b"x"))
        desk.outbox.settle(claim, Step(to=State.DEAD, due_at=None, counts=True, reason=code), Failed(code=code), None)

    job = desk.mending.order(Order(act=Act.RETURN, reason="x"), Choice(party="BNN"), by="key:lan")
    desk.run()

    assert [desk.row(delivery).state for delivery in deliveries] == [State.CANCELLED, State.DEAD, State.CANCELLED]
    assert dict(desk.mending.job(job.id).skips) == {"mending.perhaps-taken": 1}


@pytest.mark.parametrize("choice", [Choice(party="BNN"), Choice(ids=(DeliveryId("a"), DeliveryId("b")))])
def test_duplicates_are_accepted_one_by_one(desk: Desk, choice: Choice) -> None:
    with pytest.raises(NotValid) as refused:
        desk.mending.order(Order(act=Act.RETURN, reason="x", accept_duplicate=True), choice, by="key:lan")

    assert refused.value.problems[0].text == "mending.duplicate-one"


def test_accepted_duplicate_waits_for_the_second_person_too(desk: Desk) -> None:
    mending = desk.with_eyes(FourEyes.ALL)
    delivery = desk.deliver(None)
    (claim,) = desk.outbox.claim({BNN: 1})
    desk.outbox.note(claim, Request(endpoint="http://x", action="", body=b"x"))
    desk.outbox.settle(claim, Step(to=State.DEAD, due_at=None, counts=True, reason="no-answer"), Accepted(reference="T"), None)

    job = mending.once(Order(act=Act.RETURN, reason="x", accept_duplicate=True), delivery, by="key:lan")

    assert job is not None
    mending.approve(job.id, by="key:mai")
    desk.run(mending)
    assert (mending.job(job.id).order.accept_duplicate, desk.row(delivery).state) == (True, State.CANCELLED)


def test_each_delivery_of_a_job_names_it_in_the_ledger(desk: Desk) -> None:
    delivery = desk.deliver()

    job = desk.mending.order(Order(act=Act.REPLAY), Choice(party="BNN"), by="key:lan")
    desk.run()

    assert desk.told(delivery) == [("staff.replayed", {"by": "key:lan", "job": job.id, "state": "queued"})]


def test_dead_worker_is_succeeded_after_its_lease_and_does_no_more(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mending.FEWER, Act.REDIRECT, 3)
    for _ in range(4):
        desk.deliver()
    job = desk.mending.order(Order(act=Act.REDIRECT, party="TCHQ", reason=REASON), Choice(party="BNN"), by="key:lan")
    dead = desk.mending.take()
    assert dead is not None
    desk.mending.step(dead)
    assert desk.mending.take() is None

    desk.clock.now += LEASE
    heir = desk.mending.take(job.id)
    assert heir is not None
    with pytest.raises(StaleClaim):
        desk.mending.step(dead)
    done = desk.mending.step(heir)

    assert (done.state, done.done, done.skipped) == (JobState.DONE, 4, 0)
    assert len(desk.outbox.claim({TCHQ: 1000})) == 4


def test_job_that_ran_does_nothing_more(desk: Desk) -> None:
    delivery = desk.deliver()
    job = desk.mending.order(Order(act=Act.REPLAY), Choice(party="BNN"), by="key:lan")
    desk.run()
    (claim,) = desk.outbox.claim({BNN: 1})
    desk.settle(claim, DEAD)

    desk.run()

    assert desk.mending.take(job.id) is None
    assert desk.row(delivery).state == State.DEAD


def test_paused_job_rests_and_goes_on_where_it_was(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mending.FEWER, Act.RETURN, 3)
    for _ in range(4):
        desk.deliver()
    job = desk.mending.order(Order(act=Act.RETURN, reason=REASON), Choice(party="BNN"), by="key:lan")
    hold = desk.mending.take()
    assert hold is not None
    desk.mending.step(hold)

    desk.mending.pause(job.id, by="key:hoa")
    with pytest.raises(StaleClaim):
        desk.mending.step(hold)
    assert desk.mending.take() is None
    desk.mending.resume(job.id, by="key:hoa")
    desk.run()

    assert desk.mending.job(job.id).done == 4


def test_stopped_job_keeps_what_it_did_and_cannot_be_resumed(desk: Desk) -> None:
    delivery = desk.deliver()
    job = desk.mending.order(Order(act=Act.REPLAY), Choice(party="BNN"), by="key:lan")

    stopped = desk.mending.stop(job.id, by="key:lan")
    desk.run()

    assert stopped.state is JobState.CANCELLED
    assert desk.row(delivery).state == State.DEAD
    with pytest.raises(Conflict) as refused:
        desk.mending.resume(job.id, by="key:lan")
    assert refused.value.problems[0].text == "mending.job-state"


def test_resume_is_no_way_around_an_approval(desk: Desk) -> None:
    careful = desk.with_eyes(FourEyes.BULK)
    desk.deliver()
    job = careful.order(Order(act=Act.REPLAY), Choice(party="BNN"), by="key:lan")

    with pytest.raises(Conflict):
        careful.resume(job.id, by="key:lan")

    assert careful.take() is None


def test_unknown_job_is_not_found(desk: Desk) -> None:
    for ask in (desk.mending.job, lambda job: desk.mending.pause(job, by="x"), lambda job: desk.mending.approve(job, by="x")):
        with pytest.raises(NotValid) as refused:
            ask("no")
        assert refused.value.problems[0].text == "mending.no-job"


def test_order_repeated_under_its_key_is_the_first_job(desk: Desk) -> None:
    desk.deliver()
    first = desk.mending.order(Order(act=Act.REPLAY), Choice(party="BNN"), by="key:lan", repeat_key="K")

    again = desk.mending.order(Order(act=Act.REPLAY), Choice(party="BNN"), by="key:lan", repeat_key="K")

    assert again.id == first.id
    assert desk.mending.order(Order(act=Act.REPLAY), Choice(party="BNN"), by="key:hoa", repeat_key="K").id != first.id
    with pytest.raises(Conflict) as refused:
        desk.mending.order(Order(act=Act.REPLAY), Choice(party="TCHQ"), by="key:lan", repeat_key="K")
    assert refused.value.problems[0].text == "mending.repeat-key"


def test_jobs_are_listed_newest_first_in_pages(desk: Desk) -> None:
    made = []
    for _ in range(3):
        desk.clock.now += timedelta(seconds=1)
        made.append(desk.mending.order(Order(act=Act.REPLAY), Choice(party="BNN"), by="key:lan").id)

    first = desk.mending.jobs(limit=2)
    assert first.next_cursor is not None
    rest = desk.mending.jobs(before=first.next_cursor, limit=2)

    assert [job.id for job in (*first.items, *rest.items)] == made[::-1]
    assert desk.mending.jobs(state=JobState.DONE).items == ()


# --- a second person ---------------------------------------------------------------------------------------------------


def test_proposal_waits_until_another_person_approves(desk: Desk) -> None:
    careful = desk.with_eyes(FourEyes.BULK)
    delivery = desk.deliver()
    job = careful.order(Order(act=Act.REPLAY), Choice(party="BNN"), by="key:lan")
    assert job.state is JobState.PROPOSED
    desk.run(careful)
    assert desk.row(delivery).state == State.DEAD

    with pytest.raises(NotProven) as refused:
        careful.approve(job.id, by="key:lan")
    approved = careful.approve(job.id, by="key:hoa")
    desk.run(careful)

    assert refused.value.problems[0].text == "mending.own-proposal"
    assert (approved.state, approved.approved_by) == (JobState.RUNNING, "key:hoa")
    assert desk.row(delivery).state == State.QUEUED
    with pytest.raises(Conflict):
        careful.approve(job.id, by="key:hoa")


def test_whoever_approves_sees_how_many_are_meant_by_now(desk: Desk) -> None:
    careful = desk.with_eyes(FourEyes.BULK)
    first, late = desk.deliver(), desk.deliver(None)
    proposed = careful.order(Order(act=Act.REPLAY), Choice(party="BNN"), by="key:lan")
    (claim,) = desk.outbox.claim({BNN: 1})
    desk.settle(claim, DEAD)

    shown, approved = careful.job(proposed.id), careful.approve(proposed.id, by="key:hoa")
    desk.run(careful)

    assert [job.total for job in (proposed, shown, approved)] == [1, 2, 2]
    assert (careful.job(proposed.id).done, careful.job(proposed.id).total) == (2, 2)
    assert [desk.row(delivery).state for delivery in (first, late)] == [State.QUEUED] * 2


def test_only_acts_on_many_wait_under_bulk(desk: Desk) -> None:
    delivery = desk.deliver()

    assert desk.with_eyes(FourEyes.BULK).once(Order(act=Act.REPLAY), delivery, by="key:lan") is None
    assert desk.row(delivery).state == State.QUEUED


def test_even_one_act_waits_under_all(desk: Desk) -> None:
    careful = desk.with_eyes(FourEyes.ALL)
    delivery = desk.deliver()

    proposal = careful.once(Order(act=Act.CORRECT, corrections={"version": "2"}), delivery, by="key:lan")

    assert proposal is not None
    assert (proposal.state, proposal.choice.ids) == (JobState.PROPOSED, (delivery,))
    careful.approve(proposal.id, by="key:hoa")
    desk.run(careful)
    assert [kind for kind, _ in desk.told(delivery)] == ["staff.corrected"]


def test_proposal_expires_after_a_day(desk: Desk) -> None:
    careful = desk.with_eyes(FourEyes.BULK)
    delivery = desk.deliver()
    job = careful.order(Order(act=Act.REPLAY), Choice(party="BNN"), by="key:lan")
    desk.clock.now += timedelta(days=1)

    with pytest.raises(Conflict) as refused:
        careful.approve(job.id, by="key:hoa")
    assert careful.take() is None

    assert refused.value.problems[0].text == "mending.expired"
    assert careful.job(job.id).state is JobState.EXPIRED
    assert desk.row(delivery).state == State.DEAD
