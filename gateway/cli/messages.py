"""nsw messages: find messages, tell what became of one, give its dead deliveries a new life. Works beside a running server."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from typing import Annotated

import typer
from rich.text import Text

from gateway.bootstrap import open_store
from gateway.errors import Code, Conflict, GatewayError, NotValid, Problem
from gateway.hub import Store
from gateway.lifecycle import State
from gateway.model import DeliveryId
from gateway.outbox.orders import Act, Choice, FourEyes, Order
from gateway.store.queries import MAX_PAGE, DeliveryRow, MessageRow
from gateway.web.api.views import delivery_view, message_detail, message_view

from .asking import asker, moment
from .jobs import print_job
from .output import AsJson, emit, people, refuse, say, settings
from .pages import Cursor, Limit, print_page
from .story import SIGNS, WAITING, print_message

app = typer.Typer(no_args_is_help=True, help="Messages: search, show one with all that happened to it, replay its dead deliveries.")


class MessageState(StrEnum):
    """What became of an arrival."""

    ACCEPTED = "accepted"
    REFUSED = "refused"


Id = Annotated[str, typer.Argument(metavar="ID", help="The gateway's id of a message, as 'nsw messages list' shows it.")]
Party = Annotated[str | None, typer.Option(metavar="CODE", help="Sent by this party, or delivered to it.")]
Procedure = Annotated[str | None, typer.Option(metavar="CODE", help="Of this procedure, such as 'BNN&PTNT0300002'.")]
Reference = Annotated[str | None, typer.Option(metavar="NUMBER", help="About this dossier.")]
Key = Annotated[str | None, typer.Option(metavar="VALUE", help="With this business key: certificate, tax code, bill of lading …")]
SenderId = Annotated[str | None, typer.Option("--message-id", metavar="ID", help="Under this id of the sender.")]
Wanted = Annotated[MessageState | None, typer.Option("--state", help="Accepted or refused only.")]
Since = Annotated[str | None, typer.Option(metavar="TIME", help="Received since 2026-10-12, 2026-10-12T09:30, or 90m, 6h, 7d ago.")]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Received before this time.")]


@app.command(name="list")
def list_command(  # noqa: PLR0913  # one parameter a filter
    *,
    party: Party = None,
    procedure: Procedure = None,
    reference: Reference = None,
    key: Key = None,
    message_id: SenderId = None,
    state: Wanted = None,
    since: Since = None,
    until: Until = None,
    cursor: Cursor = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """Search messages, accepted and refused, newest first."""
    since_at, until_at = moment(since), moment(until)
    ways: dict[str, list[DeliveryRow]] = {}
    try:
        with open_store(settings()) as store:
            page = store.queries.messages(
                party=party, procedure=procedure, reference=reference, key=key, message_id=message_id, state=state,
                since=since_at, until=until_at, cursor=cursor, limit=limit,
            )  # fmt: skip
            if not as_json:
                ways = {row.id: _deliveries(store, row.id) for row in page.items}
    except GatewayError as error:
        refuse(error, as_json=as_json)
    if as_json:
        emit({"items": [message_view(row).model_dump(mode="json") for row in page.items], "next_cursor": page.next_cursor})
    else:
        columns = ("at", "state", "message", "reference", "from", "deliveries", "id")
        print_page(page, none="messages-none", columns=columns, cells=lambda row: _cells(row, ways.get(row.id, ())))


@app.command()
def show(message: Id, *, as_json: AsJson = False) -> None:
    """Tell what a message is, what happened to it, and where its deliveries stand."""
    try:
        with open_store(settings()) as store:
            row = _found(store, message)
            timeline, deliveries = store.queries.timeline(message), _deliveries(store, message)
    except GatewayError as error:
        refuse(error, as_json=as_json)
    if as_json:
        emit(message_detail(row, timeline, tuple(deliveries)).model_dump(mode="json"))
    else:
        print_message(people(), row, timeline, deliveries)


@app.command()
def replay(message: Id, *, as_json: AsJson = False) -> None:
    """Give every dead delivery of a message a new life; says how many there were, or proposes it where a second person must approve."""
    try:
        with open_store(settings()) as store:
            _found(store, message)
            if store.mending.four_eyes is FourEyes.ALL:
                order, choice = Order(act=Act.REPLAY), Choice(message=message, state=State.DEAD)
                return print_job(store.mending.order(order, choice, by=asker()), as_json=as_json)
            replayed = _replay(store, message)
    except GatewayError as error:
        refuse(error, as_json=as_json)
    if as_json:
        views = [delivery_view(row).model_dump(mode="json") for row in replayed]
        return emit({"message": message, "replayed": len(replayed), "deliveries": views})
    if not replayed:
        return people().print(Text(f"! {say('messages-none-dead')}", style="yellow"))
    people().print(Text(f"✓ {say('messages-replayed', count=str(len(replayed)))}", style="green"))
    for row in replayed:
        people().print(f"  {row.id} → {row.party}: {say('state-' + row.state)}", markup=False)
    return None


def _found(store: Store, message: str) -> MessageRow:
    """Find a message; raises NotValid where there is none, and says so of a delivery's id."""
    row = store.queries.message(message)
    if row is not None:
        return row
    delivery = store.queries.delivery(message)
    if delivery is not None:
        raise NotValid(Code.NOT_FOUND, Problem(text="cli.messages-delivery", values={"id": message, "message": delivery.message}))
    raise NotValid(Code.NOT_FOUND, Problem(text="cli.messages-unknown", values={"id": message}))


def _deliveries(store: Store, message: str, state: State | None = None) -> list[DeliveryRow]:
    """Give all deliveries of a message, the first one first."""
    rows: list[DeliveryRow] = []
    cursor = None
    while True:
        page = store.queries.deliveries(message=message, state=state, cursor=cursor, limit=MAX_PAGE)
        rows += page.items
        cursor = page.next_cursor
        if cursor is None:
            return rows[::-1]


def _replay(store: Store, message: str) -> list[DeliveryRow]:
    """Replay what is dead; what somebody else replays at the same moment is theirs."""
    replayed = []
    for row in _deliveries(store, message, State.DEAD):
        with suppress(Conflict):
            store.mending.once(Order(act=Act.REPLAY), DeliveryId(row.id), by=asker())
            replayed.append(row.id)
    return [row for row in _deliveries(store, message) if row.id in replayed]


def _cells(row: MessageRow, deliveries: Sequence[DeliveryRow]) -> tuple[Text, ...]:
    accepted = row.state == MessageState.ACCEPTED
    state = Text("✓ " + say("state-accepted"), style="green") if accepted else Text(f"✗ {row.code or ''}", style="red")
    if accepted and row.warnings:
        state.append(" !", style="yellow")
    kind = f"{row.procedure or '-'} {row.type or '-'}/{row.function or '-'}"
    return (
        Text(row.received_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")), state, Text(kind), Text(row.reference or "-"),
        Text(f"{row.sender or '-'} → {row.receiver or '-'}"), _counted(deliveries), Text(row.id, style="dim"),
    )  # fmt: skip


def _counted(deliveries: Sequence[DeliveryRow]) -> Text:
    """Count deliveries by how they stand: done, set aside, refused or called off, under way."""
    counts = Counter(SIGNS.get(State(row.state), WAITING) for row in deliveries)
    return Text(" ").join(Text(f"{sign}{count}", style=style) for (sign, style), count in sorted(counts.items()))
