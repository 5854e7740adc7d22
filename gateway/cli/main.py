"""nsw: the command line. Exit codes: 0 good, 1 refused or not valid, 2 wrong usage, 3 not available."""

import os
import sys
from enum import StrEnum
from importlib.metadata import version
from typing import Annotated

import typer

from . import (
    attachments,
    bench,
    certs,
    db,
    deliveries,
    demo,
    doctor,
    evidence,
    keys,
    ledger,
    messages,
    parties,
    retention,
    routes,
    schemas,
    serve,
    sign,
    validate,
    verify,
)


class Language(StrEnum):
    """The languages there are texts in."""

    VI = "vi"
    EN = "en"


app = typer.Typer(name="nsw", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.command()(serve.serve)
app.command()(serve.work)
app.command()(demo.demo)
app.command()(validate.validate)
app.command()(verify.verify)
app.command()(sign.sign)
app.add_typer(routes.app, name="routes")
app.add_typer(messages.app, name="messages")
app.add_typer(deliveries.app, name="deliveries")
app.add_typer(parties.app, name="parties")
app.add_typer(schemas.app, name="schemas")
app.add_typer(certs.app, name="certs")
app.add_typer(db.app, name="db")
app.add_typer(retention.app, name="retention")
app.add_typer(ledger.app, name="ledger")
app.add_typer(evidence.app, name="evidence")
app.add_typer(keys.app, name="keys")
app.add_typer(attachments.app, name="attachments")
app.command()(doctor.doctor)
app.command()(bench.bench)


def _say_version(asked: bool) -> None:  # noqa: FBT001  # typer calls it so
    if asked:
        sys.stdout.write(f"nsw {version('nsw-gateway')}\n")
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
    """Run the command line; a terminal that lacks a character shows a question mark in its place."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # the real streams are text wrappers
    app()
