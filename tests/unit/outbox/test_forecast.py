"""Growth and forecast, over messages whose number and age are chosen."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert

from gateway.model import Periods, Schedule, uuid7
from gateway.outbox.forecast import forecast, growth, kind_of
from gateway.ports import Database
from gateway.store.engine import open_database
from gateway.store.migrate import upgrade
from gateway.store.tables import METADATA, PURGED
from gateway.testing.entries import START

DAY = timedelta(days=1)
SIZES = {"payloads": 280_000, "messages": 28_000, "ledger": 14_000}  # of 28 messages: 10,000 bytes content, 1,000 record, 500 ledger
FOREVER = Periods(content=36_600 * DAY, record=36_600 * DAY)


@dataclass
class Past:
    database: Database

    def came(self, days_ago: float, *, procedure: str | None = "P1", purged: bool = False) -> None:
        at = START - days_ago * DAY
        number = uuid7(at, os.urandom(10))
        row = {"id": number, "state": "accepted", "received_at": 0, "door": "", "channel": "", "path": "", "sha256": ""}
        row |= {"answer_status": 200, "answer_headers": "{}", "procedure": procedure}
        messages = METADATA.tables["messages"]
        self.database.commit(lambda tx: tx.changed(insert(messages).values(row)))
        if purged:
            self.database.commit(lambda tx: tx.changed(insert(PURGED).values(message=number, purged_at=0)))


@pytest.fixture(params=["sqlite", "postgresql"])
def past(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Past]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else f"sqlite:///{tmp_path}/gateway.db"
    upgrade(url)
    database = open_database(url, clock=lambda: START)
    yield Past(database)
    database.close()


@pytest.fixture
def steady(past: Past) -> Past:
    """One message a day for four weeks."""
    for day in range(28):
        past.came(day + 0.5)
    return past


def test_growth_counts_the_last_weeks_and_weighs_a_message(steady: Past) -> None:
    grown = growth(steady.database, SIZES)

    assert (grown.days, grown.messages, grown.messages_per_day, grown.bytes_per_day) == (28, (7, 7, 7, 7), 1.0, 11_500)


def test_growth_of_a_young_database_is_by_the_days_it_has(past: Past) -> None:
    for hours in (1, 20, 30, 40):
        past.came(hours / 24)

    assert growth(past.database, {"payloads": 4_000}).messages_per_day == 2.0


def test_growth_of_an_empty_database_is_none(past: Past) -> None:
    grown = growth(past.database, {})

    assert (grown.messages, grown.bytes_per_day) == ((0, 0, 0, 0), 0)


def test_forecast_adds_what_goes_on_coming(steady: Past) -> None:
    seen = forecast(steady.database, SIZES, Schedule(otherwise=FOREVER), ahead=100 * DAY)

    assert (seen.at, seen.kept, seen.bytes, seen.purged) == (START + 100 * DAY, 322_000 + 1_150_000, 1_472_000, 0)


def test_forecast_takes_off_what_is_old_enough_by_then(steady: Past) -> None:
    schedule = Schedule(procedures={"P1": Periods(content=50 * DAY, record=36_600 * DAY)})

    seen = forecast(steady.database, SIZES, schedule, ahead=100 * DAY)

    assert seen.purged == 28 + 50  # all that are here, and those of the first fifty days to come
    assert seen.bytes == seen.kept - 78 * 10_000


def test_forecast_takes_off_records_after_their_period(steady: Past) -> None:
    schedule = Schedule(procedures={"P1": Periods(content=10 * DAY, record=60 * DAY)})

    seen = forecast(steady.database, SIZES, schedule, ahead=50 * DAY)

    assert seen.purged == 28 + 40
    assert seen.bytes == seen.kept - 68 * 10_000 - 18 * 1_000  # of those here, 18 are older than ten days now


def test_forecast_counts_no_content_twice(past: Past) -> None:
    past.came(20, purged=True)
    past.came(20)

    seen = forecast(past.database, {"payloads": 1_000}, Schedule(otherwise=Periods(content=10 * DAY, record=36_600 * DAY)), ahead=0 * DAY)

    assert (seen.purged, seen.bytes) == (1, 0)


def test_forecast_leaves_alone_what_nothing_says_how_long_to_keep(past: Past) -> None:
    past.came(20, procedure=None)

    assert forecast(past.database, SIZES, Schedule(procedures={"P1": FOREVER}), ahead=DAY).purged == 0


def test_every_table_has_a_kind() -> None:
    kinds = {kind_of(table) for table in METADATA.tables}

    assert kinds == {"content", "record", "ledger", "other"}
    assert kind_of("payloads") == "content"
    assert {kind_of(table) for table in METADATA.tables if table.startswith("ledger")} == {"ledger"}  # heads and stamps stay as leaves do
