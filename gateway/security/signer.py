"""The signer of the gateway's own profile: it writes the signature in canonical form, so that nothing is parsed or canonicalised twice."""

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lxml.etree import _Element

from gateway.errors import Code, NotValid, Problem
from gateway.xml.canonical import canonical, digest, needed_prefixes
from gateway.xml.namespaces import DS, ENVELOPED, EXC_C14N
from gateway.xml.parse import parse

from .keys import SigningKey
from .policy import PERSON, SYSTEM, XMLENC, Place

_SHA256 = f"{XMLENC}sha256"
_SLOT_BEGINS = b"<SystemSignature"
_EMPTY_SLOT = b"<SystemSignature></SystemSignature>"
_SLOT = re.compile(rb"<SystemSignature>(?:-|\s*)</SystemSignature>(?=\s*</Envelope>\Z)")
_ANY_SLOT = re.compile(rb"<SystemSignature[\s>]")
_DECLARATION = re.compile(rb' xmlns:[^=>]+="(?!' + re.escape(DS.encode()) + rb'")')  # of a prefix other than the signature's own
_END = b"</Envelope>"
_NAME_DIGITS = 16  # of a digest, in a name that no document can hold already


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """What a signature says beside the plain one: its Id and its reference's, a second reference, and what stands behind KeyInfo."""

    id: str
    reference_id: str
    reference: str
    object: str


Qualify = Callable[[str], Extra]  # makes the extra of a name that nothing else in the document has


def sign_system(envelope: bytes, key: SigningKey, *, qualify: Qualify | None = None) -> bytes:
    """Sign an envelope as the system: exclusive-C14N bytes in, the same with a signature in SystemSignature out.

    Raises NotValid where a system's signature is there already. The bytes are trusted to be canonical and are not parsed,
    unless they declare prefixes that may stand in values alone.
    """
    bare = _with_empty_slot(envelope)
    prefixes: tuple[str, ...] = ()
    if b" xmlns:" in bare and _DECLARATION.search(bare):
        bare, prefixes = _written(parse(bare))
    at = bare.rindex(_EMPTY_SLOT) + len(b"<SystemSignature>")
    return bare[:at] + _signature(bare, key, place=SYSTEM, uri="", prefixes=prefixes, qualify=qualify) + bare[at:]


def sign_person(envelope: bytes, key: SigningKey, *, qualify: Qualify | None = None) -> bytes:
    """Sign an envelope's Content as a person, giving it an Id where it has none; the result is in canonical form.

    Raises NotReadable where it is not XML, NotValid where it has no Content or holds a signature already.
    """
    root = parse(envelope)
    content, slot = _person_places(root)
    if not content.get("Id"):
        content.set("Id", _free_id(root))
    signed, prefixes = _written(content)
    slot.append(parse(_signature(signed, key, place=PERSON, uri=f"#{content.get('Id')}", prefixes=prefixes, qualify=qualify)))
    return _written(root)[0]


def sign_enveloped(document: bytes, key: SigningKey, *, qualify: Qualify | None = None) -> bytes:
    """Sign any XML document as a whole; gives its canonical form with the signature as the root's last child, comments left out.

    Raises NotReadable where it is not XML.
    """
    root = parse(document)
    bare, prefixes = _written(root)
    at = bare.rindex(b"</")
    return bare[:at] + _signature(bare, key, place=SYSTEM, uri="", prefixes=prefixes, qualify=qualify) + bare[at:]


def _written(element: _Element) -> tuple[bytes, tuple[str, ...]]:
    """Write an element canonically, declaring the prefixes that only values or a signature's PrefixList use; gives those too."""
    bare = canonical(element)
    prefixes = needed_prefixes(element, written=bare)
    return (canonical(element, prefixes=prefixes) if prefixes else bare), prefixes


def _with_empty_slot(envelope: bytes) -> bytes:
    """Give the envelope with one empty SystemSignature as its last child."""
    if not envelope.startswith(b"<Envelope") or not envelope.endswith(_END):
        raise NotValid(Code.SIGNATURE, Problem(text="signature.not-canonical"))
    at = envelope.find(_SLOT_BEGINS)
    if at < 0 or not _ANY_SLOT.search(envelope, at):
        return envelope[: -len(_END)] + _EMPTY_SLOT + _END
    bare, replaced = _SLOT.subn(_EMPTY_SLOT, envelope)
    if replaced != 1 or len(_ANY_SLOT.findall(envelope)) != 1:
        raise NotValid(Code.SIGNATURE, Problem(text="signature.already-signed", path=SYSTEM.path))
    return bare


def _person_places(root: _Element) -> tuple[_Element, _Element]:
    """Give Content and an empty Body/Signature, made where it is missing."""
    body, content = root.find("Body"), root.find("Body/Content")
    if body is None or content is None:
        raise NotValid(Code.CONTENT_EMPTY, Problem(text="signature.no-content", path=PERSON.covers))
    if len(root.findall("SystemSignature/*")) or len(root.findall("Body/Signature/*")):
        raise NotValid(Code.SIGNATURE, Problem(text="signature.already-signed", path=PERSON.path))
    slot = body.find("Signature")
    if slot is None:
        slot = content.makeelement("Signature", {})
        content.addnext(slot)
    slot.text = None
    return content, slot


def _free_id(root: _Element) -> str:
    taken = {value for element in root.iter() for name, value in element.items() if str(name).lower().endswith("id")}
    return next(name for name in ("content", *(f"content-{n}" for n in range(2, len(taken) + 3))) if name not in taken)


def _signature(signed: bytes, key: SigningKey, *, place: Place, uri: str, prefixes: Sequence[str], qualify: Qualify | None) -> bytes:
    """Write a ds:Signature in canonical form over canonical bytes."""
    hashed = digest(signed)
    value = base64.b64encode(hashed).decode("ascii")
    extra = qualify(f"{place.role}-{hashed.hex()[:_NAME_DIGITS]}") if qualify else None
    name, second, behind = (f' Id="{extra.reference_id}"', extra.reference, extra.object) if extra else ("", "", "")
    inside = (
        f'<CanonicalizationMethod Algorithm="{EXC_C14N}"></CanonicalizationMethod>'
        f'<SignatureMethod Algorithm="{key.algorithm}"></SignatureMethod>'
        f'<Reference{name} URI="{uri}">{_transforms(place, prefixes)}'
        f'<DigestMethod Algorithm="{_SHA256}"></DigestMethod><DigestValue>{value}</DigestValue></Reference>{second}</SignedInfo>'
    )
    signature = base64.b64encode(key.sign(f'<SignedInfo xmlns="{DS}">{inside}'.encode())).decode("ascii")
    begins = f'<Signature xmlns="{DS}" Id="{extra.id}">' if extra else f'<Signature xmlns="{DS}">'
    return f"{begins}<SignedInfo>{inside}<SignatureValue>{signature}</SignatureValue>{_key_info(key)}{behind}</Signature>".encode()


def _transforms(place: Place, prefixes: Sequence[str]) -> str:
    listed = f'<InclusiveNamespaces xmlns="{EXC_C14N}" PrefixList="{" ".join(prefixes)}"></InclusiveNamespaces>' if prefixes else ""
    first = f'<Transform Algorithm="{ENVELOPED}"></Transform>' if ENVELOPED in place.transforms else ""
    return f'<Transforms>{first}<Transform Algorithm="{EXC_C14N}">{listed}</Transform></Transforms>'


def _key_info(key: SigningKey) -> str:
    entries = (f"<X509Certificate>{base64.b64encode(c.der).decode('ascii')}</X509Certificate>" for c in key.certificates)
    return f"<KeyInfo><X509Data>{''.join(entries)}</X509Data></KeyInfo>"
