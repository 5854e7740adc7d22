"""nsw sign: put a signature into an envelope or any XML document, or beside any file."""

import base64
import copy
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from gateway.errors import Code, GatewayError, NotValid, Problem, Unavailable
from gateway.installed import now, own_key
from gateway.security import cms
from gateway.security.keys import SigningKey, load_key, load_pkcs12
from gateway.security.policy import PERSON, SYSTEM
from gateway.security.signer import Qualify, sign_enveloped, sign_person, sign_system
from gateway.security.whole import BESIDE
from gateway.security.xades import qualifier
from gateway.xml.canonical import canonical, needed_prefixes
from gateway.xml.parse import parse
from gateway.xml.places import name_of

from .files import STANDARD, read_document, read_small, write_document
from .output import AsJson, aside, emit, misuse, paragraph, refuse, reject, say, settings, write


class Role(StrEnum):
    """As whom an envelope is signed: the declarant in Body/Signature, or the sending system in SystemSignature."""

    PERSON = "person"
    SYSTEM = "system"


class Profile(StrEnum):
    """How a document is signed: inside it by XML-DSig or XAdES-B-B, or beside it by CMS, byte for byte and whatever it is."""

    XMLDSIG = "xmldsig"
    XADES = "xades"
    CMS = "cms-detached"


File = Annotated[Path, typer.Argument(metavar="FILE", help="An envelope, or any XML document with --enveloped; - for standard input.")]
KeyFile = Annotated[Path, typer.Option("--key", metavar="FILE", help="The private key, PEM or PKCS#12; NSW_KEY_PIN_FILE unlocks it.")]
CertFile = Annotated[
    Path | None, typer.Option("--cert", metavar="PEM", help="Its certificate, and the issuers' after it; PKCS#12 holds its own.")
]
As = Annotated[Role | None, typer.Option("--as", help="Sign an envelope as the declarant or as the sending system (the default).")]
Enveloped = Annotated[bool, typer.Option("--enveloped", help="Sign any XML document as a whole.")]
Profiled = Annotated[Profile, typer.Option("--profile", help="Plain XML-DSig, XAdES-B-B, or CMS beside the file.")]
Output = Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Write the signed document, or the signature, here.")]


def sign(
    file: File,
    *,
    key: KeyFile,
    cert: CertFile = None,
    role: As = None,
    enveloped: Enveloped = False,
    profile: Profiled = Profile.XMLDSIG,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Sign a document; without --output and --json the signed document goes to standard output.

    With --profile cms-detached it is the signature alone, in DER, of the file's bytes as they are.
    """
    if enveloped and role is not None:
        misuse("sign-two-ways")
    if profile is Profile.CMS and (enveloped or role is not None):
        misuse("sign-beside")
    data, signer = read_document(file), _key(key, cert)
    qualify = qualifier(signer, now()) if profile is Profile.XADES else None
    try:
        if profile is Profile.CMS:
            signed, place = cms.sign(data, signer, at=now()), BESIDE
        elif enveloped:
            signed, place = _enveloped(data, signer, qualify)
        else:
            signed, place = _envelope(data, signer, role or Role.SYSTEM, qualify)
    except GatewayError as error:
        refuse(error, as_json=as_json)
    if output and output != STANDARD:
        write_document(output, signed)
    elif not as_json:
        write(signed)
    subject = signer.certificates[0].subject
    if as_json:
        emit({"signed": base64.b64encode(signed).decode("ascii"), "signer": subject, "place": place})
    else:
        told = say("sign-signed", signer=subject, place=place, output=f" → {output}" if output else "")
        paragraph(aside(), Text(f"✓ {told}", style="green"), indent=0, hanging=2)


def _key(key: Path, cert: Path | None) -> SigningKey:
    """Load the key, unlocked as the gateway's own is; ends with 2, because it was the caller who named these files."""
    data = read_small(key)
    try:
        if b"-----BEGIN" not in data and cert is None:
            return load_pkcs12(key, pin=own_key(settings()).pin())
        if cert is None:
            misuse("sign-certificate")
        read_small(cert)
        return load_key(key, cert, pin=own_key(settings()).pin() if b"ENCRYPTED" in data else None)
    except Unavailable as error:
        reject(*error.problems)


def _envelope(data: bytes, key: SigningKey, role: Role, qualify: Qualify | None) -> tuple[bytes, str]:
    root = parse(data)
    if root.tag != "Envelope":
        raise NotValid(Code.PROCEDURE_UNREADABLE, Problem(text="cli.sign-not-envelope", path=f"/{name_of(root)}"))
    if role is Role.PERSON:
        return sign_person(data, key, qualify=qualify), PERSON.path
    alone = copy.deepcopy(root)  # without processing instructions beside it, which would be part of its canonical form
    return sign_system(canonical(alone, prefixes=needed_prefixes(alone)), key, qualify=qualify), SYSTEM.path


def _enveloped(data: bytes, key: SigningKey, qualify: Qualify | None) -> tuple[bytes, str]:
    signed = sign_enveloped(data, key, qualify=qualify)
    return signed, f"/{name_of(parse(signed))}/Signature"
