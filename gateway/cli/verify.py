"""nsw verify: who signed a document, what the signatures cover, and whether they hold, check by numbered check."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.cells import set_cell_size
from rich.console import Console
from rich.text import Text

from gateway.errors import explain, remedy
from gateway.installed import now
from gateway.model import Party as Correspondent
from gateway.protocols.vnsw.codes import field_code
from gateway.routing.suggest import nearest
from gateway.security import beside, certificates, cms
from gateway.security.certificates import Certificate
from gateway.security.kept import KeptStatuses
from gateway.security.policy import GATEWAY, POLICIES, Policy, for_party
from gateway.security.question import Question
from gateway.security.report import Check, Report, SignatureReport
from gateway.security.revocation import read_crls
from gateway.security.stamps import PURPOSE, reader
from gateway.security.trust import Trust
from gateway.security.verifier import CLOCK_SKEW
from gateway.security.whole import verify_whole

from .files import read_document, read_small
from .installation import Installation, installation
from .opening import unwrapped
from .output import GOOD, REFUSED, AsJson, emit, language, misuse, paragraph, people, place_of, say, tell

T = TypeVar("T")
TITLE_CELLS = 30  # of a check's title; the longest in either language

File = Annotated[Path, typer.Argument(metavar="FILE", help="Any document with signatures; - for standard input.")]
Trusted = Annotated[list[Path] | None, typer.Option("--trust", metavar="PEM", help="Trust these certificates instead of the registry.")]
Untrusted = Annotated[list[Path] | None, typer.Option("--untrusted", metavar="PEM", help="Issuers' certificates that the document lacks.")]
Crls = Annotated[list[Path] | None, typer.Option("--crl", metavar="FILE", help="Revocation lists, PEM or DER.")]
KeyFile = Annotated[Path | None, typer.Option("--key", metavar="FILE", help="A public key, or an HMAC key; needs --policy permissive.")]
IdNames = Annotated[
    list[str] | None, typer.Option("--id-attr", metavar="NAME", help="An attribute that holds identifiers, besides Id, ID and id.")
]
SignatureFile = Annotated[
    Path | None, typer.Option("--signature", metavar="FILE", help="A detached CMS signature of the document, DER or PEM.")
]
PolicyName = Annotated[str, typer.Option("--policy", metavar="NAME", help="gateway, or permissive for diagnosis.")]
Party = Annotated[str | None, typer.Option("--as", metavar="PARTY", help="Who must have signed; without it the party in From.")]
Moment = Annotated[
    str | None, typer.Option("--at", metavar="TIME", help="Judge as of this time: 2026-10-12, or 2026-10-12T09:30:00+07:00.")
]


def verify(  # noqa: PLR0913  # one parameter an option, as the contract names them
    file: File,
    *,
    trust: Trusted = None,
    untrusted: Untrusted = None,
    crl: Crls = None,
    key: KeyFile = None,
    id_attr: IdNames = None,
    signature: SignatureFile = None,
    policy: PolicyName = GATEWAY.name,
    as_party: Party = None,
    at: Moment = None,
    as_json: AsJson = False,
) -> None:
    """Verify every signature of a document. Ends with 1 where one does not hold, or where there is none.

    Without --trust, revocation is judged by what the gateway here has fetched; nothing is fetched now.
    """
    data, detached = _taken_apart(read_document(file), signature)
    chosen = _policy(policy)
    trusted, issuers = _certificates(trust), _certificates(untrusted)
    crls = [found for path in crl or () for found in _read(path, read_crls, "crl-not-read")]
    secret = read_small(key) if key else None
    installed = installation(as_json=as_json)
    party = None if as_party is None else _party(as_party, installed)
    moment, registry = now() if at is None else _moment(at, installed), _registry(installed)
    stamps = registry.anchors(PURPOSE)
    question = Question(
        at=moment,
        registry=None if trusted else registry,
        directory=installed.rules,
        trusted=tuple(trusted),
        untrusted=tuple(issuers),
        crls=tuple(crls),
        key=secret,
        id_names=tuple(id_attr or ()),
        policy=for_party(party.sends, at=moment) if party and chosen is GATEWAY else chosen,
        party=party.code if party else None,
        sends=party.sends if party else None,
        skew=party.sends.clock_skew if party else CLOCK_SKEW,
        read_stamp=reader(stamps) if stamps.certificates else None,
    )
    inside = unwrapped(data, installed.door, at=question.at)
    message = data if inside or (party and party.sends.signature == "wss-x509") else b""
    report = verify_whole(inside.document if inside else data, question, message=message, signature=detached)
    if as_json:
        emit(report.as_json(spell=field_code, language=language()))
    else:
        _print(people(), str(file), report, question, wrapper=inside.wrapper if inside else "")
    raise typer.Exit(GOOD if report.valid else REFUSED)


# --- options -----------------------------------------------------------------------------------------------------------


def _taken_apart(data: bytes, signature: Path | None) -> tuple[bytes, bytes | None]:
    """Give the document and its detached signature: the file named, or what stands beside it in one body."""
    if signature is None:
        return beside.read(data) or (data, None)
    return data, cms.from_file(read_small(signature))


def _registry(installed: Installation) -> Trust:
    """Open the registry, with what a serving gateway learned of revocations."""
    chosen = installed.settings
    return Trust(chosen.pki, statuses=KeptStatuses(chosen.home / "cache" / "revocation", clock=now))


def _policy(name: str) -> Policy:
    if name not in POLICIES:
        misuse("policy-unknown", found=name, known=", ".join(POLICIES))
    return POLICIES[name]


def _certificates(paths: Sequence[Path] | None) -> list[Certificate]:
    return [found for path in paths or () for found in _read(path, _pem_or_der, "certificate-not-read")]


def _pem_or_der(data: bytes) -> Sequence[Certificate]:
    return certificates.read_pem(data) if b"-----BEGIN" in data else (certificates.read(data),)


def _read(path: Path, read: Callable[[bytes], Sequence[T]], fault: str) -> Sequence[T]:
    try:
        return read(read_small(path))
    except ValueError:
        misuse(fault, path=path)


def _party(spelling: str, installed: Installation) -> Correspondent:
    found = installed.rules.party(spelling)
    if found is None:
        misuse("party-unknown", found=spelling, near=nearest(spelling, installed.rules.spellings))
    return found


def _moment(text: str, installed: Installation) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        misuse("time-unreadable", found=text)
    return found if found.tzinfo else found.replace(tzinfo=installed.rules.zone)


# --- for people --------------------------------------------------------------------------------------------------------


def _print(console: Console, name: str, report: Report, question: Question, *, wrapper: str) -> None:
    """Show the verdict, then each signature with each of its checks."""
    verdict = say(f"verify-{'valid' if report.valid else 'invalid'}", count=str(len(report.signatures)))
    asked = say("verify-asked", policy=question.policy.name, at=question.at.isoformat(sep=" ", timespec="seconds"))
    style, sign = ("green", "✓") if report.valid else ("bold red", "✗")
    code = f"  {field_code(report.code)}" if report.code else ""
    inside = " · " + say("validate-wrapped", version=wrapper) if wrapper else ""
    paragraph(console, Text.assemble((f"{sign} {name}: {verdict}", style), (f"{inside} · {asked}{code}", "dim")), indent=0, hanging=2)
    tell(console, report.problems)
    for number, signature in enumerate(report.signatures, start=1):
        _print_signature(console, number, signature)
    if report.valid and not question.policy.needs_trust and not question.trusted:
        paragraph(console, Text.assemble(("! ", "yellow"), say("verify-permissive")), indent=0, hanging=2)


def _print_signature(console: Console, number: int, signature: SignatureReport) -> None:
    sign = ("✓ ", "green") if signature.valid else ("✗ ", "red")
    console.print()
    console.print(Text.assemble(sign, (say("verify-signature", number=str(number), place=signature.place), "bold")))
    rows = (("verify-signer", signature.signer or say("verify-nobody")), ("verify-covers", ", ".join(signature.covers) or "-"))
    for label, value in rows:
        paragraph(console, Text.assemble((f"{say(label)}: ", "dim"), value), indent=2, hanging=2)
    for check in signature.checks:
        _print_check(console, check)


def _print_check(console: Console, check: Check) -> None:
    """One line for what holds; for what does not, also what to do."""
    spoken = language()
    detail = explain(check.detail, spoken).removeprefix(f"SIG-{check.number}: ")
    sign, style = (("✓", "green"), "dim") if check.passed else (("✗", "red"), "bold")
    title = set_cell_size(check.title(spoken), TITLE_CELLS)
    paragraph(console, Text.assemble(sign, f" {check.number:>2} {title} ", (detail, style)), indent=2, hanging=TITLE_CELLS + 6)
    if check.passed:
        return
    if place := place_of(check.detail):
        console.print(Text(f"{'':7}{place}", style="dim"))
    if advice := remedy(check.detail, spoken):
        paragraph(console, Text.assemble(("→ ", "cyan"), (advice, "green")), indent=7, hanging=2)
