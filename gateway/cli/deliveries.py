"""nsw deliveries: find deliveries, see one's history, and mend what failed, one or many. Works beside a running server, or without."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from gateway.bootstrap import open_store
from gateway.errors import Code, GatewayError, NotValid, Problem
from gateway.hub import Store
from gateway.lifecycle import State
from gateway.model import DeliveryId
from gateway.outbox.acts import KINDS
from gateway.outbox.history import Attempt
from gateway.outbox.orders import Act, Choice, JobState, Order
from gateway.store.queries import DeliveryRow, Moment
from gateway.web.api.views import delivery_detail, delivery_view

from . import jobs
from .asking import asker, moment
from .output import AsJson, aside, emit, misuse, paragraph, people, refuse, say, settings, write
from .pages import Cursor, Limit, print_page
from .story import SIGNS, WAITING, print_delivery, print_timeline, print_title, when

app = typer.Typer(no_args_is_help=True, help="Deliveries: list, show one's history, replay, cancel, redirect, return, correct; jobs.")
for _name in ("jobs", "approve", "pause", "resume", "stop"):
    app.command(name=_name)(getattr(jobs, _name))


MADE = frozenset({"to", "successor", "notice"})  # what the ledger calls them


class Part(StrEnum):
    """What was exchanged with a partner."""

    REQUEST = "request"
    REPLY = "reply"


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How an order is carried out."""

    dry_run: bool
    detach: bool
    yes: bool
    as_json: bool


Id = Annotated[str, typer.Argument(metavar="ID", help="The gateway's id of a delivery, as 'nsw deliveries list' shows it.")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Deliveries by their ids; or choose them by the options below.")]
OfMessage = Annotated[str | None, typer.Option("--message", metavar="ID", help="Of this message.")]
Party = Annotated[str | None, typer.Option(metavar="CODE", help="To this party.")]
Wanted = Annotated[State | None, typer.Option("--state", help="In this state; acts without it mean dead ones.")]
Way = Annotated[str | None, typer.Option("--route", metavar="NAME", help="By this route.")]
Cause = Annotated[str | None, typer.Option(metavar="TEXT", help="Whose cause begins so, such as 'timeout'.")]
Procedure = Annotated[str | None, typer.Option(metavar="CODE", help="Of this procedure, such as 'BNN&PTNT0300002'.")]
Since = Annotated[str | None, typer.Option(metavar="TIME", help="Created since 2026-10-12, 2026-10-12T09:30, or 90m, 6h, 7d ago.")]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Created before this time.")]
Number = Annotated[
    int | None, typer.Option(min=1, help="Of this attempt, the latest of its number where a replay counted anew; without it the last one.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say for how many deliveries it would be done, and which as they stand would be passed over.")
]
Detach = Annotated[bool, typer.Option("--detach", help="Leave the job to a running server and end at once.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")]
Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept with the delivery, without personal data.")]
To = Annotated[str, typer.Option("--to", metavar="PARTY", help="The party to go to, by code or alias.")]
ToRoute = Annotated[str, typer.Option("--to-route", metavar="NAME", help="The route to go by.")]
Duplicate = Annotated[
    bool,
    typer.Option(
        "--accept-duplicate", help="One delivery only: go on though its party may have it already, and it may be dealt with twice."
    ),
]
Receiver = Annotated[str, typer.Option(metavar="CODE", help="To/identity: another declared spelling of the same party.")]
HeaderVersion = Annotated[str, typer.Option("--header-version", metavar="TEXT", help="Reference/version.")]


@app.command(name="list")
def list_command(  # noqa: PLR0913  # one parameter a filter
    *,
    message: OfMessage = None,
    party: Party = None,
    state: Wanted = None,
    route: Way = None,
    cause: Cause = None,
    procedure: Procedure = None,
    since: Since = None,
    until: Until = None,
    cursor: Cursor = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """Search deliveries, newest first."""
    start, end = moment(since), moment(until)
    try:
        with open_store(settings()) as store:
            page = store.queries.deliveries(
                message=message, party=party, state=state, route=route, cause=cause, procedure=procedure, cursor=cursor, limit=limit,
                since=start, until=end,
            )  # fmt: skip
    except GatewayError as error:
        refuse(error, as_json=as_json)
    if as_json:
        emit({"items": [delivery_view(row).model_dump(mode="json") for row in page.items], "next_cursor": page.next_cursor})
    else:
        print_page(page, none="deliveries-none", columns=("made", "state", "party", "attempt", "cause", "id"), cells=_cells)


@app.command()
def show(
    delivery: Id,
    *,
    content: Annotated[Part | None, typer.Option(help="Write what was sent, or answered, as kept; the ledger says who looked.")] = None,
    attempt: Annotated[
        int | None,
        typer.Option(min=1, help="Of this attempt, the latest of its number where a replay counted anew; without it the last one."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell where a delivery stands, what each attempt came to, and what staff did."""
    if attempt and content is None:
        misuse("deliveries-content")
    try:
        with open_store(settings()) as store:
            row = _found(store, delivery)
            if content is not None:
                return _write_content(store, DeliveryId(row.id), content, attempt)
            attempts, timeline = store.history.attempts(row.id), store.queries.timeline(row.message)
    except GatewayError as error:
        refuse(error, as_json=as_json)
    if as_json:
        return emit(delivery_detail(row, attempts, timeline).model_dump(mode="json"))
    return _print_history(people(), row, attempts, timeline)


@app.command()
def replay(  # noqa: PLR0913  # one parameter a filter
    ids: Ids = None, *, message: OfMessage = None, party: Party = None, state: Wanted = None, route: Way = None, cause: Cause = None,
    procedure: Procedure = None, since: Since = None, until: Until = None,
    dry_run: DryRun = False, detach: Detach = False, yes: Yes = False, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Send dead or refused deliveries again, with the same message id."""
    choice = _choice(ids, since, until, message=message, party=party, state=state, route=route, cause=cause, procedure=procedure)
    _give(Order(act=Act.REPLAY), choice, How(dry_run=dry_run, detach=detach, yes=yes, as_json=as_json))


@app.command()
def cancel(  # noqa: PLR0913  # one parameter a filter
    ids: Ids = None, *, reason: Why,
    message: OfMessage = None, party: Party = None, state: Wanted = None, route: Way = None, cause: Cause = None,
    procedure: Procedure = None, since: Since = None, until: Until = None,
    dry_run: DryRun = False, detach: Detach = False, yes: Yes = False, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Take deliveries that were not made out of work for good."""
    choice = _choice(ids, since, until, message=message, party=party, state=state, route=route, cause=cause, procedure=procedure)
    _give(Order(act=Act.CANCEL, reason=reason), choice, How(dry_run=dry_run, detach=detach, yes=yes, as_json=as_json))


@app.command()
def redirect(  # noqa: PLR0913  # one parameter a filter
    ids: Ids = None, *, to: To = "", to_route: ToRoute = "", reason: Why, accept_duplicate: Duplicate = False,
    message: OfMessage = None, party: Party = None, state: Wanted = None, route: Way = None, cause: Cause = None,
    procedure: Procedure = None, since: Since = None, until: Until = None,
    dry_run: DryRun = False, detach: Detach = False, yes: Yes = False, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Send the same messages to another party: each delivery ends, and its successor is created in the same commit."""
    order = Order(act=Act.REDIRECT, party=to, route=to_route, reason=reason, accept_duplicate=accept_duplicate)
    choice = _choice(ids, since, until, message=message, party=party, state=state, route=route, cause=cause, procedure=procedure)
    _give(order, choice, How(dry_run=dry_run, detach=detach, yes=yes, as_json=as_json))


@app.command(name="return")
def return_command(  # noqa: PLR0913  # one parameter a filter
    ids: Ids = None, *, reason: Why, accept_duplicate: Duplicate = False,
    message: OfMessage = None, party: Party = None, state: Wanted = None, route: Way = None, cause: Cause = None,
    procedure: Procedure = None, since: Since = None, until: Until = None,
    dry_run: DryRun = False, detach: Detach = False, yes: Yes = False, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Return messages to their senders, who are told by the gateway what was not delivered to whom and why."""
    choice = _choice(ids, since, until, message=message, party=party, state=state, route=route, cause=cause, procedure=procedure)
    order = Order(act=Act.RETURN, reason=reason, accept_duplicate=accept_duplicate)
    _give(order, choice, How(dry_run=dry_run, detach=detach, yes=yes, as_json=as_json))


@app.command()
def correct(  # noqa: PLR0913  # one parameter a filter
    ids: Ids = None, *, receiver: Receiver = "", header_version: HeaderVersion = "", to_route: ToRoute = "",
    message: OfMessage = None, party: Party = None, state: Wanted = None, route: Way = None, cause: Cause = None,
    procedure: Procedure = None, since: Since = None, until: Until = None,
    dry_run: DryRun = False, detach: Detach = False, yes: Yes = False, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Correct the header that the gateway itself writes, or the route to the same party; then replay. What was signed is never edited."""
    corrections = {name: text for name, text in (("receiver", receiver), ("version", header_version)) if text}
    choice = _choice(ids, since, until, message=message, party=party, state=state, route=route, cause=cause, procedure=procedure)
    order = Order(act=Act.CORRECT, route=to_route, corrections=corrections)
    _give(order, choice, How(dry_run=dry_run, detach=detach, yes=yes, as_json=as_json))


def _choice(ids: list[str] | None, since: str | None, until: str | None, **conditions: str | None) -> Choice:
    given = {name: str(value) for name, value in conditions.items() if value}
    return Choice(ids=tuple(dict.fromkeys(map(DeliveryId, ids or ()))), since=moment(since), until=moment(until), **given)


def _give(order: Order, choice: Choice, how: How) -> None:
    """Carry an order out: one delivery at once, many as a job, or only count them."""
    try:
        with open_store(settings()) as store:
            if how.dry_run:
                return _say_what_would_be(order, *store.mending.foresee(order, choice), how)
            if len(choice.ids) == 1:
                return _do_one(store, order, choice.ids[0], how)
            _make_sure(order, lambda: store.mending.count(choice, order), how)
            job = store.mending.order(order, choice, by=asker())
            if not how.detach and job.state is JobState.RUNNING:
                job = jobs.carry_out(store, job, quiet=how.as_json)
    except GatewayError as error:
        refuse(error, as_json=how.as_json)
    jobs.print_job(job, as_json=how.as_json)
    return jobs.end(job)


def _say_what_would_be(order: Order, total: int, skips: Mapping[str, int], how: How) -> None:
    if how.as_json:
        return emit({"act": order.act, "total": total, "skips": skips})
    people().print(say("deliveries-would", act=order.act, count=str(total - sum(skips.values()))), markup=False)
    return jobs.print_skips(people(), skips)


def _do_one(store: Store, order: Order, delivery: DeliveryId, how: How) -> None:
    proposal = store.mending.once(order, delivery, by=asker())
    if proposal is not None:
        return jobs.print_job(proposal, as_json=how.as_json)
    row = _found(store, delivery)
    made = _made(store, row, order.act)
    if how.as_json:
        return emit(delivery_view(row).model_dump(mode="json") | made)
    done = say("deliveries-done", delivery=row.id, party=row.party, state=say(f"state-{row.state}"))
    follows = say(f"deliveries-{order.act}", **made) if made else ""
    return people().print(Text(f"✓ {done} {follows}".rstrip(), style="green"))


def _made(store: Store, row: DeliveryRow, act: Act) -> dict[str, str]:
    """Name what an act made: the successor of a delivery and its party, or the notice to a message's sender."""
    acts = [moment for moment in store.queries.timeline(row.message) if (moment.delivery, moment.kind) == (row.id, KINDS[act])]
    return {name: str(value) for moment in acts[-1:] for name, value in moment.values.items() if name in MADE}


def _make_sure(order: Order, count: Callable[[], int], how: How) -> None:
    """Ask a person on a terminal whether so many are meant; programs are taken at their word."""
    if not (how.yes or how.as_json) and sys.stdin.isatty():
        typer.confirm(say("deliveries-sure", act=order.act, count=str(count())), abort=True)


def _found(store: Store, delivery: str) -> DeliveryRow:
    row = store.queries.delivery(delivery)
    if row is None:
        raise NotValid(Code.NOT_FOUND, Problem(text="outbox.no-delivery", values={"delivery": delivery}))
    return row


def _cells(row: DeliveryRow) -> tuple[str | Text, ...]:
    sign, style = SIGNS.get(State(row.state), WAITING)
    state = Text(f"{sign} {say(f'state-{row.state}')}", style=style)
    return when(row.created_at), state, row.party, str(row.attempt), Text(row.cause), Text(row.id, style="dim")


def _write_content(store: Store, delivery: DeliveryId, part: Part, number: int | None) -> None:
    """Write what was exchanged, and say beside it which attempt it is of: a replay counts them anew."""
    content = store.history.exchanged(delivery, part.value, by=asker(), number=number)
    sent = [(each.number, each.sent_at) for each in store.history.attempts(delivery) if number in (None, each.number)]
    for shown, at in [(shown, at) for shown, at in sent if at][-1:]:
        aside().print(Text(say("deliveries-shown", number=str(shown), at=when(at)), style="dim"))
    write(content)


def _print_history(console: Console, row: DeliveryRow, attempts: Sequence[Attempt], timeline: Iterable[Moment]) -> None:
    print_delivery(console, row)
    if attempts:
        print_title(console, "deliveries-attempts")
    for attempt in attempts:
        at = attempt.sent_at or attempt.ended_at
        head = (f"{when(at)}  " if at else "", "dim")
        paragraph(console, Text.assemble(head, _told(attempt)), indent=2, hanging=27)
    print_timeline(console, (event for event in timeline if event.delivery == row.id), {row.id: row.party})


def _told(attempt: Attempt) -> str:
    """Say what an attempt came to."""
    parts = [part for part in (attempt.code, f"HTTP {attempt.status}" if attempt.status else "") if part]
    why = f" ({', '.join(parts)})" if parts else ""
    number = "-" if attempt.number is None else str(attempt.number)
    return say("deliveries-attempt", number=number, outcome=attempt.outcome or say("deliveries-unfinished"), why=why)
