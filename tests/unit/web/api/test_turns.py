"""Large answers under way are bounded by caller and in all, and a turn comes back whatever became of it."""

from contextlib import ExitStack

import pytest

from gateway.errors import Problem, Unavailable
from gateway.web.api.turns import Turns


@pytest.fixture
def turns() -> Turns:
    return Turns(most=3, of_one=2, busy=lambda values: Problem(text="web.attachments-busy", values=values))


def test_a_caller_has_a_few_and_others_have_theirs(turns: Turns) -> None:
    with ExitStack() as opened:
        for _ in range(2):
            opened.enter_context(turns.one("slow"))
        with pytest.raises(Unavailable) as refused, turns.one("slow"):
            pass
        with turns.one("other"):
            pass

    assert refused.value.problems[0].values == {"limit": "2"}
    with turns.one("slow"):
        pass


def test_all_together_have_a_bound(turns: Turns) -> None:
    with turns.one("a"), turns.one("b"), turns.one("c"), pytest.raises(Unavailable), turns.one("d"):
        pass


def test_what_fails_gives_its_turn_back(turns: Turns) -> None:
    for _ in range(4):
        with pytest.raises(ZeroDivisionError), turns.one("a"):
            raise ZeroDivisionError
