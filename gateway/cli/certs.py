"""nsw certs: the development PKI, and how long keys and certificates still last."""

import os
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.bootstrap import now
from gateway.security.devpki import generate

from .files import reason_of
from .holdings import Holding, holdings
from .installation import installation
from .output import GOOD, REFUSED, AsJson, emit, misuse, paragraph, people, problem_view, say, settings, show_table, tell

app = typer.Typer(no_args_is_help=True, help="Certificates: a development PKI, and checks.")
_SIGNS = {"good": ("✓", "green"), "soon": ("!", "yellow"), "bad": ("✗", "red")}


@app.command()
def dev(*, as_json: AsJson = False) -> None:
    """Make what is missing of a development PKI under NSW_HOME/pki; never for production."""
    os.umask(0o077)
    installed = installation(as_json=as_json)
    folder, codes = installed.settings.pki, [party.code for party in installed.rules.parties]
    try:
        generate(folder, now=now(), parties=codes)
    except OSError as error:
        misuse("file-not-written", path=folder, reason=reason_of(error))
    if as_json:
        emit({"folder": str(folder), "parties": codes})
    else:
        told = say("certs-made", folder=str(folder), parties=", ".join(codes))
        paragraph(people(), Text(f"✓ {told}", style="green"), indent=0, hanging=2)


@app.command()
def check(*, as_json: AsJson = False) -> None:
    """Say of the gateway's key and of every certificate whether it holds and for how long. Ends with 1 where one does not."""
    found = holdings(settings().pki, at=now())
    if as_json:
        emit({
            "ok": found.good,
            "certificates": [_view(held) for held in found.certificates],
            "errors": [problem_view(problem, problem.text) for problem in found.problems],
        })  # fmt: skip
    else:
        _print(people(), found.certificates)
        tell(people(), found.problems)
    raise typer.Exit(GOOD if found.good else REFUSED)


def _view(held: Holding) -> dict[str, Any]:
    return {
        "use": held.use,
        "party": held.party,
        "subject": held.certificate.subject,
        "not_after": held.certificate.not_after.isoformat(),
        "days": held.days,
        "valid": held.valid,
        "sha256": held.certificate.sha256,
    }


def _print(console: Console, certificates: tuple[Holding, ...]) -> None:
    if not certificates:
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for held in certificates:
        sign, style = _SIGNS[held.state]
        left = say("certs-days" if held.valid else "certs-out", days=str(held.days))
        cells = (
            (sign, style),
            (held.party or held.use, ""),
            (held.certificate.subject, "dim"),
            (f"{held.certificate.not_after:%Y-%m-%d}", ""),
        )
        table.add_row(*(Text(text, style=look) for text, look in (*cells, (left, style))))
    show_table(console, table)
