"""Staff's orders: each act on one delivery, jobs over many, and a second person's word."""

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from gateway.bootstrap import discover
from gateway.errors import Code, Conflict, GatewayError, NotProven, NotValid, Problem, StaleClaim, Unavailable
from gateway.lifecycle import TRANSITIONS, Accepted, Delivered, Failed, Outcome, Rejected, State
from gateway.model import DeliveryId, PartyCode, Request
from gateway.outbox import mending
from gateway.outbox.mender import Mender, carry
from gateway.outbox.mending import LEASE
from gateway.outbox.orders import MAX_IDS, POSSIBLE, Act, Choice, FourEyes, JobState, Order
from gateway.outbox.workers import Bell
from gateway.ports import Database
from gateway.protocols.vnsw.client import read_answer
from gateway.routing.rules import RuleSet, load
from gateway.store.engine import open_database
from gateway.store.migrate import upgrade
from gateway.testing.desk import DEAD, Desk, Time
from gateway.testing.entries import BNN, NSW, START
from gateway.xml.shipped import shipped

TCHQ = PartyCode("TCHQ")
REASON = "Bộ nông nghiệp đã nhận bản giấy"


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return load((shipped("routing_rules"),))


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database, migrated once."""
    path = tmp_path_factory.mktemp("template") / "gateway.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest, template: Path, tmp_path: Path, clock: Time) -> Iterator[Database]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else f"sqlite:///{tmp_path}/gateway.db"
    if request.param == "sqlite":
        shutil.copy(template, tmp_path / "gateway.db")
    opened = open_database(url, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def desk(database: Database, rules: RuleSet, clock: Time, tmp_path: Path) -> Desk:
    return Desk(database=database, rules=rules, clock=clock, keys=tmp_path / "keys")


def text_of(refused: pytest.ExceptionInfo[GatewayError]) -> str:
    return refused.value.problems[0].text


# --- one delivery ------------------------------------------------------------------------------------------------------


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

    assert text_of(refused) == "mending.served"
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
    ],
)
def test_order_that_cannot_be_meant_is_refused_and_nothing_is_done(desk: Desk, order: Order, text: str) -> None:
    delivery = desk.deliver()

    with pytest.raises(NotValid) as refused:
        desk.mending.once(order, delivery, by="key:lan")

    assert text_of(refused) == text
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

    assert text_of(refused) == "mending.no-way-back"
    assert desk.row(delivery).state == State.DEAD


def test_notice_that_fails_is_not_returned_to_the_gateway_itself(desk: Desk) -> None:
    desk.mending.once(Order(act=Act.RETURN, reason=REASON), desk.deliver(), by="key:lan")
    (claim,) = desk.outbox.claim({NSW: 1})
    desk.settle(claim, Failed(code="refused", final=True))

    with pytest.raises(NotValid) as refused:
        desk.mending.once(Order(act=Act.RETURN, reason=REASON), claim.delivery, by="key:lan")

    assert text_of(refused) == "mending.no-way-back"


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

    assert text_of(refused) == "mending.wrong-state"
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

    assert text_of(refused) == "outbox.no-delivery"


# --- many --------------------------------------------------------------------------------------------------------------


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

    assert text_of(refused) == text
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
    assert text_of(refused) == "mending.job-state"


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
        assert text_of(refused) == "mending.no-job"


def test_order_repeated_under_its_key_is_the_first_job(desk: Desk) -> None:
    desk.deliver()
    first = desk.mending.order(Order(act=Act.REPLAY), Choice(party="BNN"), by="key:lan", repeat_key="K")

    again = desk.mending.order(Order(act=Act.REPLAY), Choice(party="BNN"), by="key:lan", repeat_key="K")

    assert again.id == first.id
    assert desk.mending.order(Order(act=Act.REPLAY), Choice(party="BNN"), by="key:hoa", repeat_key="K").id != first.id
    with pytest.raises(Conflict) as refused:
        desk.mending.order(Order(act=Act.REPLAY), Choice(party="TCHQ"), by="key:lan", repeat_key="K")
    assert text_of(refused) == "mending.repeat-key"


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

    assert text_of(refused) == "mending.own-proposal"
    assert (approved.state, approved.approved_by) == (JobState.RUNNING, "key:hoa")
    assert desk.row(delivery).state == State.QUEUED
    with pytest.raises(Conflict):
        careful.approve(job.id, by="key:hoa")


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

    assert text_of(refused) == "mending.expired"
    assert careful.job(job.id).state is JobState.EXPIRED
    assert desk.row(delivery).state == State.DEAD


# --- the thread --------------------------------------------------------------------------------------------------------


def test_thread_carries_jobs_out_and_tells_how_far_it_came(desk: Desk) -> None:
    finished = Event()
    told: list[tuple[str, Any]] = []

    def watch(event: str, values: Any) -> None:
        told.append((event, values))
        if values.get("state") == "done":
            finished.set()

    desk.deliver()
    job = desk.mending.order(Order(act=Act.REPLAY), Choice(party="BNN"), by="key:lan")
    mender = Mender(desk.mending, bell=Bell(), watch=watch)
    mender.start()

    assert finished.wait(20)
    mender.stop()

    assert told == [("job.advanced", {"job": job.id, "act": "replay", "state": "done", "done": 1})]


def test_stopped_thread_gives_its_job_back_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mending.FEWER, Act.RETURN, 3)
    for _ in range(4):
        desk.deliver()
    job = desk.mending.order(Order(act=Act.RETURN, reason=REASON), Choice(party="BNN"), by="key:lan")
    hold = desk.mending.take()
    assert hold is not None

    carry(desk.mending, hold, pause=lambda _: True)

    assert desk.mending.job(job.id).done == 3
    assert desk.mending.take() is not None


@pytest.mark.parametrize("failure", [Unavailable, RuntimeError])
def test_thread_outlives_a_failure(desk: Desk, failure: Callable[..., Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def fail() -> None:
        raise failure(Code.UNAVAILABLE, Problem(text="store.away"))

    monkeypatch.setattr(desk.mending, "take", fail)
    mender = Mender(desk.mending, bell=Bell(), watch=lambda event, _: told.append(event))

    pause = mender._carry()  # one look, without waiting for it

    assert pause > 0
    assert told == ["job.paused" if failure is Unavailable else "job.defect"]


# --- what was exchanged ------------------------------------------------------------------------------------------------


def test_attempts_tell_what_became_of_each(desk: Desk) -> None:
    delivery = desk.deliver()

    (attempt,) = desk.history.attempts(delivery)

    assert (attempt.number, attempt.outcome, attempt.code, attempt.status) == (1, "failed", "timeout", 503)
    assert (attempt.sent_at, attempt.ended_at) == (START, START)


def test_attempt_cut_off_by_a_death_has_no_end(desk: Desk) -> None:
    delivery = desk.deliver(None)
    (claim,) = desk.outbox.claim({BNN: 1})
    desk.outbox.note(claim, Request(endpoint="http://x", action="", body=b"asked"))

    (attempt,) = desk.history.attempts(delivery)

    assert (attempt.number, attempt.ended_at, attempt.outcome) == (1, None, None)


def test_attempt_of_which_nothing_left_has_no_number(desk: Desk) -> None:
    delivery = desk.deliver(None)
    (claim,) = desk.outbox.claim({BNN: 1})
    desk.settle(claim, DEAD)

    (attempt,) = desk.history.attempts(delivery)

    assert (attempt.number, attempt.sent_at, attempt.outcome) == (None, None, "failed")


@pytest.mark.parametrize(("part", "content"), [("request", b"asked"), ("reply", b"answered")])
def test_whoever_looks_at_contents_is_in_the_ledger(desk: Desk, part: Any, content: bytes) -> None:
    delivery = desk.deliver()

    assert desk.history.exchanged(delivery, part, by="key:lan") == content
    assert desk.history.exchanged(delivery, part, by="key:lan", number=1) == content

    assert desk.told(delivery) == [("staff.looked", {"by": "key:lan", "part": part, "attempt": "1"})] * 2


@pytest.mark.parametrize("asked", [{"delivery": "no"}, {"number": 7}])
def test_exchange_that_is_not_kept_is_not_found(desk: Desk, asked: Any) -> None:
    delivery = desk.deliver()

    with pytest.raises(NotValid) as refused:
        desk.history.exchanged(asked.get("delivery", delivery), "request", by="key:lan", number=asked.get("number"))

    assert text_of(refused) == "mending.no-exchange"
    assert desk.told(delivery) == []


def test_reply_that_never_came_is_not_found(desk: Desk) -> None:
    delivery = desk.deliver(None)
    (claim,) = desk.outbox.claim({BNN: 1})
    desk.outbox.note(claim, Request(endpoint="http://x", action="", body=b"asked"))

    with pytest.raises(NotValid):
        desk.history.exchanged(delivery, "reply", by="key:lan")
