from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.lifecycle import (
    DUE,
    ENDED,
    MAX_DEATHS,
    TRANSITIONS,
    Accepted,
    Deferred,
    Delivered,
    Failed,
    Outcome,
    Rejected,
    State,
    next_step,
    public_code,
    rescued,
    retry_delay,
)
from gateway.model import RetryPolicy

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
POLICY = RetryPolicy(first=timedelta(seconds=5), factor=2.0, longest=timedelta(minutes=10), jitter=0.2, attempts=4)
PAUSE = timedelta(seconds=30)

OUTCOMES = st.one_of(
    st.just(Delivered(reference="1")),
    st.just(Accepted(reference="1", ask_again_in=PAUSE)),
    st.just(Accepted(reference="1")),
    st.just(Rejected(reason="ERR02")),
    st.just(Deferred(for_=PAUSE)),
    st.just(Failed(code="timeout")),
)


@pytest.mark.parametrize(
    ("outcome", "to", "counts"),
    [
        (Delivered(), State.DELIVERED, True),
        (Rejected(reason="no"), State.REJECTED, True),
        (Accepted(reference="1", ask_again_in=PAUSE), State.AWAITING_REPLY, True),
        (Accepted(reference="1"), State.DEAD, True),
        (Deferred(for_=PAUSE), State.RETRYING, False),
        (Failed(code="timeout"), State.RETRYING, True),
    ],
)
def test_each_outcome_of_a_send_has_its_state(outcome: Outcome, to: State, counts: bool) -> None:  # noqa: FBT001  # parametrised
    step = next_step(State.QUEUED, outcome, attempt=1, policy=POLICY, now=NOW)

    assert (step.to, step.counts) == (to, counts)


def test_who_cannot_be_asked_is_set_aside_as_no_answer() -> None:
    assert next_step(State.QUEUED, Accepted(reference="1"), attempt=1, policy=POLICY, now=NOW).reason == "no-answer"


@pytest.mark.parametrize("state", [State.RETRYING, State.AWAITING_REPLY])
def test_what_is_put_off_says_why(state: State) -> None:
    assert next_step(state, Deferred(for_=PAUSE, reason="no-address"), attempt=1, policy=POLICY, now=NOW).reason == "no-address"


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (Failed(code="timeout", detail="x"), "timeout"),
        (Deferred(for_=PAUSE, reason="no-address"), "no-address"),
        (Rejected(reason="x"), ""),
    ],
)
def test_of_an_outcome_its_code_alone_is_public(outcome: Outcome, told: str) -> None:
    assert public_code(outcome) == told


def test_last_failed_attempt_sets_the_delivery_aside_with_its_code() -> None:
    step = next_step(State.RETRYING, Failed(code="timeout"), attempt=4, policy=POLICY, now=NOW)

    assert (step.to, step.due_at, step.reason) == (State.DEAD, None, "timeout")


def test_what_no_try_can_help_is_set_aside_at_once() -> None:
    step = next_step(State.QUEUED, Failed(code="content", final=True), attempt=1, policy=POLICY, now=NOW)

    assert (step.to, step.reason) == (State.DEAD, "content")


def test_poll_that_is_still_pending_costs_no_attempt() -> None:
    step = next_step(State.AWAITING_REPLY, Accepted(reference="1", ask_again_in=PAUSE), attempt=2, policy=POLICY, now=NOW)

    assert (step.to, step.due_at, step.counts) == (State.AWAITING_REPLY, NOW + PAUSE, False)


@given(outcome=OUTCOMES, attempt=st.integers(1, 10), state=st.sampled_from(sorted(DUE)))
def test_every_step_is_a_listed_transition(outcome: Outcome, attempt: int, state: State) -> None:
    step = next_step(state, outcome, attempt=attempt, policy=POLICY, now=NOW, key="d")

    assert step.to in TRANSITIONS[State.SENDING]
    assert (step.due_at is None) == (step.to in ENDED)


@given(outcome=OUTCOMES, attempt=st.integers(1, 10))
def test_poll_never_becomes_a_second_send(outcome: Outcome, attempt: int) -> None:
    step = next_step(State.AWAITING_REPLY, outcome, attempt=attempt, policy=POLICY, now=NOW, key="d")

    assert step.to not in {State.QUEUED, State.RETRYING}


@given(attempt=st.integers(1, 10_000), key=st.text(max_size=40))
def test_delay_stays_within_its_bounds(attempt: int, key: str) -> None:
    delay = retry_delay(POLICY, attempt, key)

    assert timedelta(seconds=4) <= delay <= timedelta(minutes=12)


def test_delay_doubles_and_is_spread_by_the_delivery_id_alone() -> None:
    plain = RetryPolicy(first=timedelta(seconds=5), jitter=0.0)

    assert [retry_delay(plain, n, "a").total_seconds() for n in (1, 2, 3, 4)] == [5, 10, 20, 40]
    assert retry_delay(POLICY, 1, "a") == retry_delay(POLICY, 1, "a")
    assert len({retry_delay(POLICY, 1, str(n)) for n in range(50)}) == 50


@pytest.mark.parametrize("state", [State.QUEUED, State.RETRYING, State.AWAITING_REPLY])
def test_what_died_goes_back_to_where_it_was_claimed_from_until_it_died_too_often(state: State) -> None:
    steps = [rescued(state, deaths=deaths, now=NOW, key="a") for deaths in range(1, MAX_DEATHS + 2)]

    assert [step.to for step in steps] == [state] * (MAX_DEATHS - 1) + [State.DEAD] * 2
    assert (steps[-1].due_at, steps[-1].reason) == (None, "died")
    assert all(step.to in TRANSITIONS[State.SENDING] for step in steps)


def test_what_died_once_or_twice_is_due_at_once_and_later_at_a_time_of_its_own() -> None:
    once, twice, thrice = ({rescued(State.QUEUED, deaths=n, now=NOW, key=str(k)).due_at for k in range(20)} for n in (1, 2, 3))

    assert once == twice == {NOW}
    assert len(thrice) == 20
    assert all(due is not None and NOW <= due <= NOW + timedelta(seconds=10) for due in thrice)


def test_ended_states_are_those_that_nothing_but_staff_leaves() -> None:
    assert set(State) == ENDED | DUE | {State.SENDING}
    assert not any(TRANSITIONS[s] & {State.SENDING} for s in ENDED)
