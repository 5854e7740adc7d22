"""nsw doctor: is everything in order here, and if not, what to do."""

from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from gateway.errors import explain, remedy
from gateway.installed import now

from .examinations import Finding, examine
from .output import GOOD, REFUSED, AsJson, emit, language, paragraph, people, place_of, problem_view, say, settings

_SIGNS = {"good": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red")}


def doctor(*, as_json: AsJson = False) -> None:
    """Look at programs, folders, database, keys, rules, schemas, port, clock and disk. Ends with 1 where something fails."""
    findings = list(examine(settings(), at=now()))
    good = all(finding.state != "failed" for finding in findings)
    if as_json:
        emit({"ok": good, "checks": [_view(finding) for finding in findings]})
    else:
        for finding in findings:
            _print(people(), finding)
        _print_end(people(), findings)
    raise typer.Exit(GOOD if good else REFUSED)


def _view(finding: Finding) -> dict[str, Any]:
    return {"name": finding.name, "state": finding.state, **problem_view(finding.told, finding.told.text)}


def _print(console: Console, finding: Finding) -> None:
    sign, style = _SIGNS[finding.state]
    spoken = language()
    told = Text.assemble(
        (sign, style), f" {say('doctor-' + finding.name)}: ", (explain(finding.told, spoken), "dim" if finding.state == "good" else "")
    )
    paragraph(console, told, indent=0, hanging=2)
    if finding.state == "good":
        return
    if place := place_of(finding.told):
        console.print(Text(f"  {place}", style="dim"))
    if advice := remedy(finding.told, spoken):
        paragraph(console, Text.assemble(("→ ", "cyan"), advice), indent=2, hanging=2)


def _print_end(console: Console, findings: list[Finding]) -> None:
    failed, warned = (str(sum(1 for finding in findings if finding.state == state)) for state in ("failed", "warning"))
    style = "bold red" if failed != "0" else "yellow" if warned != "0" else "green"
    console.print()
    console.print(Text(say("doctor-end", failed=failed, warned=warned), style=style))
