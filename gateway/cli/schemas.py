"""nsw schemas: which schemas there are, whether all compile, and how official packs get in."""

from collections.abc import Iterator, Mapping
from datetime import MAXYEAR, MINYEAR, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.config import Settings
from gateway.errors import GatewayError, Problem, explain, remedy
from gateway.installed import load_schemas, now
from gateway.xml.catalog import Pack, read_catalogs
from gateway.xml.install import FileReport, InstallReport, install
from gateway.xml.shipped import shipped
from gateway.xml.sources import SchemasInvalid

from .files import check_folder, reason_of
from .output import GOOD, REFUSED, AsJson, emit, language, misuse, paragraph, people, problem_view, refuse, say, settings, show_table, tell

app = typer.Typer(no_args_is_help=True, help="Schemas: install official packs, list and check what is there.")
_SIGNS = {"good": ("✓", "green"), "mended": ("✓", "yellow"), "refused": ("✗", "red"), "unused": ("·", "dim")}

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of .xsd files; its name becomes the pack's.")]


@app.command(name="install")
def install_command(folder: Folder, *, as_json: AsJson = False) -> None:
    """Check, mend and install a folder of schemas. Ends with 1 where a file of it cannot be used."""
    chosen = settings()
    check_folder(folder)
    try:
        before = _judging(chosen, mending=True)
        report = install(folder, chosen.schema_folder)
        load_schemas(chosen)
        notices = tuple(_moved(before, _judging(chosen), report))
    except GatewayError as error:
        refuse(error, as_json=as_json)
    except OSError as error:
        misuse("file-not-written", path=chosen.schema_folder, reason=reason_of(error))
    if as_json:
        emit(_install_view(report) | {"notices": [problem_view(notice, notice.text) for notice in notices]})
    else:
        _print_install(people(), report)
        _print_notices(people(), notices)
    raise typer.Exit(GOOD if report.is_complete else REFUSED)


@app.command(name="list")
def list_command(*, as_json: AsJson = False) -> None:
    """List every schema with the pack it comes from and when that is in force."""
    chosen, at = settings(), now()
    folders = _folders(chosen)
    try:
        packs = read_catalogs(folders)
    except GatewayError as error:
        refuse(error, as_json=as_json)
    rows = [_row(name, pack, at, folders) for pack in packs for name in pack.schemas]
    rows.sort(key=lambda row: str(row["name"]))
    if as_json:
        emit({"schemas": rows})
    else:
        _print_list(people(), rows)


@app.command()
def check(*, as_json: AsJson = False) -> None:
    """Compile every schema. Ends with 1 and all that is wrong where one does not compile."""
    try:
        schemas = load_schemas(settings())
    except GatewayError as error:
        refuse(error, as_json=as_json)
    names = schemas.names()
    if as_json:
        emit({"ok": True, "schemas": len(names), "version": schemas.version, "errors": []})
    else:
        told = say("schemas-good", count=str(len(names)), version=schemas.version)
        paragraph(people(), Text(f"✓ {told}", style="green"), indent=0, hanging=2)


def _folders(chosen: Settings) -> list[Path]:
    return [folder for folder in (chosen.schema_folder, shipped("xsd")) if folder.is_dir()]


# --- install -----------------------------------------------------------------------------------------------------------


def _judging(chosen: Settings, *, mending: bool = False) -> Mapping[str, str]:
    """Name of each schema the pack whose file judges; before `mending` a catalogue may be broken, and nothing is known."""
    try:
        packs, at = read_catalogs(_folders(chosen)), now()
    except SchemasInvalid:
        if mending:
            return {}
        raise
    return {name: pack.name for pack in reversed(packs) if pack.is_in_force(at) for name in pack.schemas}


def _moved(before: Mapping[str, str], after: Mapping[str, str], report: InstallReport) -> Iterator[Problem]:
    """Say which schemas other packs had and have no more, and which of the pack's own another one judges."""
    for schema, pack in before.items():
        if schema not in after:
            yield Problem(text="cli.schemas-gone", values={"schema": schema, "pack": pack})
        elif after[schema] != pack:
            yield Problem(text="cli.schemas-taken", values={"schema": schema, "pack": pack, "by": after[schema]})
    own = {file.schema for file in report.files if file.schema}
    for schema in sorted(own & {name for name, pack in after.items() if pack != report.pack}):
        yield Problem(text="cli.schemas-behind", values={"schema": schema, "pack": after[schema]})


def _install_view(report: InstallReport) -> dict[str, Any]:
    return {
        "ok": report.is_complete,
        "pack": report.pack,
        "version": report.version,
        "folder": str(report.folder) if report.folder else None,
        "files": [
            {
                "file": file.file,
                "state": file.state,
                "schema": file.schema,
                "problems": [problem_view(problem, problem.text) for problem in file.problems],
                "repairs": [problem_view(repair, repair.text) for repair in file.repairs],
            }
            for file in report.files
        ],
    }


def _print_install(console: Console, report: InstallReport) -> None:
    for file in report.files:
        _print_file(console, file)
    counts = {state: str(sum(1 for file in report.files if file.state == state)) for state in _SIGNS}
    told = say("schemas-installed" if report.folder else "schemas-nothing", pack=report.pack, folder=str(report.folder), **counts)
    style, sign = ("green", "✓") if report.is_complete else ("yellow", "!") if report.folder else ("bold red", "✗")
    paragraph(console, Text(f"{sign} {told}", style=style), indent=0, hanging=2)


def _print_notices(console: Console, notices: tuple[Problem, ...]) -> None:
    spoken = language()
    for notice in notices:
        paragraph(console, Text.assemble(("! ", "yellow"), f"{explain(notice, spoken)} {remedy(notice, spoken)}"), indent=0, hanging=2)


def _print_file(console: Console, file: FileReport) -> None:
    """One line for a file, then what was mended and what is wrong with it."""
    sign, style = _SIGNS[file.state]
    name = f"  {file.schema}" if file.schema else ""
    console.print(Text.assemble((sign, style), f" {file.file}", (name, "dim")))
    spoken = language()
    for repair in file.repairs:
        told = f"{explain(repair, spoken)} {_line(repair.line)}"
        paragraph(console, Text.assemble(("~ ", "yellow"), (told, "dim")), indent=2, hanging=2)
    tell(console, file.problems)


def _line(number: int | None) -> str:
    return f"({say('line', line=str(number))})" if number else ""


# --- list --------------------------------------------------------------------------------------------------------------


def _row(name: str, pack: Pack, at: datetime, folders: list[Path]) -> dict[str, Any]:
    return {
        "name": name,
        "pack": pack.name,
        "version": pack.version,
        "owner": pack.owner,
        "valid_from": _bound(pack.valid_from),
        "valid_to": _bound(pack.valid_to),
        "in_force": pack.is_in_force(at),
        "file": next((str(folder / pack.schemas[name]) for folder in folders if (folder / pack.schemas[name]).is_file()), None),
    }


def _bound(moment: datetime) -> str | None:
    """Write a bound of validity; None where it is as early or late as can be."""
    return None if moment.year in (MINYEAR, MAXYEAR) else moment.isoformat()


def _print_list(console: Console, rows: list[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("schema", "pack", "since", "until"):
        table.add_column(say(f"column-{column}"), no_wrap=True)
    for row in rows:
        style = "" if row["in_force"] else "dim"
        bounds = [str(row[bound] or "-")[:10] for bound in ("valid_from", "valid_to")]
        table.add_row(*(Text(cell, style=style) for cell in (row["name"], f"{row['pack']}@{row['version']}", *bounds)))
    show_table(console, table)
