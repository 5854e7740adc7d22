"""nsw certs: the development PKI, and how long keys and certificates still last."""

import os
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.bootstrap import open_certificates
from gateway.errors import GatewayError
from gateway.installed import known_parties, now, own_key
from gateway.model import PartyCode
from gateway.routing.suggest import nearest
from gateway.security.certificates import Certificate
from gateway.security.devpki import generate
from gateway.security.enrolment import Asked
from gateway.security.holdings import Holding, Holdings, holdings
from gateway.security.registry import CertificateFiles, to_pem

from .asking import asker
from .files import read_small, reason_of, writing
from .installation import installation
from .output import GOOD, REFUSED, AsJson, emit, misuse, paragraph, people, problem_view, refuse, say, settings, show_table, tell, write
from .story import when

app = typer.Typer(no_args_is_help=True, help="Certificates: the registry, the gateway's own, requests, checks.")
ANCHOR = "anchor-"  # before a purpose
_SIGNS = {"good": ("✓", "green"), "soon": ("!", "yellow"), "bad": ("✗", "red")}

Who = Annotated[str, typer.Argument(metavar="WHO", help="A party's code or alias, gateway, or anchor-PURPOSE such as anchor-person.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="The certificate in PEM, its issuers after it; - for standard input.")]
Which = Annotated[str, typer.Argument(metavar="SHA256", help="A certificate's SHA-256, or its beginning, as 'nsw certs list' shows it.")]
Within = Annotated[int, typer.Option("--days", metavar="N", min=0, help="Within so many days.")]
PartyName = Annotated[str, typer.Argument(metavar="CODE", help="A party's code or alias.")]
Csr = Annotated[Path, typer.Argument(metavar="FILE", help="The request, PKCS#10 in PEM; - for standard input.")]
RequestId = Annotated[str, typer.Argument(metavar="ID", help="A request, as 'nsw certs requests' names it.")]
Issued = Annotated[Path | None, typer.Option("--cert", metavar="FILE", help="The certificate that an authority issued, in PEM.")]
Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept with the request, without personal data.")]
Output = Annotated[Path, typer.Option("--output", metavar="FILE", help="Where the request (CSR) goes.")]


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
    found = _held()
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


@app.command("list")
def listed(*, as_json: AsJson = False) -> None:
    """List every certificate: whose it is, how long it lasts, its SHA-256."""
    _show(_held().certificates, as_json=as_json)


@app.command()
def expiring(*, days: Within = 60, as_json: AsJson = False) -> None:
    """List the certificates that end within some days and that no other one succeeds. Ends with 1 where there is one."""
    found = tuple(h for h in _held().certificates if h.days < days and not h.succeeded)
    _show(found, as_json=as_json)
    raise typer.Exit(REFUSED if found else GOOD)


@app.command()
def show(which: Which, *, as_json: AsJson = False) -> None:
    """Show one certificate and give its PEM, for partners who register it."""
    held = _named(which)
    if as_json:
        emit(_view(held) | _more(held.certificate))
        return
    rows = {"certs-use": held.party or held.use, "certs-subject": held.certificate.subject} | _told(held.certificate)
    for text, value in rows.items():
        paragraph(people(), Text.assemble((f"{say(text)}: ", "dim"), value), indent=0, hanging=2)
    write(to_pem(held.certificate).encode())


@app.command("import")
def imported(who: Who, file: File, *, as_json: AsJson = False) -> None:
    """Register a certificate beside those that are there: both hold until the old one ends or is revoked."""
    pem = read_small(file)
    try:
        with open_certificates(settings()) as enrolment:
            if who.startswith(ANCHOR):
                found = enrolment.add_anchor(who.removeprefix(ANCHOR), pem, by=asker())
            elif who == "gateway":
                found = enrolment.take_next(pem, by=asker())
            else:
                found = enrolment.add(_party(who), pem, by=asker())
    except GatewayError as error:
        refuse(error, as_json=as_json)
    _did("certs-imported", found, as_json=as_json)


@app.command()
def revoke(which: Which, *, as_json: AsJson = False) -> None:
    """Take a certificate out of the registry at once and for good; what was signed with it keeps its evidence."""
    held = _named(which)
    try:
        with open_certificates(settings()) as enrolment:
            found = enrolment.revoke(held.certificate.sha256, by=asker())
    except GatewayError as error:
        refuse(error, as_json=as_json)
    _did("certs-revoked", found, as_json=as_json)


@app.command()
def renew(*, output: Output, as_json: AsJson = False) -> None:
    """Make the gateway's next key and the request for its certificate; the present one goes on signing."""
    try:
        with writing(output) as file:  # first: a request that has no place would be lost, and its key in the way
            file.write(CertificateFiles(settings().pki).prepare())
    except GatewayError as error:
        refuse(error, as_json=as_json)
    if as_json:
        emit({"ok": True, "request": str(output)})
    else:
        paragraph(people(), Text(f"✓ {say('certs-prepared', file=str(output))}", style="green"), indent=0, hanging=2)


@app.command()
def rotate(*, as_json: AsJson = False) -> None:
    """Sign with the gateway's next key from now on, in running servers within a second. The old certificate is kept, its key is not."""
    try:
        with open_certificates(settings()) as enrolment:
            found = enrolment.rotate(by=asker()).certificates[0]
    except GatewayError as error:
        refuse(error, as_json=as_json)
    _did("certs-rotated", found, as_json=as_json)


@app.command()
def enrol(party: PartyName, file: Csr, *, as_json: AsJson = False) -> None:
    """Take in a party's request for a certificate (CSR); it waits until a person approves it."""
    text = read_small(file).decode("ascii", "replace")
    try:
        with open_certificates(settings()) as enrolment:
            asked = enrolment.ask(_party(party), text, by=asker())
    except GatewayError as error:
        refuse(error, as_json=as_json)
    _decided(asked, as_json=as_json)


@app.command()
def requests(*, as_json: AsJson = False) -> None:
    """List requests for certificates, the last first."""
    try:
        with open_certificates(settings()) as enrolment:
            found = enrolment.requests()
    except GatewayError as error:
        refuse(error, as_json=as_json)
    if as_json:
        emit({"requests": [_request_view(asked) for asked in found]})
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for asked in found:
        table.add_row(asked.id, asked.party, asked.state, when(asked.requested_at), Text(asked.sha256[:16], style="dim"))
    show_table(people(), table)


@app.command()
def approve(request: RequestId, *, cert: Issued = None, as_json: AsJson = False) -> None:
    """Approve a request with the certificate that an authority issued for it; a development gateway issues it itself."""
    pem = read_small(cert) if cert else None
    try:
        with open_certificates(settings()) as enrolment:
            asked = enrolment.approve(request, pem, by=asker())
    except GatewayError as error:
        refuse(error, as_json=as_json)
    _decided(asked, as_json=as_json)


@app.command()
def decline(request: RequestId, *, reason: Why, as_json: AsJson = False) -> None:
    """Decline a request."""
    try:
        with open_certificates(settings()) as enrolment:
            asked = enrolment.decline(request, by=asker(), reason=reason)
    except GatewayError as error:
        refuse(error, as_json=as_json)
    _decided(asked, as_json=as_json)


def _decided(asked: Asked, *, as_json: bool) -> None:
    if as_json:
        emit({"ok": True, **_request_view(asked)})
    else:
        told = say("certs-request", id=asked.id, party=asked.party, state=asked.state, sha256=asked.sha256)
        paragraph(people(), Text(f"✓ {told}", style="green"), indent=0, hanging=2)


def _request_view(asked: Asked) -> dict[str, Any]:
    return {field.name: getattr(asked, field.name) for field in fields(asked)}


def _held() -> Holdings:
    chosen = settings()
    return holdings(chosen.pki, at=now(), own_key=own_key(chosen))


def _party(spelling: str) -> PartyCode:
    parties = known_parties(settings())
    found = next((p.code for p in parties if spelling in {p.code, *p.aliases}), None)
    if found is None:
        misuse("party-unknown", found=spelling, near=nearest(spelling, [p.code for p in parties]))
    return found


def _named(which: str) -> Holding:
    """Find the one certificate whose SHA-256 begins so; ends with 2 where none does or several do."""
    found = {h.certificate: h for h in _held().certificates if h.certificate.sha256.startswith(which.lower())}
    if len(found) != 1:
        misuse("certs-which", found=which, count=str(len(found)))
    return next(iter(found.values()))


def _did(text: str, found: Certificate, *, as_json: bool) -> None:
    if as_json:
        emit({"ok": True, "subject": found.subject, "not_after": found.not_after.isoformat(), "sha256": found.sha256})
    else:
        told = say(text, subject=found.subject, sha256=found.sha256[:16], until=f"{found.not_after:%Y-%m-%d}")
        paragraph(people(), Text(f"✓ {told}", style="green"), indent=0, hanging=2)


def _show(found: tuple[Holding, ...], *, as_json: bool) -> None:
    if as_json:
        emit({"certificates": [_view(held) for held in found]})
    else:
        _print(people(), found)


def _more(found: Certificate) -> dict[str, Any]:
    return {
        "issuer": found.x509.issuer.rfc4514_string(),
        "serial": f"{found.x509.serial_number:x}",
        "key": found.key.name,
        "not_before": found.not_before.isoformat(),
        "pem": to_pem(found),
    }


def _told(found: Certificate) -> dict[str, str]:
    return {
        "certs-issuer": found.x509.issuer.rfc4514_string(),
        "certs-serial": f"{found.x509.serial_number:x}",
        "certs-key": found.key.name,
        "certs-validity": f"{found.not_before:%Y-%m-%d %H:%M} - {found.not_after:%Y-%m-%d %H:%M} UTC",
        "certs-digest": found.sha256,
    }


def _view(held: Holding) -> dict[str, Any]:
    return {
        "use": held.use,
        "party": held.party,
        "subject": held.certificate.subject,
        "not_after": held.certificate.not_after.isoformat(),
        "days": held.days,
        "valid": held.valid,
        "succeeded": held.succeeded,
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
            (held.certificate.sha256[:16], "dim"),
        )
        table.add_row(*(Text(text, style=look) for text, look in (*cells, (left, style))))
    show_table(console, table)
