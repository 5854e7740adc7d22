"""Which periods hold for which messages."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from gateway.model import Periods, Schedule, longest
from gateway.routing.retention import schedule_of
from gateway.routing.rules import RuleSet, load

Edit = Callable[[str, str, str], None]
YEAR = timedelta(days=366)
TEN = Periods(content=10 * YEAR, record=20 * YEAR, archive=timedelta(days=90))


def test_procedures_have_their_periods_and_the_rest_the_longest_of_them(rules: RuleSet) -> None:
    schedule = schedule_of(rules)

    assert set(schedule.procedures.values()) == {TEN}
    assert schedule.parties == {}
    assert schedule.otherwise == TEN


def test_gateways_own_periods_hold_where_no_procedure_governs(folder: Path, edit: Edit) -> None:
    edit("parties.toml", "[gateway]", '[gateway]\nretention = { content = "30d", record = "1y" }')

    assert schedule_of(load([folder])).otherwise == Periods(content=timedelta(days=30), record=YEAR)


def test_party_asks_for_its_own_periods(folder: Path, edit: Edit) -> None:
    edit("parties.toml", 'code = "CUSTOMS"', 'code = "CUSTOMS"\nretention = { content = "12y", record = "12y", archive = "0s" }')

    assert schedule_of(load([folder])).parties == {"CUSTOMS": Periods(content=12 * YEAR, record=12 * YEAR, archive=timedelta(0))}


def test_a_procedure_has_the_longest_of_its_versions(folder: Path) -> None:
    shipped = folder / "procedures" / "M" / "p.toml"
    text = shipped.read_text("utf-8")
    later = text.replace("valid_from = 2020-01-01", "valid_from = 2030-01-01").replace('content = "10y"', 'content = "5y"')
    shipped.write_text(text.replace("valid_from = 2020-01-01", "valid_from = 2020-01-01\nvalid_to = 2029-12-31"), "utf-8")
    shipped.with_name("q.toml").write_text(later.replace('record = "20y"', 'record = "30y"'), "utf-8")

    (periods,) = schedule_of(load([folder])).procedures.values()

    assert (periods.content, periods.record) == (10 * YEAR, 30 * YEAR)


def test_longest_takes_the_longest_of_each() -> None:
    one = Periods(content=YEAR, record=3 * YEAR, archive=timedelta(0))
    other = Periods(content=2 * YEAR, record=2 * YEAR, archive=timedelta(days=1))

    assert longest((one, other)) == Periods(content=2 * YEAR, record=3 * YEAR, archive=timedelta(days=1))


def test_longest_of_none_is_none() -> None:
    assert longest(()) is None


def test_a_message_stays_as_long_as_its_procedure_or_any_of_its_parties_asks() -> None:
    short, long = Periods(content=YEAR, record=YEAR), Periods(content=3 * YEAR, record=3 * YEAR)
    schedule = Schedule(procedures={"P": short}, parties={"BNN": long})

    assert schedule.of("P", ["NSW"]) == short
    assert schedule.of("P", ["NSW", "BNN"]) == long
    assert schedule.of("unknown", ["BNN"]) is None
    assert Schedule(otherwise=short).of("unknown", []) == short
