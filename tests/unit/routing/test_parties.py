"""What a party asks of those who send to it: how much at a time, and when nothing."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from gateway.model import Party, Window
from gateway.routing.rules import load

ZONE = timezone(timedelta(hours=7))
LIMITS = 'limits = { timeout = "3s" }'
Change = Callable[[str, str, str], Path]


@pytest.fixture
def customs(folder: Path, edit: Change) -> Callable[[str], Party]:
    """Read the customs party with other last lines."""

    def read(lines: str) -> Party:
        edit("parties.toml", LIMITS, lines)
        return next(party for party in load([folder]).parties if party.code == "CUSTOMS")

    return read


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2024, 1, day, hour, minute, tzinfo=ZONE)


def test_a_rate_is_read(customs: Callable[[str], Party]) -> None:
    assert customs("limits = { per_minute = 30 }").limits.per_minute == 30


def test_without_a_rate_there_is_none(customs: Callable[[str], Party]) -> None:
    party = customs(LIMITS)

    assert party.limits.per_minute is None
    assert party.maintenance == ()


def test_a_window_of_one_time_is_read_in_the_gateways_zone(customs: Callable[[str], Party]) -> None:
    party = customs("[[party.maintenance]]\nfrom = 2026-12-24T22:00:00\nuntil = 2026-12-26")

    assert party.maintenance == (Window(start=datetime(2026, 12, 24, 22, tzinfo=ZONE), until=datetime(2026, 12, 26, tzinfo=ZONE)),)


@pytest.mark.parametrize(
    ("weekly", "start", "until"),
    [
        ("Mon 01:00-03:30", at(1, 1), at(1, 3, 30)),
        ("Sun 22:00-02:00", at(7, 22), at(8, 2)),
        ("Wed 00:00-00:00", at(3, 0), at(4, 0)),
    ],
)
def test_weekly_window_may_cross_midnight(customs: Callable[[str], Party], weekly: str, start: datetime, until: datetime) -> None:
    party = customs(f'maintenance = [{{ weekly = "{weekly}" }}]')

    assert party.maintenance == (Window(start=start, until=until, weekly=True),)


@pytest.mark.parametrize(
    ("lines", "text", "place"),
    [
        ("limits = { per_minute = 0 }", "too-small", "party#3.limits.per_minute"),
        ("limits = { per_minute = 1.5 }", "want-number", "party#3.limits.per_minute"),
        ('maintenance = [{ weekly = "Sunday 01:00-03:00" }]', "want-weekly", "party#3.maintenance#1.weekly"),
        ('maintenance = [{ weekly = "Sun 1:00-3:00" }]', "want-weekly", "party#3.maintenance#1.weekly"),
        ('maintenance = [{ weekly = "Sun 23:00-24:00" }]', "want-weekly", "party#3.maintenance#1.weekly"),
        ('maintenance = [{ weekly = "Sun 01:00-03:00", until = 2026-12-26 }]', "want-window", "party#3.maintenance#1"),
        ("maintenance = [{ until = 2026-12-26 }]", "want-window", "party#3.maintenance#1"),
        ("maintenance = [{}]", "want-window", "party#3.maintenance#1"),
        ("maintenance = [{ from = 2026-12-26, until = 2026-12-26T00:00:00 }]", "want-window", "party#3.maintenance#1"),
        ('maintenance = [{ from = "now", until = 2026-12-26 }]', "want-date", "party#3.maintenance#1.from"),
        ("maintenance = [{ form = 2026-12-26, until = 2026-12-27 }]", "key-unknown", "party#3.maintenance#1.form"),
    ],
)
def test_what_cannot_be_a_rate_or_a_window_is_refused(faults: Any, edit: Change, lines: str, text: str, place: str) -> None:
    edit("parties.toml", LIMITS, lines)

    assert (f"routing.{text}", place) in [(problem.text, str(problem.path).partition(" ")[2] or problem.path) for problem in faults()]
