"""The nightly run: within its hours, once a night, and gently."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, timezone
from pathlib import Path
from typing import cast

import pytest

from gateway.errors import Code, Conflict, GatewayError, Problem, Unavailable
from gateway.model import Schedule
from gateway.outbox.housekeeper import SHARE, SHORTEST_PAUSE, Hours, Housekeeper, pause_after, read_hours
from gateway.outbox.retention import Done, Retention

ZONE = timezone(timedelta(hours=7))
NIGHT = (time(1), time(5))
ONE = datetime(2026, 11, 21, 18, 0, tzinfo=UTC)  # 01:00 in the zone


@dataclass
class Night:
    """A housekeeper over steps that are given, and a clock that is moved by hand."""

    steps: int = 2
    error: GatewayError | None = None
    runs: int = 0
    closed: int = 0
    now: datetime = ONE
    events: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)

    def run(self, _schedule: Schedule, *, folder: Path) -> Generator[Done, None, None]:
        assert folder == Path("archive")
        self.runs += 1
        try:
            for _ in range(self.steps):
                if self.error:
                    raise self.error
                yield Done(stage="content", messages=200, bytes=7)
        finally:
            self.closed += 1

    def keeper(self, hours: Hours | None = NIGHT) -> Housekeeper:
        return Housekeeper(
            cast("Retention", self),
            schedule=Schedule,
            folder=Path("archive"),
            hours=hours,
            zone=lambda: ZONE,
            clock=lambda: self.now,
            watch=lambda event, fields: self.events.append((event, fields)),
        )


@pytest.fixture
def night() -> Night:
    return Night()


def test_one_run_a_night(night: Night) -> None:
    keeper = night.keeper()

    for hours in (0, 1, 2, 10, 24):  # at 1, 2 and 3 in the night, at 11 in the day, and the next night
        night.now = ONE + timedelta(hours=hours)
        keeper.look()

    assert night.runs == 2


def test_hours_that_end_where_they_begin_are_the_whole_day(night: Night) -> None:
    keeper = night.keeper((time(1), time(1)))

    for hours in (0, 1, 12, 23, 24, 30):
        night.now = ONE + timedelta(hours=hours)
        keeper.look()

    assert night.runs == 2


def test_each_step_is_told(night: Night) -> None:
    night.keeper().look()

    assert [(event, fields["code"], fields["messages"], fields["bytes"]) for event, fields in night.events] == [
        ("retention.step", "content", 200, 7)
    ] * 2


@pytest.mark.parametrize(
    ("hours", "inside", "outside"),
    [((time(1), time(5)), [1, 4], [0, 5, 13]), ((time(22), time(3)), [22, 23, 0, 2], [3, 12, 21])],
)
def test_runs_within_its_hours_only(night: Night, hours: Hours, inside: list[int], outside: list[int]) -> None:
    for hour in (*inside, *outside):
        night.now = datetime(2026, 11, 21, hour, 0, tzinfo=ZONE)
        before = night.runs
        night.keeper(hours).look()
        assert night.runs - before == (hour in inside)


def test_what_the_night_was_too_short_for_goes_on_in_the_next(night: Night) -> None:
    keeper = night.keeper()
    original = night.run

    def slow(_schedule: Schedule, *, folder: Path) -> Generator[Done, None, None]:
        for done in original(_schedule, folder=folder):
            night.now += timedelta(hours=3)
            yield done

    night.run = slow  # type: ignore[method-assign]
    keeper.look()
    keeper.look()

    assert (night.runs, len(night.events)) == (1, 2)  # the second step ended after five o'clock
    night.now = ONE + timedelta(days=1)
    keeper.look()
    assert night.runs == 2


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Conflict(Code.CONFLICT, Problem(text="retention.under-way")), []),
        (Unavailable(Code.UNAVAILABLE, Problem(text="store.away")), ["retention.paused"]),
    ],
)
def test_what_cannot_be_done_now_is_tried_again(night: Night, error: GatewayError, told: list[str]) -> None:
    keeper = night.keeper()
    night.error = error
    keeper.look()
    assert [event for event, _ in night.events] == told

    night.error = None
    keeper.look()

    assert (night.runs, night.closed) == (2, 2)


def test_off_is_never(night: Night) -> None:
    keeper = night.keeper(hours=None)
    keeper.start()
    keeper.look()
    keeper.stop()

    assert night.runs == 0


def test_stops_in_the_middle_of_a_run(night: Night) -> None:
    keeper = night.keeper()
    keeper.start()
    keeper.stop()

    keeper.look()

    assert (len(night.events), night.closed) == (1, 1)  # the step under way was ended, and its turn given up


def test_pauses_are_longer_than_steps() -> None:
    assert pause_after(1.0) == SHARE
    assert pause_after(0.0) == SHORTEST_PAUSE


def test_hours_are_read() -> None:
    assert read_hours("01:00-05:30") == (time(1), time(5, 30))
    assert read_hours("off") is None
