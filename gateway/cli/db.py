"""nsw db: the database: bring it to this release, look whether it is sound, see how large it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from gateway.bootstrap import schedule
from gateway.errors import GatewayError, Problem
from gateway.outbox.forecast import Forecast, Growth, growth, kind_of
from gateway.outbox.forecast import forecast as foresee
from gateway.ports import Database
from gateway.store.engine import open_database
from gateway.store.inspection import TableSize, inspect, sizes
from gateway.store.migrate import POST, PRE, Level, check_present, check_there, level, upgrade

from .output import GOOD, REFUSED, AsJson, emit, misuse, paragraph, people, problem_view, refuse, say, settings, show_table, tell

_DAYS = {"d": 1, "y": 366}
MAX_DAYS = 100 * 366
Ahead = Annotated[str | None, typer.Option("--forecast", metavar="SPAN", help="Say also how large it will be after 90d, 1y ….")]

app = typer.Typer(no_args_is_help=True, help="The database: bring it to this release, check it, see how large it is.")


@app.command(name="upgrade")
def bring(
    *,
    pre: Annotated[bool, typer.Option("--pre", help="Only what the release before can live with, as 'nsw serve' does itself.")] = False,
    post: Annotated[bool, typer.Option("--post", help="Only what is taken away once no process of the release before runs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the tables to this release; without an option both halves, for which no process of another release may run."""
    if pre and post:
        misuse("db-halves")
    halves = [half for half, left_out in ((PRE, post), (POST, pre)) if not left_out]
    url = settings().database
    try:
        for half in halves:
            upgrade(url, half)
        state = _state(url)
    except GatewayError as error:
        refuse(error, as_json=as_json)
    if as_json:
        emit({"ok": True, **state})
    else:
        _done(say("db-upgraded", pre=_spoken(state["pre"]), post=_spoken(state["post"])))


@app.command()
def check(*, as_json: AsJson = False) -> None:
    """Look whether the database is there, of this release, sound, and set so that nothing is lost. Ends with 1 where something is not."""
    url = settings().database
    try:
        check_there(url)
        state = _state(url)
        with _opened() as database:
            kind, found = database.kind, inspect(database)
    except GatewayError as error:
        refuse(error, as_json=as_json)
    problems = [*found.problems, *([Problem(text="store.pending")] if state["pre"] == Level.PENDING else [])]
    facts = {"kind": kind, **found.facts, **state}
    if as_json:
        emit({"ok": not problems, **facts, "errors": [problem_view(problem, problem.text) for problem in problems]})
    else:
        _print_facts(facts)
        tell(people(), problems)
    raise typer.Exit(REFUSED if problems else GOOD)


@app.command()
def size(*, forecast: Ahead = None, as_json: AsJson = False) -> None:
    """Say what each table takes with its indexes, and what the last weeks added; on PostgreSQL rows are its own estimate."""
    chosen, ahead = settings(), None if forecast is None else _ahead(forecast)
    try:
        check_present(chosen.database)
        with _opened() as database:
            found = sizes(database)
            by_table = {table.name: table.bytes for table in found}
            grown = growth(database, by_table)
            seen = None if ahead is None else foresee(database, by_table, schedule(chosen), ahead=ahead)
    except GatewayError as error:
        refuse(error, as_json=as_json)
    total = sum(table.bytes for table in found)
    if as_json:
        tables = [{"name": t.name, "kind": kind_of(t.name), "rows": t.rows, "bytes": t.bytes} for t in found]
        emit({"bytes": total, "tables": tables, "growth": asdict(grown), "forecast": seen and asdict(seen)})
    else:
        _print_sizes(found, total)
        _print_growth(grown, seen)


@contextmanager
def _opened() -> Iterator[Database]:
    database = open_database(settings().database)
    try:
        yield database
    finally:
        database.close()


def _state(url: str) -> dict[str, str]:
    """Say of both halves whether they were applied."""
    return {name: level(url, half).value for name, half in (("pre", PRE), ("post", POST))}


def _spoken(state: str) -> str:
    return say(f"db-{state}")


def _done(text: str) -> None:
    paragraph(people(), Text(f"✓ {text}", style="green"), indent=0, hanging=2)


def _print_facts(facts: dict[str, str]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in facts.items():
        table.add_row(Text(name, style="dim"), value)
    show_table(people(), table)


def _ahead(text: str) -> timedelta:
    """Read "90d" or "1y"; ends with 2 for anything else, and for what lies beyond any plan."""
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdecimal() and unit in _DAYS) or int(number) * _DAYS[unit] > MAX_DAYS:
        misuse("db-forecast", found=text)
    return timedelta(days=int(number) * _DAYS[unit])


def _print_growth(grown: Growth, seen: Forecast | None) -> None:
    weeks = " · ".join(f"{count:,}" for count in grown.messages)
    day = f"{grown.bytes_per_day / 2**20:,.1f}"
    paragraph(people(), Text(say("db-growth", weeks=weeks, messages=f"{grown.messages_per_day:,.0f}", mib=day)), indent=0)
    if seen:
        size, kept = f"{seen.bytes / 2**20:,.1f}", f"{seen.kept / 2**20:,.1f}"
        paragraph(people(), Text(say("db-forecasted", at=f"{seen.at:%Y-%m-%d}", mib=size, kept=kept, purged=f"{seen.purged:,}")), indent=0)


def _print_sizes(found: tuple[TableSize, ...], total: int) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column(say("db-table"))
    table.add_column(say("db-rows"), justify="right")
    table.add_column("MiB", justify="right")
    for each in found:
        table.add_row(each.name, f"{each.rows:,}", f"{each.bytes / 2**20:,.1f}")
    table.add_row(say("db-total"), "", f"{total / 2**20:,.1f}", style="bold")
    show_table(people(), table)
