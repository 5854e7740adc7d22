"""Rounds go on whatever one of them brought, and end when they are told to."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from gateway.errors import Code, Problem, Unavailable
from gateway.rounds import Rounds

PATIENCE = 5.0
NEVER = 3600.0


@dataclass
class Work:
    """Something done in rounds, of which the first may go wrong."""

    first: Exception | None = None
    made: int = 0
    told: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)
    again: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> None:
        self.made += 1
        if self.made > 1:
            self.again.set()
        elif self.first:
            raise self.first

    def watch(self, event: str, fields: Mapping[str, object]) -> None:
        self.told.append((event, fields))


@pytest.mark.parametrize(
    ("first", "told"),
    [
        (None, []),
        (Unavailable(Code.UNAVAILABLE, Problem(text="store.away")), [("papers.paused", {"code": Code.UNAVAILABLE})]),
        (ZeroDivisionError(), [("papers.defect", {"defect": "ZeroDivisionError"})]),
    ],
)
def test_rounds_go_on_after_whatever_one_brought(first: Exception | None, told: list[object]) -> None:
    work = Work(first=first)
    rounds = Rounds("tidy", work, every=0.001, watch=work.watch, area="papers")
    rounds.start()

    assert work.again.wait(PATIENCE)
    rounds.stop()

    assert work.told == told
    assert not rounds.alive


@pytest.mark.parametrize(("at_once", "last", "made"), [(False, False, 0), (True, False, 1), (False, True, 1), (True, True, 2)])
def test_first_and_last_rounds_are_made_where_asked(at_once: bool, last: bool, made: int) -> None:  # noqa: FBT001  # pytest passes by name
    work = Work()
    rounds = Rounds("tidy", work, every=NEVER, watch=work.watch, at_once=at_once, last=last)

    rounds.start()
    rounds.stop()

    assert work.made == made


def test_rounds_that_never_began_can_be_stopped() -> None:
    work = Work()
    rounds = Rounds("tidy", work, every=NEVER, watch=work.watch, last=True)

    rounds.stop()

    assert (work.made, rounds.alive) == (0, False)


@pytest.fixture
def hanging() -> tuple[Callable[[], object], threading.Event, threading.Event]:
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(PATIENCE)

    return work, begun, go_on


def test_a_stop_waits_no_longer_than_its_patience(hanging: tuple[Callable[[], object], threading.Event, threading.Event]) -> None:
    work, begun, go_on = hanging
    rounds = Rounds("slow", work, every=0.001, watch=lambda *_: None, patience=0.01)
    rounds.start()
    assert begun.wait(PATIENCE)

    rounds.stop()

    assert rounds.alive
    go_on.set()
