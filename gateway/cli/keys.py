"""nsw keys: the keys of encryption at rest. Servers that run take up what changes within a second; no command shows a key."""

import os
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from gateway.bootstrap import open_attachments
from gateway.config import Settings
from gateway.errors import GatewayError
from gateway.installed import now
from gateway.outbox.rekeying import Rekeying
from gateway.security import keyring

from .asking import asker
from .output import AsJson, emit, paragraph, people, refuse, say, settings, show_table
from .story import when

app = typer.Typer(no_args_is_help=True, help="Keys of encryption at rest: list, add, rotate, retire.")

File = Annotated[Path | None, typer.Argument(metavar="FILE", help="Another machine's content-N.key; without it a new key is made.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A key, as 'nsw keys list' names it.")]
Chosen = Annotated[str, typer.Argument(metavar="[NAME]", help="The key to write under; without it a new one is made.")]


@app.command("list")
def listed(*, as_json: AsJson = False) -> None:
    """List the keys: which is written under, and since when each is there."""
    try:
        found = keyring.entries(_folder(settings()))
    except GatewayError as error:
        refuse(error, as_json=as_json)
    if as_json:
        emit({"keys": [{"name": key.name, "present": key.present, "made_at": key.made_at.isoformat()} for key in found]})
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for key in found:
        use = say("keys-present") if key.present else say("keys-old")
        table.add_row(Text("✓" if key.present else " ", style="green"), key.name, when(key.made_at), Text(use, style="dim"))
    show_table(people(), table)


@app.command()
def add(file: File = None, *, as_json: AsJson = False) -> None:
    """Add a key that is read with and not yet written under: first on every machine, then rotate to it on every machine."""
    try:
        name = keyring.add(_folder(settings()), entropy=os.urandom, source=file)
    except GatewayError as error:
        refuse(error, as_json=as_json)
    _said("keys-added", name, as_json=as_json)


@app.command()
def rotate(name: Chosen = "", *, as_json: AsJson = False) -> None:
    """Write under another key from now on; what was written before stays readable."""
    chosen = settings()
    try:
        with open_attachments(chosen) as keeping:
            present = keyring.rotate(_folder(chosen), entropy=os.urandom, name=name)
            Rekeying(keeping=keeping).note("key.rotated", present, by=asker())
    except GatewayError as error:
        refuse(error, as_json=as_json)
    _said("keys-rotated", present, as_json=as_json)


@app.command()
def retire(name: Name, *, as_json: AsJson = False) -> None:
    """Encrypt anew whatever is under an old key, in small steps beside the flow, and only then remove the key.

    May be broken off and run again. Ends with 1 where something keeps the key for a while, and says what.
    """
    chosen = settings()
    done: Counter[str] = Counter()
    try:
        keyring.check_old(_folder(chosen), name)
        with open_attachments(chosen) as keeping:
            rekeying = Rekeying(keeping=keeping)
            _encrypt_anew(rekeying, name, done)
            rekeying.check_rested(name, since=keyring.rotated_at(_folder(chosen)), now=now())
            while rekeying.left(name):
                _encrypt_anew(rekeying, name, done)
            keyring.forget(_folder(chosen), name)
            rekeying.note("key.retired", name, by=asker())
    except GatewayError as error:
        refuse(error, as_json=as_json)
    _said("keys-retired", name, as_json=as_json, count=done.total())


def _encrypt_anew(rekeying: Rekeying, name: str, done: Counter[str]) -> None:
    for what, count in rekeying.run(name):
        done[what] += count


def _folder(chosen: Settings) -> Path:
    return chosen.home / "keys"


def _said(text: str, name: str, *, as_json: bool, **numbers: int) -> None:
    if as_json:
        emit({"ok": True, "name": name, **numbers})
    else:
        told = say(text, name=name, **{each: f"{number:,}" for each, number in numbers.items()})
        paragraph(people(), Text(f"✓ {told}", style="green"), indent=0, hanging=2)
