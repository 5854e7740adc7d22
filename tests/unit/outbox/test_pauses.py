from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from gateway.model import Identity, Party, PartyCode, Window
from gateway.outbox.pauses import paused_until

ZONE = timezone(timedelta(hours=7))
IDENTITY = Identity(name="A", identity="A", country="VN", ministry="", organization="")
PARTY = Party(code=PartyCode("A"), identity=IDENTITY)
NOW = datetime(2026, 11, 22, 1, 30, tzinfo=ZONE)  # a Sunday
HOUR = timedelta(hours=1)


def with_windows(*windows: Window) -> Party:
    return replace(PARTY, maintenance=windows)


def sunday(zone: timezone | ZoneInfo = ZONE) -> Window:
    return Window(start=datetime(2024, 1, 7, 1, tzinfo=zone), until=datetime(2024, 1, 7, 3, tzinfo=zone), weekly=True)


def test_nothing_keeps_from_a_party_without_windows() -> None:
    assert paused_until(PARTY, None, NOW) is None


def test_window_of_one_time_holds_from_its_start_to_its_end() -> None:
    party = with_windows(Window(start=NOW, until=NOW + HOUR))

    held = [paused_until(party, None, NOW + n * HOUR / 2) for n in (-1, 0, 1, 2)]

    assert held == [None, NOW + HOUR, NOW + HOUR, None]


@pytest.mark.parametrize("weeks", [0, 1, 150])
def test_weekly_window_holds_every_week(weeks: int) -> None:
    at = datetime(2024, 1, 7, 2, tzinfo=ZONE) + timedelta(weeks=weeks)

    assert paused_until(with_windows(sunday()), None, at) == at + HOUR
    assert paused_until(with_windows(sunday()), None, at + HOUR) is None
    assert paused_until(with_windows(sunday()), None, at + timedelta(days=1)) is None


def test_window_is_in_its_own_zone_whatever_the_clock_speaks() -> None:
    assert paused_until(with_windows(sunday()), None, NOW.astimezone(UTC)) == NOW + 1.5 * HOUR


def test_weekly_window_follows_the_wall_clock_through_summer_time() -> None:
    party = with_windows(sunday(ZoneInfo("Europe/Berlin")))

    winter, summer = (datetime(2026, month, day, 0, 30, tzinfo=UTC) for month, day in ((1, 11), (7, 12)))

    assert paused_until(party, None, winter) == datetime(2026, 1, 11, 2, tzinfo=UTC)
    assert paused_until(party, None, summer) == datetime(2026, 7, 12, 1, tzinfo=UTC)


def test_before_its_first_week_a_weekly_window_does_not_hold() -> None:
    assert paused_until(with_windows(sunday()), None, datetime(2023, 12, 31, 2, tzinfo=ZONE)) is None


def test_pause_by_staff_holds_until_it_ends() -> None:
    assert paused_until(PARTY, NOW + HOUR, NOW) == NOW + HOUR
    assert paused_until(PARTY, NOW, NOW) is None


def test_the_longest_of_all_counts() -> None:
    party = with_windows(sunday(), Window(start=NOW, until=NOW + HOUR))

    assert paused_until(party, NOW + HOUR / 2, NOW) == NOW + 1.5 * HOUR
