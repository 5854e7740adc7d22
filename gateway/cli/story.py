"""Tells in words what became of a message: what it was, every event in order, and where each delivery stands."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from gateway.errors import Problem, explain, remedy
from gateway.lifecycle import DUE, State
from gateway.outbox.causes import meaning
from gateway.store.queries import DeliveryRow, MessageRow, Moment

from .output import language, paragraph, place_of, say

SIGNS = {State.DELIVERED: ("✓", "green"), State.DEAD: ("✗", "red"), State.REJECTED: ("✗", "red"), State.CANCELLED: ("·", "dim")}
WAITING = ("…", "yellow")
EXPLAINED = DUE | {State.SENDING, State.DEAD}  # in any other state the cause is a partner's or a person's own words
REPEATED = frozenset({"delivery.sending", "delivery.settled"})
EVENTS = frozenset({
    "message.accepted", "message.refused", "message.written",
    "delivery.routed", "delivery.created", "delivery.sending", "delivery.settled", "delivery.rescued",
    "staff.replayed", "staff.cancelled", "staff.redirected", "staff.returned", "staff.corrected", "staff.looked", "staff.read",
    "message.purged", "hold.placed", "hold.released",
})  # fmt: skip


def print_message(console: Console, row: MessageRow, timeline: Iterable[Moment], deliveries: Sequence[DeliveryRow]) -> None:
    """Print a message's whole story."""
    _print_head(console, row)
    print_timeline(console, timeline, {delivery.id: delivery.party for delivery in deliveries})
    if deliveries:
        print_title(console, "story-deliveries")
    for delivery in deliveries:
        print_delivery(console, delivery)


def _print_head(console: Console, row: MessageRow) -> None:
    """Say what the message is and why it was refused, where it was."""
    accepted = row.state == "accepted"
    sign, style = ("✓", "green") if accepted else ("✗", "red")
    what = f"{row.procedure or '-'} {row.type or '-'}/{row.function or '-'}"
    state = say(f"state-{row.state}")
    console.print(Text.assemble((f"{sign} {state}", style), f"  {what}  ", (row.id, "dim")))
    for label, value in _facts(row):
        if value:
            paragraph(console, Text.assemble((f"{say(f'story-{label}')}: ", "dim"), value), indent=2, hanging=2)
    _print_stored(console, row.cause, ("✗ ", "red"))
    _print_stored(console, row.warnings, ("! ", "yellow"))


def _facts(row: MessageRow) -> Iterable[tuple[str, str]]:
    yield "received", f"{when(row.received_at)}  {row.door}, {row.channel}"
    yield "parties", f"{row.sender or '-'} → {row.receiver or '-'}"
    yield "dossier", "/".join(part for part in (row.reference, row.year) if part) + (f" ({row.previous})" if row.previous else "")
    yield "sender-id", row.message_id or ""
    yield "proof", row.proof or ""
    yield "signers", "; ".join(str(signer.get("subject", "")) for signer in row.signers)
    yield "schema", " · ".join(part for part in (row.schema, row.schema_pack) if part)
    yield "rules", " · ".join(part for part in (row.rule_set, row.procedure_version) if part)
    yield "digest", row.sha256


def _print_stored(console: Console, stored: Iterable[Mapping[str, Any]], sign: tuple[str, str]) -> None:
    """Explain stored problems; their values are not stored, because they may quote the document."""
    for item in stored:
        problem = Problem(text=item["text"], path=item.get("path"), line=item.get("line"), values=item.get("values", {}))
        _print_explained(console, problem, sign, indent=2)


def _print_explained(console: Console, problem: Problem, sign: tuple[str, str], *, indent: int = 4) -> None:
    """Say what is wrong, where, and what to do about it."""
    spoken = language()
    paragraph(console, Text.assemble(sign, explain(problem, spoken)), indent=indent, hanging=2)
    if place := place_of(problem):
        paragraph(console, Text(place, style="dim"), indent=indent + 2)
    if advice := remedy(problem, spoken):
        paragraph(console, Text.assemble(("→ ", "cyan"), advice), indent=indent + 2, hanging=2)


def print_title(console: Console, name: str) -> None:
    """Print the heading of a part."""
    console.print()
    console.print(Text(say(name), style="bold"))


def print_timeline(console: Console, timeline: Iterable[Moment], parties: Mapping[str, str]) -> None:
    """Print every event in order, what repeats itself once; `parties` names each delivery's."""
    print_title(console, "story-timeline")
    for run in _runs(timeline):
        again = "  " + say("story-repeats", count=str(len(run)), at=when(run[-1].at)) if len(run) > 1 else ""
        paragraph(console, Text.assemble((f"{when(run[0].at)}  ", "dim"), _told(run[0], parties), (again, "dim")), indent=2, hanging=27)


def _runs(timeline: Iterable[Moment]) -> list[list[Moment]]:
    """Put together what one attempt repeats, such as the requests to a partner that is away; anything else of its delivery ends that."""
    runs: list[list[Moment]] = []
    latest: dict[tuple[str | None, str], list[Moment]] = {}
    for moment in timeline:
        run = latest.get((moment.delivery, moment.kind), [])
        if run and _gist(run[0]) == _gist(moment):
            run.append(moment)
            continue
        runs.append([moment])
        if moment.kind in REPEATED:
            latest[moment.delivery, moment.kind] = runs[-1]
        else:
            latest = {place: found for place, found in latest.items() if place[0] != moment.delivery}
    return runs


def _gist(moment: Moment) -> list[object]:
    return [moment.values.get(name) for name in ("attempt", "state", "code")]


def _told(moment: Moment, parties: Mapping[str, str]) -> str:
    """Say an event in words; one that there are no words for is named."""
    values = {name: str(value) for name, value in moment.values.items()}
    party = values.get("party") or parties.get(moment.delivery or "", moment.delivery or "")
    if moment.kind not in EVENTS:
        return " ".join([moment.kind, party, *(f"{name}={value}" for name, value in sorted(values.items()))])
    state = say(f"state-{values['state']}") if values.get("state") in set(State) else values.get("state", "")
    deliveries = str(len(values.get("deliveries", "").split()))
    why = f" ({values['code']})" if values.get("code") else ""
    values |= {"party": party, "state": state, "deliveries": deliveries, "why": why}
    return say(f"event-{moment.kind.replace('.', '-')}", **values)


def print_delivery(console: Console, row: DeliveryRow) -> None:
    """Print where a delivery stands."""
    state = State(row.state)
    sign, style = SIGNS.get(state, WAITING)
    head = Text.assemble((f"{sign} {row.party}", style), f"  {say(f'state-{state}')}", (f"  {row.route}  {row.id}", "dim"))
    paragraph(console, head, indent=2)
    paragraph(console, Text(" · ".join(_details(row)), style="dim"), indent=4)
    if state in EXPLAINED and (problem := meaning(row.cause, row.party)):
        _print_explained(console, problem, (f"{sign} ", style))
    if row.perhaps_taken:
        paragraph(console, Text.assemble(("! ", "yellow"), say("story-perhaps-taken", party=row.party)), indent=4, hanging=2)
    if state is State.DEAD:
        paragraph(console, Text.assemble(("→ ", "cyan"), say("story-dead", delivery=row.id)), indent=4, hanging=2)


def _details(row: DeliveryRow) -> Iterable[str]:
    yield say("story-attempts", count=str(row.attempt))
    if row.cause:
        yield say("story-cause", cause=row.cause)
    if row.due_at:
        yield say("story-due", at=when(row.due_at))
    if row.reference:
        yield say("story-reference", reference=row.reference)
    yield say("story-updated", at=when(row.updated_at))


def when(at: datetime) -> str:
    """Write a moment in the terminal's own zone, named by its offset."""
    return at.astimezone().isoformat(sep=" ", timespec="seconds")
