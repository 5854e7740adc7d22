"""nsw routes: are the rules in order, and where does a document go."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from gateway.errors import GatewayError, Problem, explain, remedy
from gateway.installed import discover, load_schemas, now
from gateway.routing.router import Considered, Explanation
from gateway.routing.router import explain as explain_routes
from gateway.routing.rules import CheckReport, check
from gateway.security.exemptions import exemptions
from gateway.security.expiry import notices
from gateway.xml.parse import parse
from gateway.xml.shipped import shipped

from .files import check_folder, read_document
from .installation import Installation, installation
from .opening import open_file
from .output import GOOD, REFUSED, AsJson, emit, language, paragraph, people, problem_view, refuse, say, settings, tell
from .verdict import objections

app = typer.Typer(no_args_is_help=True, help="Rules: check them, and explain where a document goes.")
_SIGNS = {"chosen": ("✓", "green"), "condition-unknown": ("!", "yellow")}

Folder = Annotated[Path | None, typer.Argument(metavar="[FOLDER]", help="Rules that override the shipped ones; default: NSW_RULES.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="An envelope, or a SOAP message that holds one; - for standard input.")]


@app.command(name="check")
def check_command(folder: Folder = None, *, as_json: AsJson = False) -> None:
    """Check every file of rules and run all their examples. Ends with 1 where one does not pass."""
    chosen = settings()
    own = check_folder(folder) if folder else chosen.rule_folder
    try:
        schemas = load_schemas(chosen)
    except GatewayError as error:
        refuse(error, as_json=as_json, ours=True)
    report = check((own, shipped("routing_rules")), schemas=schemas.names(), adapters=frozenset(discover()))
    ending = notices(exemptions(report.rules.parties if report.rules else (), at=now()))
    if as_json:
        emit(_check_view(report, ending))
    else:
        _print_check(people(), own, report)
        _print_warnings(people(), ending)
    raise typer.Exit(GOOD if report.passed else REFUSED)


@app.command(name="explain")
def explain_command(file: File, *, as_json: AsJson = False) -> None:
    """Tell which rule sends a document where, and why. Ends with 1 where it goes nowhere, or intake would refuse it."""
    data = read_document(file)
    installed = installation(as_json=as_json)
    try:
        explanation = _explain(data, installed)
    except GatewayError as error:
        refuse(error, as_json=as_json)
    if as_json:
        emit(_explanation_view(explanation, installed))
    else:
        _print_explanation(people(), str(file), explanation)
    raise typer.Exit(GOOD if _goes(explanation) else REFUSED)


def _explain(data: bytes, installed: Installation) -> Explanation:
    at = now()
    opened = open_file(data, installed.door, at=at)
    return explain_routes(parse(opened.document), installed.rules, at=at)


def _goes(explanation: Explanation) -> bool:
    return not (explanation.broken or objections(explanation)) and any(route.verdict == "chosen" for route in explanation.considered)


# --- check -------------------------------------------------------------------------------------------------------------


def _check_view(report: CheckReport, warnings: Sequence[Problem]) -> dict[str, Any]:
    return {
        "ok": report.passed,
        "version": report.rules.version if report.rules else None,
        "procedures": report.procedures,
        "messages": report.messages,
        "examples": report.examples,
        "errors": [problem_view(problem, problem.text) for problem in report.problems],
        "warnings": [problem_view(problem, problem.text) for problem in warnings],
    }


def _print_check(console: Console, folder: Path, report: CheckReport) -> None:
    if report.passed and report.rules:
        counts = {"procedures": report.procedures, "messages": report.messages, "examples": report.examples}
        told = say("routes-good", version=report.rules.version, **{name: str(count) for name, count in counts.items()})
        paragraph(console, Text(f"✓ {told}", style="green"), indent=0, hanging=2)
        return
    found = say("routes-bad", count=str(len(report.problems)), folder=str(folder))
    paragraph(console, Text(f"✗ {found}", style="bold red"), indent=0, hanging=2)
    tell(console, report.problems)


def _print_warnings(console: Console, warnings: Sequence[Problem]) -> None:
    """Say what holds today and will not for long."""
    spoken = language()
    for warning in warnings:
        told = f" {warning.path}: {explain(warning, spoken)}"
        paragraph(console, Text.assemble(("!", "yellow"), told), indent=0, hanging=2)
        paragraph(console, Text.assemble(("→ ", "cyan"), remedy(warning, spoken) or ""), indent=2, hanging=2)


# --- explain -----------------------------------------------------------------------------------------------------------


def _explanation_view(explanation: Explanation, installed: Installation) -> dict[str, Any]:
    subject = explanation.header.subject
    return {
        "ok": _goes(explanation),
        "document": {
            "procedure": subject.document_type,
            "type": subject.type,
            "function": subject.function,
            "schema": explanation.row.schema,
        },
        "rules": installed.rules.stamp,
        "procedure_version": explanation.procedure.stamp,
        "sender": explanation.sender.code if explanation.sender else None,
        "facts": dict(explanation.stated.facts),
        "keys": [{"name": name, "value": value} for name, value in explanation.stated.keys],
        "routes": [
            {"name": route.name, "to": route.to, "condition": route.condition or None, "verdict": route.verdict}
            for route in explanation.considered
        ],
        "broken_rules": list(explanation.broken),
        "errors": [problem_view(problem, problem.text) for problem in objections(explanation)],
        "warnings": [problem_view(problem, problem.text) for problem in explanation.warnings],
    }


def _print_explanation(console: Console, name: str, explanation: Explanation) -> None:
    spoken, procedure, row = language(), explanation.procedure, explanation.row
    title = f"{getattr(procedure.title, spoken)} ({procedure.code}) · {row.code} {getattr(row.title, spoken)}"
    paragraph(console, Text(f"{name}: {title}", style="bold"), indent=0, hanging=2)
    sender = explanation.sender.code if explanation.sender else say("routes-no-party", found=explanation.header.sender.identity or "-")
    _print_row(console, "routes-sender", sender)
    _print_row(console, "routes-version", procedure.stamp)
    for fact, value in explanation.stated.facts.items():
        _print_row(console, "routes-fact", f"{fact} = {value}")
    for key, value in explanation.stated.keys:
        _print_row(console, "routes-key", f"{key} = {value}")
    console.print()
    for route in explanation.considered:
        _print_route(console, route)
    _print_end(console, explanation)


def _print_row(console: Console, label: str, value: str) -> None:
    paragraph(console, Text.assemble((f"{say(label)}: ", "dim"), value), indent=2, hanging=2)


def _print_route(console: Console, route: Considered) -> None:
    sign, style = _SIGNS.get(route.verdict, ("·", "dim"))
    told = say(f"routes-{route.verdict}", to=route.to)
    weight = "bold" if route.verdict == "chosen" else ""
    paragraph(console, Text.assemble((sign, style), f" {route.name} → ", (route.to, weight), (f"  {told}", style)), indent=0)
    if route.condition:
        paragraph(console, Text.assemble((f"{say('routes-when')} ", "dim"), route.condition), indent=4, hanging=4)


def _print_end(console: Console, explanation: Explanation) -> None:
    """Say what stands against it all, or where the document goes."""
    tell(console, (*explanation.warnings, *objections(explanation)))
    rules = {rule.name: rule for rule in explanation.row.rules}
    for name in explanation.broken:
        told = say("routes-broken", rule=name, title=getattr(rules[name].title, language()))
        paragraph(console, Text.assemble(("✗ ", "red"), told), indent=0, hanging=2)
    if not any(route.verdict == "chosen" for route in explanation.considered):
        paragraph(console, Text.assemble(("✗ ", "red"), say("routes-nowhere")), indent=0, hanging=2)
