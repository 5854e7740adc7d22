from datetime import UTC, datetime, timedelta

import pytest

from gateway.outbox.rate import MINUTE, allowed, burst, every, latest

NOW = datetime(2026, 11, 21, tzinfo=UTC)
STEP = timedelta(milliseconds=20)


def greedy(per_minute: int, minutes: int) -> list[datetime]:
    """Take whatever is allowed, all the time; gives when each was taken."""
    full_at, now, taken = NOW, NOW, []
    while now < NOW + minutes * MINUTE:
        for _ in range(allowed(full_at, per_minute=per_minute, now=now)):
            full_at = max(full_at, now) + every(per_minute)
            taken.append(now)
        now += STEP
    return taken


@pytest.mark.parametrize("per_minute", [1, 7, 59, 60, 61, 100, 600])
def test_no_minute_ever_holds_more_than_it_may(per_minute: int) -> None:
    taken = greedy(per_minute, 3)

    busiest = max(sum(start <= at < start + MINUTE for at in taken) for start in taken)

    assert busiest <= per_minute


@pytest.mark.parametrize("per_minute", [7, 60, 600])
def test_rate_is_used_up(per_minute: int) -> None:
    assert len(greedy(per_minute, 3)) >= 3 * per_minute * 0.95


@pytest.mark.parametrize(("per_minute", "at_once"), [(1, 1), (59, 1), (60, 2), (600, 11)])
def test_what_falls_to_a_second_may_go_at_once(per_minute: int, at_once: int) -> None:
    assert burst(per_minute) == allowed(NOW, per_minute=per_minute, now=NOW) == at_once


def test_nothing_is_saved_up_beyond_that() -> None:
    assert allowed(NOW, per_minute=60, now=NOW + timedelta(days=1)) == 2


def test_used_up_rate_allows_nothing_until_the_next_is_there() -> None:
    full_at = NOW + 2 * every(60)

    assert allowed(full_at, per_minute=60, now=NOW) == 0
    assert allowed(full_at, per_minute=60, now=NOW + every(60)) == 1


@pytest.mark.parametrize("count", [1, 2])
def test_latest_is_where_so_many_are_just_allowed(count: int) -> None:
    at = latest(count, per_minute=60, now=NOW)

    assert allowed(at, per_minute=60, now=NOW) == count
    assert allowed(at + timedelta(microseconds=1), per_minute=60, now=NOW) == count - 1


def test_clock_set_back_is_recognised() -> None:
    assert allowed(NOW + timedelta(hours=1), per_minute=60, now=NOW) == burst(60)
