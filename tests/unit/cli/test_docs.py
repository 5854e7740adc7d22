"""The reference page knows every command and every option, and its exit codes are those of the program."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from gateway.cli import output
from gateway.cli.main import app

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "cli.md").read_text("utf-8")


def commands(command: Any, name: str = "nsw") -> Iterator[tuple[str, Any]]:
    """Give every command with its full name."""
    if not hasattr(command, "list_commands"):
        yield name, command
        return
    for word in command.list_commands(None):
        yield from commands(command.get_command(None, word), f"{name} {word}")


COMMANDS = dict(commands(typer.main.get_command(app)))


def section(name: str) -> str:
    """Give what the page says of a command."""
    found = re.search(rf"^## {re.escape(name)}(?: [^\n]*)?\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    return found[1] if found else ""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_described(name: str) -> None:
    options = [option for param in COMMANDS[name].params for option in param.opts if option.startswith("--")]

    assert section(name)
    assert [option for option in options if option not in section(name) and option != "--help"] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_how_it_ends(name: str) -> None:
    assert re.search(r"^Exit|Exit: 0|Exit codes as for", section(name), re.MULTILINE)


def test_page_knows_no_command_that_is_not_there() -> None:
    headings = re.findall(r"^## (nsw[a-z ]*[a-z])", PAGE, re.MULTILINE)

    assert sorted(headings) == sorted(COMMANDS)


def test_exit_codes_are_the_documented_ones() -> None:
    assert (output.GOOD, output.REFUSED, output.USAGE, output.NOT_AVAILABLE) == (0, 1, 2, 3)
