"""A death at every moment of every story: what was acknowledged arrives, what was not is absent or complete, nothing has two effects."""

from collections.abc import Sequence
from typing import Any

import pytest

from gateway.config import Settings
from gateway.testing.faults.ground import Ground
from gateway.testing.faults.matrix import Case, Matrix
from gateway.testing.faults.points import UNSETTLED, every_moment
from gateway.testing.faults.stories import STORIES

ONLY_INTAKE_IS_NEW = frozenset({"repeat", "signed-again", "conflict"})  # what they deliver is agriculture's: only their intake is new
FEW = 8  # of a story's moments are tried in the quick tier, at even distances


@pytest.fixture
def matrix(ground: Ground, settings: Settings) -> Matrix:
    return Matrix(ground=ground, settings=settings)


def broken(cases: Sequence[Case]) -> dict[str, Sequence[str]]:
    return {f"{number}: death at {case.moment}": case.broken for number, case in enumerate(cases, start=1) if case.broken}


def test_some_deaths_lose_nothing_and_double_nothing(matrix: Matrix) -> None:
    story = STORIES["agriculture"]
    moments = matrix.moments(story)
    chosen = range(3, len(moments) + 1, len(moments) // FEW)

    cases = [matrix.play(story, fatal) for fatal in chosen]

    assert [case.moment for case in cases] == [moments[fatal - 1] for fatal in chosen]
    assert broken(cases) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", STORIES)
def test_a_death_at_any_moment_loses_nothing_and_doubles_nothing(matrix: Matrix, name: str, record_property: Any) -> None:
    moments = matrix.moments(STORIES[name])
    if name in ONLY_INTAKE_IS_NEW:
        moments = moments[: moments.index("rescue.before")]

    cases = [matrix.play(STORIES[name], fatal) for fatal in range(1, len(moments) + 1)]

    assert [case.moment for case in cases] == moments
    assert broken(cases) == {}
    record_property("deaths", len(cases))
    record_property("redelivered", sum(case.redelivered for case in cases))


@pytest.mark.slow
def test_a_second_death_while_the_first_is_being_mended_changes_nothing(matrix: Matrix) -> None:
    story = STORIES["agriculture"]
    moments = matrix.moments(story)
    fatal = moments.index("send.after") + 1

    cases = [matrix.play(story, fatal, again=again) for again in range(1, len(moments) + 1)]

    assert broken(cases) == {}
    assert sum(case.moment.count(",") for case in cases) > len(moments) // 2  # most second lives died as well


def test_the_stories_pass_every_moment_there_is(matrix: Matrix) -> None:
    passed = {moment for story in STORIES.values() for moment in matrix.moments(story)}

    assert passed >= every_moment()


def test_a_partner_sees_a_message_again_only_after_a_death_between_send_and_settle(matrix: Matrix) -> None:
    story = STORIES["agriculture"]
    moments = matrix.moments(story)
    chosen = ["send.before", "send.after", "settle.uncommitted", "settle.committed"]

    cases = [matrix.play(story, moments.index(moment) + 1) for moment in chosen]

    assert [case.redelivered for case in cases] == [moment in UNSETTLED for moment in chosen]
