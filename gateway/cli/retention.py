"""nsw retention: run it, look what it would do, read an archive; hold what must be kept. Works beside a running server."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from gateway.bootstrap import open_cipher, open_store
from gateway.errors import GatewayError, Unavailable
from gateway.outbox.archive import Archive, read_archive
from gateway.outbox.holds import Hold, Kind
from gateway.outbox.housekeeper import pause_after
from gateway.outbox.retention import Done, Preview

from .asking import asker
from .files import read_archive as read_file
from .files import reason_of, write_document
from .output import GOOD, REFUSED, AsJson, emit, misuse, paragraph, people, refuse, say, settings, show_table

app = typer.Typer(no_args_is_help=True, help="Retention: archive and purge what is old enough; hold what must be kept; read archives.")

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would go; change nothing.")]
Folder = Annotated[Path | None, typer.Option("--archive", metavar="FOLDER", help="Archive into this folder instead of NSW_ARCHIVE.")]
Message = Annotated[str | None, typer.Option("--message", metavar="ID", help="One message, by the gateway's id.")]
Dossier = Annotated[str | None, typer.Option("--dossier", metavar="PROCEDURE/REFERENCE/YEAR", help="Every message of a dossier.")]
Party = Annotated[str | None, typer.Option("--party", metavar="CODE", help="Everything a party sent or was to get.")]
Procedure = Annotated[str | None, typer.Option("--procedure", metavar="CODE", help="Everything of a procedure.")]
Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever asks in ten years.")]
HoldId = Annotated[str, typer.Argument(metavar="HOLD", help="The id of a hold, as 'nsw retention holds' shows it.")]
Released = Annotated[bool, typer.Option("--all", help="Those that were released too.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="An archive.")]
Extract = Annotated[Path | None, typer.Option("--extract", metavar="FOLDER", help="Write every part into this folder.")]


@app.command()
def run(*, dry_run: DryRun = False, archive: Folder = None, as_json: AsJson = False) -> None:
    """Archive and purge what is old enough, in small steps with pauses; may be stopped at any time and goes on where it was."""
    chosen = settings()
    try:
        with open_store(chosen) as store:
            if dry_run:
                _tell_preview(store.retention.preview(store.schedule()), as_json=as_json)
                return
            with closing(store.retention.run(store.schedule(), folder=archive or chosen.archive_folder)) as steps:
                done = list(_paced(steps))
    except GatewayError as error:
        refuse(error, as_json=as_json)
    told = {stage: sum(step.messages for step in done if step.stage == stage) for stage in ("content", "record")}
    told |= {"archived": sum(1 for step in done if step.stage == "content" and step.archive), "bytes": sum(step.bytes for step in done)}
    told |= {"removed": sum(1 for step in done if step.stage == "archive")}
    if as_json:
        emit({"ok": True, **told})
    else:
        _good(say("retention-done", **{name: f"{value:,}" for name, value in told.items()}))


@app.command()
def hold(
    *,
    reason: Why,
    message: Message = None,
    dossier: Dossier = None,
    party: Party = None,
    procedure: Procedure = None,
    as_json: AsJson = False,
) -> None:
    """Keep what is named, whatever its period says, until the hold is released. Name one thing."""
    kind, value = _named({"message": message, "dossier": dossier, "party": party, "procedure": procedure})
    _judge_reason(reason)
    try:
        with open_store(settings()) as store:
            placed = store.holds.place(kind, value, by=asker(), reason=reason)
    except GatewayError as error:
        refuse(error, as_json=as_json)
    _told_hold(placed, "retention-held", as_json=as_json)


@app.command()
def release(hold: HoldId, *, reason: Why, as_json: AsJson = False) -> None:
    """End a hold; what it kept goes by its period again."""
    _judge_reason(reason)
    try:
        with open_store(settings()) as store:
            released = store.holds.release(hold, by=asker(), reason=reason)
    except GatewayError as error:
        refuse(error, as_json=as_json)
    _told_hold(released, "retention-released", as_json=as_json)


@app.command()
def holds(*, released: Released = False, as_json: AsJson = False) -> None:
    """List the holds in force."""
    try:
        with open_store(settings()) as store:
            found = store.holds.listed(released=released)
    except GatewayError as error:
        refuse(error, as_json=as_json)
    if as_json:
        emit({"items": [_view(each) for each in found]})
    elif not found:
        people().print(say("retention-no-holds"))
    else:
        _print_holds(found)


@app.command()
def read(file: File, *, extract: Extract = None, as_json: AsJson = False) -> None:
    """Open an archive, compare every part with its digest, and list it. Needs the keys, and no database. Ends with 1 where one differs."""
    data = read_file(file)
    try:
        archive = read_archive(data, cipher=open_cipher(settings()))
    except GatewayError as error:
        refuse(error, as_json=as_json, ours=isinstance(error, Unavailable))
    if extract:
        _extract(archive, extract)
    if as_json:
        emit({"ok": not archive.damaged, "damaged": list(archive.damaged), **archive.manifest})
    else:
        _print_archive(archive)
    raise typer.Exit(REFUSED if archive.damaged else GOOD)


def _paced(steps: Iterator[Done]) -> Iterator[Done]:
    """Pause after each step, as the serving process does: the flow comes first."""
    began = perf_counter()
    for step in steps:
        yield step
        time.sleep(pause_after(perf_counter() - began))
        began = perf_counter()


def _named(asked: dict[Kind, str | None]) -> tuple[Kind, str]:
    given = [(kind, value) for kind, value in asked.items() if value]
    if len(given) != 1:
        misuse("retention-one")
    return given[0]


def _judge_reason(reason: str) -> None:
    if not reason.strip() or not reason.isprintable():
        misuse("retention-reason")


def _view(hold: Hold) -> dict[str, Any]:
    return {field.name: getattr(hold, field.name) for field in fields(hold)}


def _told_hold(hold: Hold, text: str, *, as_json: bool) -> None:
    if as_json:
        emit({"ok": True, **_view(hold)})
    else:
        _good(say(text, kind=say(f"retention-{hold.kind}"), value=hold.value, hold=hold.id))


def _tell_preview(preview: Preview, *, as_json: bool) -> None:
    groups = sorted(set(preview.due) | set(preview.held) | set(preview.open))
    counters = {"due": preview.due, "held": preview.held, "open": preview.open}
    if as_json:
        items = [{"stage": s, "procedure": p, **{name: c[s, p] for name, c in counters.items()}} for s, p in groups]
        emit({"ok": True, "items": items, "bytes": preview.bytes, "archives": preview.archives})
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("stage", "procedure", "due", "held", "open"):
        table.add_column(say(f"column-{column}"), justify="left" if column in ("stage", "procedure") else "right")
    for stage, procedure in groups:
        table.add_row(say(f"retention-{stage}"), procedure or "-", *(f"{c[stage, procedure]:,}" for c in counters.values()))
    show_table(people(), table)
    people().print(Text(say("retention-preview", mib=f"{preview.bytes / 2**20:,.1f}", archives=str(preview.archives)), style="dim"))


def _print_holds(found: tuple[Hold, ...]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("what", "value", "reason", "by", "since", "until", "id"):
        table.add_column(say(f"column-{column}"))
    for each in found:
        until = f"{each.released_at:%Y-%m-%d} {each.released_by}" if each.released_at else "-"
        what = say(f"retention-{each.kind}")
        table.add_row(*map(Text, (what, each.value, each.reason, each.placed_by, f"{each.placed_at:%Y-%m-%d}", until, each.id)))
    show_table(people(), table)


def _print_archive(archive: Archive) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("id", "procedure", "dossier", "parts", "bytes"):
        table.add_column(say(f"column-{column}"), justify="right" if column in ("parts", "bytes") else "left")
    for message in archive.manifest["messages"]:
        kind = f"{message['procedure'] or '-'} {message['type'] or '-'}/{message['function'] or '-'}"
        parts = message["parts"]
        size = sum(part["size"] for part in parts)
        table.add_row(message["id"], Text(kind), Text(message["reference"] or "-"), str(len(parts)), f"{size:,}")
    show_table(people(), table)
    for name in archive.damaged:
        paragraph(people(), Text(f"✗ {say('retention-damaged', part=name)}", style="red"), indent=0, hanging=2)
    if not archive.damaged:
        _good(say("retention-whole", count=str(len(archive.manifest["messages"])), made=archive.manifest["made_at"]))


def _extract(archive: Archive, folder: Path) -> None:
    """Write every part below a folder; a name that would lead out of it is left out."""
    parts = {**archive.parts, "manifest.json": json.dumps(archive.manifest, ensure_ascii=False, indent=1).encode()}
    for name, content in parts.items():
        path = folder / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            misuse("file-not-written", path=path, reason=reason_of(error))
        write_document(path, content)


def _good(text: str) -> None:
    paragraph(people(), Text(f"✓ {text}", style="green"), indent=0, hanging=2)
