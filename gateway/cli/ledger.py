"""nsw ledger: copy the heads of the ledger's tree to keep them elsewhere, and check the ledger against such copies."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from gateway.bootstrap import open_store, tsa_anchors
from gateway.errors import GatewayError
from gateway.evidence.checking import MAX_ERRORS, Verification, check, unwitnessed
from gateway.evidence.copies import read_copies
from gateway.evidence.heads import write_file
from gateway.security import certificates
from gateway.security.certificates import Certificate
from gateway.security.trust import Trust

from .files import read_archive, read_small, write_document
from .output import GOOD, REFUSED, AsJson, emit, misuse, paragraph, people, problem_view, refuse, say, settings, tell

app = typer.Typer(no_args_is_help=True, help="The ledger: copies of its heads, and a check against them.")

Output = Annotated[Path, typer.Option("--output", metavar="FILE", help="Where the copy goes; keep it on another machine.")]
After = Annotated[int, typer.Option("--after", metavar="SIZE", min=0, help="Only heads of more events than this.")]
Copies = Annotated[
    list[Path] | None,
    typer.Option("--heads", metavar="FILE", help="A copy that 'nsw ledger heads' wrote, a published file, or a witness's; any number."),
]
Trusted = Annotated[
    list[Path] | None, typer.Option("--trust", metavar="PEM", help="A certificate that signed heads, besides the gateway's present one.")
]


Witnesses = Annotated[
    list[Path] | None, typer.Option("--witness", metavar="PEM", help="A witness's certificate: every copy must be countersigned by one.")
]


@app.command()
def heads(*, output: Output, after: After = 0, as_json: AsJson = False) -> None:
    """Write a copy of the signed heads: whoever has one can show later that nothing before it was altered."""
    try:
        with open_store(settings()) as store:
            found = list(store.ledger.heads(after=after))
    except GatewayError as error:
        refuse(error, as_json=as_json)
    used = {signed.head.key for signed in found}
    write_document(output, write_file(found, [c for c in _own() if c.sha256 in used]))
    last = found[-1].head if found else None
    if as_json:
        emit({"heads": len(found), "size": last.size if last else 0, "file": str(output)})
    else:
        told = say("ledger-copied", heads=f"{len(found):,}", size=f"{last.size if last else 0:,}", file=str(output))
        paragraph(people(), Text(f"✓ {told}", style="green"), indent=0, hanging=2)


@app.command()
def verify(*, copies: Copies = None, witness: Witnesses = None, trust: Trusted = None, as_json: AsJson = False) -> None:
    """Check every sealed event against the ledger's heads and copies of them. Ends with 1 where something was altered."""
    signers = [*_own(), *(c for path in trust or () for c in _certificates(path))]
    try:
        kept = [found for path in copies or () for found in read_copies(read_archive(path))]
        alone = unwitnessed(kept, _by_digest(c for path in witness for c in _certificates(path))) if witness else ()
        with open_store(settings()) as store:
            found = check(store.ledger, (copy.signed for copy in kept), _by_digest(signers))
            wrong = store.stamps.check(tsa_anchors(settings(), Trust(settings().pki)))
            found = replace(found, errors=(*found.errors, *islice(wrong, MAX_ERRORS), *islice(alone, MAX_ERRORS)))
            stamped = store.stamps.standing().until
    except GatewayError as error:
        refuse(error, as_json=as_json)
    if as_json:
        emit({**_view(found), "stamped_until": stamped.isoformat() if stamped else None, "copies": len(kept)})
    else:
        _print(found)
    raise typer.Exit(GOOD if found.valid else REFUSED)


def _own() -> tuple[Certificate, ...]:
    """Give the certificates the gateway signs with and signed with: gateway.cert.pem, and those put aside beside it."""
    folder = settings().pki
    found = [c for path in sorted(folder.glob("gateway*.cert.pem")) for c in _certificates(path)]
    if not found:
        misuse("file-missing", path=folder / "gateway.cert.pem")
    return tuple(found)


def _certificates(path: Path) -> tuple[Certificate, ...]:
    try:
        return certificates.read_pem(read_small(path))
    except ValueError:
        misuse("certificate-not-read", path=path)


def _by_digest(found: Iterable[Certificate]) -> dict[str, Certificate]:
    return {certificate.sha256: certificate for certificate in found}


def _view(found: Verification) -> dict[str, object]:
    return {
        "valid": found.valid,
        "size": found.size,
        "sealed_until": found.sealed_until.isoformat() if found.sealed_until else None,
        "unsealed": found.unsealed,
        "errors": [problem_view(problem, problem.text) for problem in found.errors],
    }


def _print(found: Verification) -> None:
    until = found.sealed_until.isoformat(" ", "seconds") if found.sealed_until else "-"
    facts = {"size": f"{found.size:,}", "until": until, "unsealed": f"{found.unsealed:,}"}
    told = say("ledger-good", **facts) if found.valid else say("ledger-bad", **facts)
    paragraph(people(), Text(f"{'✓' if found.valid else '✗'} {told}", style="green" if found.valid else "red"), indent=0, hanging=2)
    tell(people(), found.errors)
