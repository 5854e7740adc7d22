"""nsw certs: the development PKI, and how long certificates still last."""

import os
from datetime import timedelta
from typing import Annotated, Any

import typer

from gateway.bootstrap import discover, load_rules, load_schemas, now
from gateway.errors import GatewayError
from gateway.security.certificates import Certificate
from gateway.security.devpki import generate
from gateway.security.trust import Trust

from .output import REFUSED, emit, people, refuse, settings, tell

app = typer.Typer(no_args_is_help=True, help="Certificates: a development PKI, and checks.")
SOON = timedelta(days=60)

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


@app.command()
def dev(*, as_json: AsJson = False) -> None:
    """Make what is missing of a development PKI under NSW_HOME/pki; never for production."""
    chosen = settings()
    os.umask(0o077)
    try:
        rules = load_rules(chosen, load_schemas(chosen), discover())
    except GatewayError as error:
        refuse(error, as_json=as_json)
    codes = [party.code for party in rules.current.parties]
    generate(chosen.pki, now=now(), parties=codes)
    if as_json:
        emit({"folder": str(chosen.pki), "parties": codes})
    else:
        people().print(f"[green]✓[/] {chosen.pki}: gateway, {', '.join(codes)}, declarant")


@app.command()
def check(*, as_json: AsJson = False) -> None:
    """Say of every registered certificate whether it is valid and for how long; ends with 1 where one is not."""
    trust = Trust(settings().pki)
    found = [_view(str(code), certificate) for code, held in trust.registry.parties.items() for certificate in held]
    problems = trust.registry.problems
    good = bool(found) and not problems and all(row["valid"] for row in found)
    if as_json:
        emit({"ok": good, "certificates": found})
    else:
        for row in found:
            sign = "[red]✗[/]" if not row["valid"] else "[yellow]![/]" if row["days"] < SOON.days else "[green]✓[/]"
            people().print(f"{sign} {row['party']:<8} {row['subject']}  {row['not_after'][:10]} ({row['days']} d)")
        tell(people(), problems)
    raise typer.Exit(0 if good else REFUSED)


def _view(party: str, certificate: Certificate) -> dict[str, Any]:
    present = now()
    return {
        "party": party,
        "subject": certificate.subject,
        "not_after": certificate.not_after.isoformat(),
        "days": (certificate.not_after - present).days,
        "valid": certificate.valid_at(present),
        "sha256": certificate.sha256,
    }
