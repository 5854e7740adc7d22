"""nsw parties: how each party stands, from the database; pause one for a while, and resume. Works beside a running server."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.bootstrap import open_store
from gateway.errors import Code, GatewayError, NotValid, Problem
from gateway.hub import Store
from gateway.installed import known_parties, now
from gateway.model import Party
from gateway.web.api.standing import ANNOUNCED, PartyView, party_views

from .asking import asker
from .output import AsJson, emit, misuse, people, refuse, say, settings, show_table
from .story import when

app = typer.Typer(no_args_is_help=True, help="Parties: how each stands; pause one for a while, resume.")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}

Which = Annotated[str, typer.Argument(metavar="CODE", help="A party's code or alias.")]
Until = Annotated[str, typer.Option("--until", metavar="TIME", help="Until 2026-10-12, 2026-10-12T09:30, or for 90m, 6h, 2d.")]
Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; shown to staff, without personal data.")]


@app.command(name="list")
def list_command(*, as_json: AsJson = False) -> None:
    """Show which parties are away or paused, and what waits for each."""
    try:
        with open_store(settings()) as store:
            views = _views(store, known_parties(settings()))
    except GatewayError as error:
        refuse(error, as_json=as_json)
    if as_json:
        emit({"items": [view.model_dump(mode="json") for view in views]})
    else:
        _print(people(), views)


@app.command()
def pause(party: Which, *, until: Until, reason: Why, as_json: AsJson = False) -> None:
    """Send nothing to a party until a time; it costs no attempts and goes on by itself."""
    end = _end(until)
    _steer(party, lambda store, code: store.destinations.pause(code.code, until=end, by=asker(), reason=reason), as_json=as_json)


@app.command()
def resume(party: Which, *, as_json: AsJson = False) -> None:
    """Send to a party again before its pause ends."""
    _steer(party, lambda store, code: store.destinations.resume(code.code, by=asker()), as_json=as_json)


def _steer(named: str, act: Callable[[Store, Party], None], *, as_json: bool) -> None:
    try:
        parties = known_parties(settings())
        party = next((p for p in parties if p.adapter and named in {p.code, *p.aliases}), None)
        if party is None:
            raise NotValid(Code.NOT_FOUND, Problem(text="web.no-party", values={"party": named}))
        with open_store(settings()) as store:
            act(store, party)
            (view,) = _views(store, (party,))
    except GatewayError as error:
        refuse(error, as_json=as_json)
    if as_json:
        emit(view.model_dump(mode="json"))
    else:
        people().print(Text(f"✓ {view.code}: ") + _state(view))


def _views(store: Store, parties: tuple[Party, ...]) -> list[PartyView]:
    return party_views(parties, store.destinations.standings(), store.queries.backlogs(), now=now())


def _end(text: str) -> datetime:
    """Read a time, or how long from now; one without a zone is the terminal's."""
    if text[:-1].isdecimal() and text[-1:] in _UNITS and len(text) <= len("99999d"):
        return now() + int(text[:-1]) * _UNITS[text[-1]]
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        misuse("parties-time", found=text)


def _print(console: Console, views: list[PartyView]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("code", "name", "standing", "waiting", "moving", "oldest"):
        table.add_column(say(f"column-{column}"), no_wrap=True)
    for view in views:
        oldest = when(view.oldest_due) if view.oldest_due else "-"
        table.add_row(Text(view.code), Text(view.name), _state(view), Text(str(view.waiting)), Text(str(view.under_way)), Text(oldest))
    show_table(console, table)


def _state(view: PartyView) -> Text:
    """Say whether anything is sent to a party, and if not, why and how long."""
    if view.paused_until and view.paused_by == ANNOUNCED:
        return Text(say("parties-maintenance", until=when(view.paused_until)), style="yellow")
    if view.paused_until:
        values = {"until": when(view.paused_until), "by": view.paused_by, "reason": view.reason}
        return Text(say("parties-paused", **values), style="yellow")
    if not view.addressed:
        return Text(say("parties-no-address"), style="yellow")
    if view.open_since:
        return Text(say("parties-away", since=when(view.open_since)), style="red")
    return Text(say("parties-good"), style="green")
