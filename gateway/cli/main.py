"""nsw: the command line. Exit codes: 0 good, 1 refused or not valid, 2 wrong usage, 3 not available."""

import os
import sys
from contextlib import suppress
from enum import StrEnum
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup
from typer.main import get_group

from .usage import told

if TYPE_CHECKING:
    from typer._click.core import Command, Context

_HOMES = {  # each command's module, imported when it is asked for: `nsw validate` needs no web server
    "serve": "serve",
    "work": "serve",
    "demo": "demo",
    "validate": "validate",
    "verify": "verify",
    "sign": "sign",
    "routes": "routes",
    "messages": "messages",
    "deliveries": "deliveries",
    "parties": "parties",
    "schemas": "schemas",
    "certs": "certs",
    "db": "db",
    "retention": "retention",
    "ledger": "ledger",
    "evidence": "evidence",
    "keys": "keys",
    "attachments": "attachments",
    "doctor": "doctor",
    "bench": "bench",
}


class Commands(TyperGroup):
    """The commands of nsw; what is wrong with how one is called is said in the language to speak."""

    def list_commands(self, ctx: "Context") -> list[str]:  # noqa: ARG002  # the same everywhere
        """Give the names, in the order of the help."""
        return list(_HOMES)

    def get_command(self, ctx: "Context", cmd_name: str) -> "Command | None":
        """Give a command or a group of them; None where there is none of the name."""
        if cmd_name in _HOMES and cmd_name not in self.commands:
            self.commands[cmd_name] = _load(cmd_name)
        return super().get_command(ctx, cmd_name)

    def make_context(self, info_name: str | None, args: list[str], parent: "Context | None" = None, **extra: object) -> "Context":
        """Read the options before the command."""
        with told():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: "Context") -> object:
        """Read the command's options and run it."""
        with told():
            return super().invoke(ctx)


def _load(name: str) -> "Command":
    """Import a command, or the group of that name."""
    module, home = import_module(f".{_HOMES[name]}", __package__), typer.Typer(add_completion=False)
    if hasattr(module, "app"):
        home.add_typer(module.app, name=name)
    else:
        home.command()(getattr(module, name))
    return get_group(home).commands[name]


class Language(StrEnum):
    """The languages there are texts in."""

    VI = "vi"
    EN = "en"


app = typer.Typer(cls=Commands, name="nsw", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


def _say_version(asked: bool) -> None:  # noqa: FBT001  # typer calls it so
    if asked:
        typer.echo(f"nsw {version('nsw-gateway')}")
        raise typer.Exit


@app.callback()
def main(
    *,
    lang: Annotated[Language | None, typer.Option(help="Speak Vietnamese or English; default: NSW_LANGUAGE, else vi.")] = None,
    _version: Annotated[bool, typer.Option("--version", help="Say the version and end.", callback=_say_version, is_eager=True)] = False,
) -> None:
    """Take what concerns every command."""
    if lang:
        os.environ["NSW_LANGUAGE"] = lang  # --lang is this setting by another name: programs that a command starts speak it too


def run() -> None:
    """Run the command line; a terminal that lacks a character shows a question mark in its place, and a closed stream is an empty one."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  # it is there until the process ends
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # the real streams are text wrappers
    try:
        app()
    finally:
        try:
            sys.stdout.flush()
        except OSError:  # which was told of; left open, it would be tried again at the end, under an exit code that is not ours
            with suppress(OSError):
                sys.stdout.close()
