"""Searches ask the standby first, and nobody is refused one because the standby is away."""

from collections.abc import Callable
from typing import TypeVar

import pytest

from gateway.errors import Code, NotValid, Problem, Unavailable
from gateway.ports import Tx
from gateway.store.sharing import away
from gateway.store.standby import AWAY_SECONDS, StandbyFirst

T = TypeVar("T")


class Answering:
    """A database that answers every read with its name, or fails it."""

    kind = "postgresql"

    def __init__(self, name: str) -> None:
        self.name = name
        self.failure: Exception | None = None
        self.asked = 0
        self.closed = False

    def read(self, _work: Callable[[Tx], T]) -> T:
        self.asked += 1
        if self.failure:
            raise self.failure
        return self.name  # type: ignore[return-value]  # what was read does not matter here

    def commit(self, work: Callable[[Tx], T]) -> T:
        return self.read(work)

    def close(self) -> None:
        self.closed = True


class Watched:
    """A standby and a primary, and the time since the beginning."""

    def __init__(self) -> None:
        self.standby, self.primary, self.seconds = Answering("standby"), Answering("primary"), 0.0
        self.both = StandbyFirst(self.standby, self.primary, elapsed=lambda: self.seconds)

    def read(self) -> object:
        return self.both.read(lambda tx: tx)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_reads_ask_the_standby(watched: Watched) -> None:
    assert watched.read() == "standby"
    assert watched.primary.asked == 0


def test_reads_ask_the_primary_while_the_standby_is_away(watched: Watched) -> None:
    watched.standby.failure = away("OperationalError")

    assert [watched.read(), watched.read()] == ["primary", "primary"]
    assert watched.standby.asked == 1  # who waits for a dead host once has waited enough


def test_reads_ask_the_standby_again_when_it_is_back(watched: Watched) -> None:
    watched.standby.failure = away("OperationalError")
    watched.read()
    watched.standby.failure = None

    watched.seconds += AWAY_SECONDS

    assert watched.read() == "standby"


@pytest.mark.parametrize("cause", ["busy", "QueryCanceled"])
def test_search_that_is_too_much_for_the_standby_is_not_put_upon_the_primary(watched: Watched, cause: str) -> None:
    watched.standby.failure = away(cause)

    with pytest.raises(Unavailable):
        watched.read()

    assert watched.primary.asked == 0


def test_what_is_wrong_with_a_question_is_wrong_everywhere(watched: Watched) -> None:
    watched.standby.failure = NotValid(Code.NOT_FOUND, Problem(text="outbox.purged"))

    with pytest.raises(NotValid):
        watched.read()


def test_commits_go_to_the_primary(watched: Watched) -> None:
    watched.both.commit(lambda tx: tx)

    assert (watched.primary.asked, watched.standby.asked) == (1, 0)


def test_close_leaves_the_primary_to_its_owner(watched: Watched) -> None:
    watched.both.close()

    assert (watched.standby.closed, watched.primary.closed) == (True, False)
