"""How commands speak: people on a terminal, programs in JSON; and how they end.

Exit codes: 0 good, 1 refused or not valid, 2 wrong usage, 3 not available.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from gateway.config import Settings, mistakes, spoken
from gateway.errors import GatewayError, Problem, Unavailable, explain, remedy

GOOD, REFUSED, USAGE, NOT_AVAILABLE = 0, 1, 2, 3
LANGUAGES = ("vi", "en")
DEFAULT_LANGUAGE = LANGUAGES[0]  # where neither --lang nor NSW_LANGUAGE says
NARROWEST_TEXT = 20  # cells of a wrapped line on any terminal
WIDEST_TABLE = 200  # cells; the widest, of messages, has 150

_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")  # controls, and what turns the direction
_MARK = "\ufffd"  # is shown instead

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


class Plain(Console):
    """Shows what a terminal would obey, or write backwards, as a mark: names and certificates of strangers are printed, too.

    So is a line break inside a text: the program prints each line of its own by itself.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Give the pieces of what is printed; their styles are the program's own."""
        match renderable:
            case Text():
                renderable = _one_line(renderable)
            case str():
                renderable = renderable.replace("\n", _MARK)
        for text, style, control in super().render(renderable, options):
            yield Segment(_OBEYED.sub(_MARK, text), style, control)


def people() -> Console:
    """Make a console for people on standard output."""
    return Plain(highlight=False, soft_wrap=True)


def aside() -> Console:
    """Make a console for people on standard error, beside machine-readable output."""
    return Plain(stderr=True, highlight=False, soft_wrap=True)


def settings() -> Settings:
    """Read the settings; ends with 2 and every mistake named where there is one, or where NSW_HOME cannot be looked into."""
    try:
        chosen = Settings()
        chosen.pki.exists()  # asks whether it may
    except ValidationError as error:
        _tell(aside(), mistakes(error), spoken(LANGUAGES))
        raise typer.Exit(USAGE) from error
    except OSError as error:
        _tell(aside(), [Problem(text="cli.doctor-home-closed", path=str(error.filename))], spoken(LANGUAGES))
        raise typer.Exit(USAGE) from error
    return chosen


def language() -> str:
    """Give the language to speak; ends with 2 where NSW_LANGUAGE names one that there are no texts in."""
    chosen = settings().language or DEFAULT_LANGUAGE
    if chosen not in LANGUAGES:
        problem = Problem(text="cli.language", values={"found": chosen, "known": ", ".join(LANGUAGES)})
        _tell(aside(), [problem], DEFAULT_LANGUAGE)
        raise typer.Exit(USAGE)
    return chosen


def say(name: str, /, **values: str) -> str:
    """Give a text of the command line in the language to speak."""
    return explain(Problem(text=f"cli.{name}", values=values), language())


def emit(document: Mapping[str, Any]) -> None:
    """Write one JSON document on standard output, indented for a terminal only, in UTF-8 whatever that speaks; what it obeys is escaped."""
    text = json.dumps(document, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None, default=datetime.isoformat) + "\n"
    write(_OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode("utf-8", "backslashreplace"))


def write(data: bytes) -> None:
    """Write bytes on standard output."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def tell(console: Console, problems: Iterable[Problem]) -> None:
    """Say what is wrong, where, and what to do, a block a problem."""
    _tell(console, problems, language())


def paragraph(console: Console, text: Text, *, indent: int, hanging: int = 0) -> None:
    """Print text under an indent; a terminal gets it wrapped, all lines but the first `hanging` cells further in."""
    if not console.is_terminal:
        console.print(Text(" " * indent) + text)
        return
    text = _one_line(text)
    first = text[:hanging]
    for line in text[hanging:].wrap(console, max(console.width - indent - hanging, NARROWEST_TEXT)):
        console.print(Text(" " * indent) + first + line)
        first = Text(" " * hanging)


def show_table(console: Console, table: Table) -> None:
    """Print a table whole: a narrow terminal breaks its lines, but no id is cut off."""
    Plain(file=console.file, width=max(console.width, WIDEST_TABLE), highlight=False).print(table)


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


def refuse(error: GatewayError, *, as_json: bool, ours: bool = False) -> NoReturn:
    """End a command with what is wrong: 3 where something of `ours` is not in order or not available, otherwise 1."""
    if as_json:
        emit({"ok": False, "code": error.code, "errors": [problem_view(p, p.text) for p in error.problems]})
    else:
        tell(aside(), error.problems)
    raise typer.Exit(NOT_AVAILABLE if ours or isinstance(error, Unavailable) else REFUSED)


def misuse(name: str, /, *, path: object = None, **values: str) -> NoReturn:
    """End a command that was called wrongly; says what was wrong and what to write instead."""
    reject(Problem(text=f"cli.{name}", path=None if path is None else str(path), values=values))


def reject(*problems: Problem) -> NoReturn:
    """End a command whose options or files cannot be used, with 2."""
    tell(aside(), problems)
    raise typer.Exit(USAGE)


def place_of(problem: Problem) -> str:
    """Write where a problem is: its path, its line."""
    return _place_of(problem, language())


def _tell(console: Console, problems: Iterable[Problem], spoken: str) -> None:
    for problem in problems:
        paragraph(console, Text("✗ ", style="red") + Text(explain(problem, spoken), style="default"), indent=0, hanging=2)
        if place := _place_of(problem, spoken):
            paragraph(console, Text(place, style="dim"), indent=2)
        if advice := remedy(problem, spoken):
            paragraph(console, Text("→ ", style="cyan") + Text(advice, style="default"), indent=2, hanging=2)


def _one_line(text: Text) -> Text:
    """Show line breaks as marks, so that nobody's name begins a line."""
    found = text.copy()
    found.plain = text.plain.replace("\n", _MARK)
    return found


def _place_of(problem: Problem, spoken: str) -> str:
    line = explain(Problem(text="cli.line", values={"line": str(problem.line)}), spoken) if problem.line else ""
    return ", ".join(part for part in (problem.path, line) if part)
