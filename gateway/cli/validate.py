"""nsw validate: is a document what its procedure or its schema asks for; if not, where, why, and what to do."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from gateway.errors import NotReadable, Problem, explain, remedy
from gateway.installed import now
from gateway.protocols.vnsw.codes import field_code
from gateway.routing.suggest import nearest
from gateway.xml.compiled import MAX_PROBLEMS
from gateway.xml.parse import parse

from .excerpt import Place, Source
from .files import read_document
from .installation import Installation, installation
from .opening import OpenedFile, open_file
from .output import GOOD, REFUSED, AsJson, emit, language, misuse, paragraph, people, problem_view, say
from .verdict import Inspector, Verdict

_SIGNED = b"http://www.w3.org/2000/09/xmldsig#"

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="An envelope, a SOAP message that holds one, or a bare document; - for standard input.")
]
SchemaName = Annotated[str | None, typer.Option("--schema", metavar="NAME", help="Judge by this schema; 'nsw schemas list' has them all.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """A file with its verdict, and where each problem stands in it."""

    opened: OpenedFile
    verdict: Verdict
    source: Source
    problems: tuple[tuple[Problem, Place | None], ...]


def validate(file: File, *, schema: SchemaName = None, as_json: AsJson = False) -> None:
    """Judge a document by its procedure and its schema; signatures are for 'nsw verify'. Ends with 1 where it is not valid."""
    data = read_document(file)
    judged = _judge(data, schema, installation(as_json=as_json))
    if as_json:
        emit(_view(judged))
    else:
        _print(people(), str(file), judged)
    raise typer.Exit(GOOD if judged.verdict.valid else REFUSED)


def _judge(data: bytes, schema: str | None, installed: Installation) -> _Judged:
    at, names = now(), installed.schemas.names()
    if schema is not None and schema not in names:
        misuse("schema-unknown", name=schema, near=nearest(schema, names))
    try:
        opened = open_file(data, installed.door, at=at)
    except NotReadable as error:
        return _placed(OpenedFile(document=data), Verdict().refused(error))
    inspector = Inspector(schemas=installed.schemas, rules=installed.rules, at=at, schema=schema)
    return _placed(opened, inspector.inspect(opened.document))


def _placed(opened: OpenedFile, verdict: Verdict) -> _Judged:
    """Find each problem's place, and put the problems in the order of the document."""
    source = Source(opened.document, _root(opened.document) if verdict.problems else None, first=opened.first or 1)
    found = [(problem, source.find(problem)) for problem in verdict.problems]
    found.sort(key=lambda pair: (pair[1].line, pair[1].column) if pair[1] else (pair[0].line or 0, 0))
    return _Judged(opened=opened, verdict=verdict, source=source, problems=tuple(_told(*pair) for pair in found))


def _told(problem: Problem, place: Place | None) -> tuple[Problem, Place | None]:
    """Let a problem's own words name the place that is shown."""
    if place is None:
        return problem, None
    values = {**problem.values, "line": str(place.line), "column": str(place.column)}
    return replace(problem, line=place.line, values=values), place


def _root(document: bytes) -> Any:
    try:
        return parse(document)
    except NotReadable:
        return None


# --- for programs ------------------------------------------------------------------------------------------------------


def _view(judged: _Judged) -> dict[str, Any]:
    verdict = judged.verdict
    subject = verdict.header.subject if verdict.header else None
    code = field_code(verdict.code) if verdict.code else ""
    return {
        "valid": verdict.valid,
        "document": {
            "procedure": subject.document_type if subject else None,
            "type": subject.type if subject else None,
            "function": subject.function if subject else None,
            "schema": verdict.schema,
        },
        "errors": [problem_view(problem, code) for problem, _ in judged.problems],
    }


# --- for people --------------------------------------------------------------------------------------------------------


def _print(console: Console, name: str, judged: _Judged) -> None:
    verdict, spoken = judged.verdict, language()
    about = " · ".join(_about(judged, spoken))
    if verdict.valid:
        paragraph(console, Text(f"✓ {name}: {about}", style="green"), indent=0, hanging=2)
    else:
        found = say("validate-invalid", count=str(len(verdict.problems)))
        paragraph(console, Text.assemble((f"✗ {name}: {found}", "bold red"), (f" · {about}" if about else "", "dim")), indent=0, hanging=2)
    for problem, place in judged.problems:
        _print_problem(console, name, judged, problem, place)
    for note in verdict.notes:
        paragraph(console, Text.assemble(("! ", "yellow"), explain(note, spoken)), indent=0, hanging=2)
    if len(verdict.problems) >= MAX_PROBLEMS:
        paragraph(console, Text(say("validate-more", count=str(MAX_PROBLEMS)), style="dim"), indent=0)
    if verdict.valid and _SIGNED in judged.opened.document:
        paragraph(console, Text(say("validate-signed", file=name), style="dim"), indent=2)


def _about(judged: _Judged, spoken: str) -> list[str]:
    """Say what a document is: its procedure, its message, its schema, and what it was wrapped in."""
    verdict = judged.verdict
    parts = []
    if verdict.procedure:
        parts.append(f"{getattr(verdict.procedure.title, spoken)} ({verdict.procedure.code})")
    if verdict.row:
        parts.append(f"{verdict.row.code} {getattr(verdict.row.title, spoken)}")
    if verdict.schema:
        parts.append(say("validate-schema", name=verdict.schema, pack=f" ({verdict.pack})" if verdict.pack else ""))
    if judged.opened.wrapper:
        parts.append(say("validate-wrapped", version=judged.opened.wrapper))
    return parts


def _print_problem(console: Console, name: str, judged: _Judged, problem: Problem, place: Place | None) -> None:
    """Show one problem as a compiler would: what, where, the line itself with a marker, what to do."""
    spoken, gutter = language(), len(str(place.line + 1)) if place else 1
    code = field_code(judged.verdict.code) if judged.verdict.code else ""
    console.print()
    paragraph(console, Text(explain(problem, spoken), style="bold"), indent=0)
    where = f"{name}:{place.line}:{place.column}" if place else name
    inside = "" if judged.opened.first else f" {say('validate-inside')}"
    console.print(Text.assemble((f"{'':{gutter}} ┌─ ", "blue"), (where, "cyan"), (inside, "dim"), (f"  {code}", "dim")))
    if problem.path:
        console.print(Text.assemble((f"{'':{gutter}} │ ", "blue"), (problem.path, "dim")))
    if place:
        _print_excerpt(console, judged.source, place, gutter)
    if advice := remedy(problem, spoken):
        paragraph(console, Text.assemble((f"{'':{gutter}} └─ ", "blue"), (advice, "green")), indent=0, hanging=gutter + 4)


def _print_excerpt(console: Console, source: Source, place: Place, gutter: int) -> None:
    console.print(Text(f"{'':{gutter}} │", style="blue"))
    for row in source.rows(place, width=console.width - gutter - 3):
        console.print(Text.assemble((f"{row.number:{gutter}} │ ", "blue"), row.text))
        if row.marker:
            console.print(Text.assemble((f"{'':{gutter}} │ ", "blue"), (row.marker, "bold red")))
    console.print(Text(f"{'':{gutter}} │", style="blue"))
