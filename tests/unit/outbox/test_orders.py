from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import NotValid
from gateway.model import DeliveryId
from gateway.outbox.orders import JOB_MOVES, Act, Choice, Job, JobState, Order, read_choice, read_job

NOW = datetime(2026, 11, 21, 8, 0, 0, 123, tzinfo=UTC)
TEXTS = st.text(min_size=1, max_size=20)
CHOICES = st.one_of(
    st.builds(Choice, ids=st.lists(TEXTS.map(DeliveryId), min_size=1, max_size=3, unique=True).map(tuple)),
    st.builds(Choice, party=TEXTS, cause=TEXTS, since=st.none() | st.just(NOW), until=st.none() | st.just(NOW)),
)
ORDERS = st.builds(
    Order, act=st.sampled_from(Act), reason=st.text(max_size=20), party=TEXTS, corrections=st.dictionaries(TEXTS, TEXTS, max_size=2)
)


@given(choice=CHOICES)
def test_choice_is_read_as_it_was_written(choice: Choice) -> None:
    assert read_choice(choice.written()) == choice


@given(order=ORDERS, choice=CHOICES, skips=st.dictionaries(TEXTS, st.integers(1, 9), max_size=2))
def test_job_is_read_as_it_was_written(order: Order, choice: Choice, skips: dict[str, int]) -> None:
    job = Job(
        id="j", state=JobState.PROPOSED, order=order, choice=choice, proposed_by="key:lan", approved_by=None, total=3, done=1,
        skipped=sum(skips.values()), skips=skips, reached=7, upto=9, created_at=NOW, updated_at=NOW, expires_at=NOW + timedelta(days=1),
        repeat_key="K",
    )  # fmt: skip

    assert read_job(job.row()) == job


def test_conditions_mean_what_is_dead_unless_a_state_is_given() -> None:
    assert Choice(party="BNN").conditions() == {"party": "BNN", "state": "dead"}
    assert Choice(state="queued").conditions() == {"state": "queued"}


def test_every_job_comes_to_an_end_it_does_not_leave() -> None:
    ended = {state for state in JobState if not JOB_MOVES[state]}
    assert ended == {JobState.DONE, JobState.CANCELLED, JobState.EXPIRED}
    assert all(any(JobState.CANCELLED in (to, *JOB_MOVES[to]) for to in JOB_MOVES[state]) for state in set(JobState) - ended)


def test_everything_that_an_order_lacks_is_said_at_once() -> None:
    with pytest.raises(NotValid) as refused:
        Order(act=Act.REDIRECT).check()

    assert [problem.text for problem in refused.value.problems] == ["mending.no-reason", "mending.no-party"]
