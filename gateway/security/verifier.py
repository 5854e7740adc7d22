"""The verifier of the gateway's own profile: finds an envelope's signatures and proves them, check by check (docs/protocol/SIG.md)."""

import hmac
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, cast

from lxml import etree
from lxml.etree import _Element

from gateway.model import Signer
from gateway.xml.canonical import canonical, digest, is_canonical, value_prefixes
from gateway.xml.envelope import is_absent

from . import properties
from .certificates import Certificate
from .keys import verify_value
from .path import Anchors
from .policy import GATEWAY, PERSON, SYSTEM, Place, Policy
from .properties import Judged, ReadStamp
from .refusal import refusal
from .shape import SIGNATURE, Shape, judge
from .spelling import Texts, is_ncname, plain, walk

CLOCK_SKEW = timedelta(minutes=5)  # unless a party's data says otherwise; clocks without NTP drift a minute in a month
_ID = "Id"
_WHITE = " \t\r\n"
_IDS = etree.XPath("/descendant::*/@*[name() = 'Id' or name() = 'ID' or name() = 'id' or name() = 'xml:id']")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An envelope whose signatures, if any, stand where they may; nothing is verified yet. `received` are the bytes of `root`, if known."""

    root: _Element
    received: bytes
    content: _Element | None
    person: _Element | None
    system: _Element | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What signatures are judged by: the policy, how far clocks may differ, and who reads time-stamps, if anyone."""

    policy: Policy = GATEWAY
    skew: timedelta = CLOCK_SKEW
    read_stamp: ReadStamp | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A signature for which every check passed: who signed, and the XPath of what it covers."""

    role: Literal["person", "system"]
    certificate: Certificate
    subject: str
    tax_code: str | None
    covers: tuple[str, ...]
    stated: Judged | None = None  # by XAdES properties, where the signature has them

    @property
    def profile(self) -> str:
        """The profile's name, as parties.toml has it."""
        return self.stated.level if self.stated else "xmldsig"

    @property
    def signer(self) -> Signer:
        """What is recorded with the message."""
        return Signer(
            role=self.role, subject=self.subject, tax_code=self.tax_code, certificate_sha256=self.certificate.sha256, covers=self.covers
        )


_USUAL = Terms()


def find(root: _Element, received: bytes = b"") -> Found:
    """Find the signatures of an envelope; raises NotProven where one stands anywhere else or the document could be read in two ways.

    An envelope without any is not judged here, whatever it looks like. `received` are the bytes that `root` was opened from.
    """
    signatures = list(root.iter(SIGNATURE))
    if not signatures and all(map(is_absent, (*root.findall("Body/Signature"), *root.findall("SystemSignature")))):
        return Found(root=root, received=received, content=None, person=None, system=None)
    body = _one(root, "Body")
    content, person, system = _one(body, "Content"), _slot(body, "Signature", PERSON), _slot(root, "SystemSignature", SYSTEM)
    # (1) no signature anywhere else in the document
    for signature in signatures:
        if signature is not person and signature is not system:
            raise refusal(1, "place", signature)
    if person is not None:
        check_ids(root)
    return Found(root=root, received=received, content=content, person=person, system=system)


def verify_system(found: Found, *, at: datetime, registered: Callable[[Certificate], bool], terms: Terms = _USUAL) -> Verified:
    """Prove the system's signature over the whole envelope; raises NotProven. `registered` says whose certificate may sign."""
    signature = present(found.system, SYSTEM)
    document, texts = _read(found, signature)
    shape = judge(texts, signature, uri="", policy=terms.policy)
    leaf = shape.certificates[0]
    if found.person is None:
        check_ids(found.root, texts.rest)
    check_validity(leaf, at, signature)
    # (18) the certificate is, byte for byte, one that is registered for the sending party
    if not registered(leaf):
        raise refusal(18, "not-registered", signature, subject=leaf.subject, sha256=leaf.sha256)
    check_value_prefixes(found.root, texts.rest or document, shape)
    check_signed_info(shape, signature)
    check_digest(texts.rest or without(signature, found.root, shape), shape, signature)
    stated = check_properties(shape, at=at, terms=terms)
    return Verified(role="system", certificate=leaf, subject=leaf.subject, tax_code=leaf.tax_code, covers=(SYSTEM.covers,), stated=stated)


def verify_person(found: Found, *, at: datetime, anchors: Anchors, terms: Terms = _USUAL) -> Verified:
    """Prove the person's signature over Content; raises NotProven. The certificate must lead to one of the anchors."""
    signature, content = present(found.person, PERSON), present(found.content, PERSON)
    texts = plain(canonical(signature), PERSON) or walk(signature, PERSON)
    shape = judge(texts, signature, uri=f"#{content_id(content)}", policy=terms.policy)
    leaf, *issuers = shape.certificates
    check_validity(leaf, at, signature)
    anchors.path(leaf, tuple(issuers), at=at, place=signature)  # (18), (19)
    signed = canonical(content, prefixes=shape.prefixes)
    check_value_prefixes(content, signed, shape)
    check_signed_info(shape, signature)
    check_digest(signed, shape, signature)
    stated = check_properties(shape, at=at, terms=terms)
    return Verified(role="person", certificate=leaf, subject=leaf.subject, tax_code=leaf.tax_code, covers=(PERSON.covers,), stated=stated)


def _read(found: Found, signature: _Element) -> tuple[bytes, Texts]:
    """Give the document's canonical bytes, which are those received where they cannot be anything else, and its signature's texts."""
    if b"\r" not in found.received:
        texts = plain(found.received, SYSTEM)
        if texts and is_canonical(texts.rest):
            return found.received, texts
    document = canonical(found.root)
    return document, plain(document, SYSTEM) or walk(signature, SYSTEM)


# --- the document ------------------------------------------------------------------------------------------------


def _one(parent: _Element, tag: str) -> _Element:
    # (1) one Body and one Content, so that what is signed and what is used cannot differ
    found = list(parent.iterchildren(tag))
    if len(found) != 1:
        raise refusal(1, "doubled", parent, element=tag, found=str(len(found)))
    return found[0]


def _slot(parent: _Element, tag: str, place: Place) -> _Element | None:
    """Give the signature in a slot, None where the slot is absent or empty."""
    # (2) a slot holds nothing, or one ds:Signature and nothing else
    slots = list(parent.iterchildren(tag))
    if len(slots) > 1:
        raise refusal(1, "doubled", parent, element=tag, found=str(len(slots)))
    if not slots:
        return None
    slot = slots[0]
    text = (slot.text or "") + "".join([c.tail or "" for c in slot])
    if text.strip(_WHITE) or slot.attrib:
        raise refusal(2, "slot-text", slot, path=place.path)
    if len(slot) == 0:
        return None
    if len(slot) > 1 or slot[0].tag != SIGNATURE:
        raise refusal(2, "slot-content", slot, path=place.path, found=str(len(slot)))
    return slot[0]


def check_ids(root: _Element, rest: bytes = b"") -> None:
    """Refuse identifiers that are not unique; `rest`, the document's canonical bytes around a signature without any, may spare the look."""
    # (3) every identifier is unique over Id, ID, id and xml:id
    if rest and b'"' not in rest:  # no quote, no attribute
        return
    ids = cast("list[str]", _IDS(root))
    if len(set(ids)) != len(ids):
        twice = next(name for name, count in Counter(ids).items() if count > 1)
        raise refusal(3, "id-doubled", root, id=twice)


def content_id(content: _Element) -> str:
    """Give the Id that a person's signature must refer to."""
    # (8) what the person signs has an Id that is a name
    found = content.get(_ID) or ""
    if not is_ncname(found):
        raise refusal(8, "content-id", content, found=found)
    return found


def present(element: _Element | None, place: Place) -> _Element:
    """Give what must be there in a place."""
    if element is None:
        raise refusal(2, "missing", path=place.path)
    return element


# --- one signature -----------------------------------------------------------------------------------------------


def check_value_prefixes(element: _Element, written: bytes, shape: Shape) -> None:
    """Refuse prefixes that only values use and the signature does not list; `written` is the element's canonical form."""
    # (14) prefixes that stand only in values are bound by the signature too
    loose = [p for p in value_prefixes(element, written=written) if p not in shape.prefixes]
    if loose:
        raise refusal(14, "value-prefixes", element, found=", ".join(loose))


def check_signed_info(shape: Shape, at: _Element) -> None:
    """Refuse a signature value that is not right."""
    # (15) the signature value is right for SignedInfo under the certificate's key
    if not verify_value(shape.certificates[0].key, shape.method, shape.value, shape.signed_info):
        raise refusal(15, "signed-info", at, subject=shape.certificates[0].subject)


def check_digest(signed: bytes, shape: Shape, at: _Element) -> None:
    """Refuse a digest that is not that of the canonical bytes `signed`."""
    # (16) the digest is that of the document's canonical bytes
    if not hmac.compare_digest(digest(signed, shape.digest), shape.digest_value):
        raise refusal(16, "digest", at)


def check_properties(shape: Shape, *, at: datetime, terms: Terms) -> Judged | None:
    """Judge the properties of a XAdES signature, and say what they state; None where there are none."""
    if shape.qualified is None:
        return None
    found, leaf = shape.qualified.properties, shape.certificates[0]
    properties.check_digest(found, shape.qualified.digest, shape.qualified.digest_value)  # (27)
    properties.check_certificate(found, leaf)  # (29)
    properties.check_time(found, leaf, at=at, skew=terms.skew)  # (30)
    stamped = properties.check_stamps(found, at=at, skew=terms.skew, read_stamp=terms.read_stamp)  # (31)
    properties.check_values(found, leaf, at=stamped or at)  # (32)
    return Judged(level=found.level, signed_at=found.signed_at, stamped_at=stamped)


def check_validity(leaf: Certificate, at: datetime, place: _Element | None = None) -> None:
    """Refuse a certificate outside its validity."""
    # (17) the certificate is within its validity at the judged time
    if not leaf.valid_at(at):
        values = {"subject": leaf.subject, "from": leaf.not_before.isoformat(), "to": leaf.not_after.isoformat(), "at": at.isoformat()}
        raise refusal(17, "not-valid-now", place, **values)


def without(signature: _Element, root: _Element, shape: Shape) -> bytes:
    """Give the canonical bytes of the document without its signature (the enveloped transform), leaving the tree as it was."""
    slot = cast("_Element", signature.getparent())  # SIG-1 saw it there
    text, tail = slot.text, signature.tail
    slot.remove(signature)
    try:
        slot.text = (text or "") + (tail or "")
        return canonical(root, prefixes=shape.prefixes)
    finally:
        slot.text = text
        signature.tail = tail
        slot.append(signature)
