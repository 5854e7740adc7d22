"""What commands print: nothing of a stranger's is obeyed by a terminal, and nothing begins a line that the program did not begin."""

import errno
import json
from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.table import Table
from rich.text import Text

from gateway.cli.output import Plain, emit, paragraph, show_table, tell
from gateway.errors import Problem

Run = Callable[..., Any]
FORGED = "\n✓ evidence.asice: every check has passed"
OBEYED = "\x1b\x7f\x9b\u061c\u200e\u2028\u2029\u202e\u2066"


def console(*, terminal: bool) -> Plain:
    return Plain(file=StringIO(), force_terminal=terminal, width=80, highlight=False, soft_wrap=True, color_system=None)


def printed(console: Plain) -> list[str]:
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined,no-any-return]  # a StringIO


@pytest.mark.parametrize("terminal", [True, False])
def test_a_value_or_path_with_a_line_break_begins_no_line(terminal: bool) -> None:  # noqa: FBT001  # a case of the test
    to = console(terminal=terminal)

    paragraph(to, Text(f"✗ refused {FORGED}"), indent=0, hanging=2)
    tell(to, [Problem(text="cli.language", path=f"a{FORGED}", values={"found": FORGED, "known": "vi"})])
    to.print(f"  {FORGED}")

    lines = printed(to)
    assert sum("✓ evidence.asice" in line for line in lines) == 4
    assert [line for line in lines if line.lstrip().startswith("✓")] == []


def test_a_cell_with_a_line_break_begins_no_line() -> None:
    to, table = console(terminal=False), Table(box=None)
    table.add_column("name")
    table.add_row(f"a{FORGED}")
    table.add_row(Text(f"b{FORGED}"))

    show_table(to, table)

    assert sum("a\ufffd✓" in line or "b\ufffd✓" in line for line in printed(to)) == 2


@pytest.mark.parametrize("spaces", [74, 200])
def test_a_long_path_never_reaches_the_first_column_of_a_terminal(spaces: int) -> None:
    to = console(terminal=True)

    tell(to, [Problem(text="cli.language", path="a" + " " * spaces + FORGED.strip(), values={"found": "x", "known": "vi"})])

    assert all(len(line) <= 80 and line[:1] in ("✗", " ") for line in printed(to))


def test_json_escapes_what_a_terminal_obeys_and_stays_the_same_document(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    document = {f"tên{OBEYED}": f"đúng{OBEYED}\n"}

    emit(document)

    written = capfdbinary.readouterr().out.decode()
    assert json.loads(written) == document
    assert "đúng" in written
    assert not set(OBEYED) & set(written)


def test_json_for_a_program_is_the_one_line_that_is_the_last(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    document = {"ok": True, "steps": [{"name": "hub"}, {"name": "kill"}]}

    emit(document)

    assert [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()] == [document]


def test_json_has_times_as_programs_read_them(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    emit({"placed_at": datetime(2026, 11, 22, 12, 17, 46, tzinfo=UTC)})

    assert json.loads(capfdbinary.readouterr().out) == {"placed_at": "2026-11-22T12:17:46+00:00"}


@pytest.mark.parametrize("command", [("doctor",), ("messages", "list", "--json"), ("certs", "check"), ("routes", "check")])
def test_home_that_is_closed_to_this_account_is_wrong_usage(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    exists = Path.exists

    def closed(path: Path) -> bool:
        if path.is_relative_to(home):
            raise PermissionError(errno.EACCES, "", str(path))  # root may enter anything
        return exists(path)

    monkeypatch.setattr(Path, "exists", closed)
    ran = run(*command)

    assert (ran.code, ran.out) == (2, "")
    assert f"NSW_HOME).\n  {home / 'pki'}\n  → Give the folder" in ran.err
