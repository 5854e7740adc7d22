"""How commands speak: people on a terminal, programs in JSON; and how they end.

Exit codes: 0 good, 1 refused or not valid, 2 wrong usage, 3 not available.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from gateway.config import Settings
from gateway.errors import GatewayError, Problem, Unavailable, explain, remedy

GOOD, REFUSED, USAGE, NOT_AVAILABLE = 0, 1, 2, 3
DEFAULT_LANGUAGE = "vi"  # of the command line where neither the command nor NSW_LANGUAGE says; the texts know what there is


def people() -> Console:
    """Make a console for people on standard output."""
    return Console(highlight=False, soft_wrap=True)


def aside() -> Console:
    """Make a console for people on standard error, beside machine-readable output."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def settings() -> Settings:
    """Read the settings; ends with 2 and every mistake named where there is one."""
    try:
        return Settings()
    except ValidationError as error:
        for mistake in error.errors():
            name = "NSW_" + "_".join(str(part) for part in mistake["loc"]).upper()
            accepted = Settings.model_fields[str(mistake["loc"][0])].description if mistake["loc"] else ""
            aside().print(f"[red]{name}[/]: {escape(mistake['msg'])} ({escape(accepted or '')})")
        raise typer.Exit(USAGE) from error


def language() -> str:
    """Give the language to speak."""
    return settings().language or DEFAULT_LANGUAGE


def emit(document: Mapping[str, Any]) -> None:
    """Write one JSON document on standard output."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2, default=str) + "\n")


def tell(console: Console, problems: Iterable[Problem]) -> None:
    """Say what is wrong, where, and what to do, a block a problem."""
    spoken = language()
    for problem in problems:
        place = " ".join(part for part in (problem.path, f"({problem.line})" if problem.line else "") if part)
        console.print(f"[red]✗[/] {escape(explain(problem, spoken))}" + (f"\n  [dim]{escape(place)}[/]" if place else ""))
        if advice := remedy(problem, spoken):
            console.print(f"  [cyan]→[/] {escape(advice)}")


def problem_view(problem: Problem, code: str) -> dict[str, Any]:
    """Give a problem as the JSON of commands: code, place, both languages, and what to do."""
    return {
        "code": code,
        "path": problem.path,
        "line": problem.line,
        "message_vi": explain(problem, "vi"),
        "message_en": explain(problem, "en"),
        "fix": remedy(problem, language()),
    }


def refuse(error: GatewayError, *, as_json: bool) -> NoReturn:
    """End a command with what is wrong: 3 where something is not available, otherwise 1."""
    if as_json:
        emit({"ok": False, "errors": [problem_view(p, error.code) for p in error.problems]})
    else:
        tell(aside(), error.problems)
    raise typer.Exit(NOT_AVAILABLE if isinstance(error, Unavailable) else REFUSED)
