"""WS-Security with an X.509 token: signs a SOAP message's Body and Timestamp, and verifies such messages (SIG-40 to SIG-44).

SOAP 1.1 and 1.2. What is verified is what the door uses: the one Body of the one Envelope, in the tree whose bytes were digested.
"""

import base64
import hmac
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from lxml import etree
from lxml.etree import _Element

from gateway.xml.canonical import canonical, digest, needed_prefixes, value_prefixes
from gateway.xml.namespaces import DS, EXC_C14N, SOAP11, SOAP12, WSSE, WSU
from gateway.xml.parse import parse

from . import certificates, foreign
from .certificates import Certificate
from .foreign import Foreign, Reference
from .keys import SigningKey, verify_value
from .policy import GATEWAY, XMLENC, Method, Policy
from .proofs import SystemProof
from .refusal import refusal
from .shape import SIGNATURE, check_key
from .verifier import CLOCK_SKEW, check_validity

LIFETIME = timedelta(minutes=5)  # of our own messages
MAX_LIFETIME = timedelta(hours=1)  # of others': the longest for which a stolen message could be sent again
_PROFILE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509v3"
_BASE64 = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"
_SHA256 = f"{XMLENC}sha256"
_SECURITY, _TOKEN, _TIMESTAMP = f"{{{WSSE}}}Security", f"{{{WSSE}}}BinarySecurityToken", f"{{{WSU}}}Timestamp"
_WSU_ID = f"{{{WSU}}}Id"
_INCLUSIVE = f"{{{EXC_C14N}}}InclusiveNamespaces"
_IDS = etree.XPath("/descendant::*/@*[local-name() = 'Id' or local-name() = 'ID' or local-name() = 'id']")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)")
HEADER = "/soap:Envelope/soap:Header/wsse:Security"  # the XPath of where the signature stands
_COVERS = "/soap:Envelope/soap:Body"


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageProof(SystemProof):
    """A SOAP message for which every check passed: whose certificate signed it, and when it says that it was made."""

    profile: ClassVar[str] = "wss-x509"
    covers: ClassVar[str] = _COVERS

    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A SOAP message with a security header of the profile's parts; nothing in it is verified yet."""

    root: _Element
    body: _Element
    stamp: _Element
    token: _Element
    signature: _Element


# --- signing -----------------------------------------------------------------------------------------------------------


def sign(message: bytes, key: SigningKey, *, at: datetime, lifetime: timedelta = LIFETIME) -> bytes:
    """Sign a SOAP message's Body and a Timestamp put beside it; raises NotReadable, or NotProven where it is no SOAP or is signed."""
    root = parse(message)
    soap, body = _body(root)
    if _securities(root, soap):
        raise refusal(40, "wss-header", root, found=str(len(_securities(root, soap))))
    name = digest(message).hex()[:16]
    body.set(_WSU_ID, f"body-{name}")
    header = root.find(f"{{{soap}}}Header")
    if header is None:
        header = etree.SubElement(root, f"{{{soap}}}Header")
        root.insert(0, header)
    prefixes = needed_prefixes(body)
    stamp = _timestamp(name, at, lifetime)
    references = (
        _reference(f"body-{name}", canonical(body, prefixes=prefixes), prefixes),
        _reference(f"timestamp-{name}", stamp.replace(b"<wsu:Timestamp", b'<wsu:Timestamp xmlns:wsu="%b"' % WSU.encode(), 1), ()),
    )
    header.insert(0, parse(_security(soap, name, stamp, "".join(references), key)))
    return canonical(root, prefixes=needed_prefixes(root))


def _timestamp(name: str, at: datetime, lifetime: timedelta) -> bytes:
    created, expires = (moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (at, at + lifetime))
    inner = f"<wsu:Created>{created}</wsu:Created><wsu:Expires>{expires}</wsu:Expires>"
    return f'<wsu:Timestamp wsu:Id="timestamp-{name}">{inner}</wsu:Timestamp>'.encode()


def _reference(name: str, signed: bytes, prefixes: Sequence[str]) -> str:
    listed = f'<InclusiveNamespaces xmlns="{EXC_C14N}" PrefixList="{" ".join(prefixes)}"></InclusiveNamespaces>' if prefixes else ""
    return (
        f'<Reference URI="#{name}"><Transforms><Transform Algorithm="{EXC_C14N}">{listed}</Transform></Transforms>'
        f'<DigestMethod Algorithm="{_SHA256}"></DigestMethod><DigestValue>{_text(digest(signed))}</DigestValue></Reference>'
    )


def _security(soap: str, name: str, stamp: bytes, references: str, key: SigningKey) -> bytes:
    inside = (
        f'<CanonicalizationMethod Algorithm="{EXC_C14N}"></CanonicalizationMethod>'
        f'<SignatureMethod Algorithm="{key.algorithm}"></SignatureMethod>{references}</SignedInfo>'
    )
    value = _text(key.sign(f'<SignedInfo xmlns="{DS}">{inside}'.encode()))
    token = _text(key.certificates[0].der)
    return (
        f'<wsse:Security xmlns:soap="{soap}" xmlns:wsse="{WSSE}" xmlns:wsu="{WSU}" soap:mustUnderstand="1">{stamp.decode()}'
        f'<wsse:BinarySecurityToken EncodingType="{_BASE64}" ValueType="{_PROFILE}" wsu:Id="token-{name}">{token}'
        f'</wsse:BinarySecurityToken><Signature xmlns="{DS}"><SignedInfo>{inside}<SignatureValue>{value}</SignatureValue>'
        f'<KeyInfo><wsse:SecurityTokenReference><wsse:Reference URI="#token-{name}" ValueType="{_PROFILE}"></wsse:Reference>'
        "</wsse:SecurityTokenReference></KeyInfo></Signature></wsse:Security>"
    ).encode()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


# --- verifying ---------------------------------------------------------------------------------------------------------


def is_demanded(message: bytes) -> bool:
    """Say whether a SOAP message has a security header that must be judged: one that holds a signature, or must be understood."""
    root = parse(message)
    soap, _ = _body(root)
    return any(
        s.find(SIGNATURE) is not None or s.get(f"{{{soap}}}mustUnderstand", "").strip() in ("1", "true") for s in _securities(root, soap)
    )


def verify(
    message: bytes, *, at: datetime, registered: Callable[[Certificate], bool], policy: Policy = GATEWAY, skew: timedelta = CLOCK_SKEW
) -> MessageProof:
    """Prove a SOAP message; raises NotReadable, NotProven. `registered` says whose certificate may sign."""
    parts = parts_of(parse(message))
    check_ids(parts.root)
    created, _ = check_time(parts, at=at, skew=skew)
    written = foreign.read(parts.signature)
    leaf = leaf_of(parts, written)
    check_validity(leaf, at, parts.token)  # (17)
    # (18) the certificate is, byte for byte, one that is registered
    if not registered(leaf):
        raise refusal(18, "not-registered", parts.token, subject=leaf.subject, sha256=leaf.sha256)
    check_signature(written, leaf, policy)
    check_covered(parts, [covered(reference, parts.root, policy) for reference in written.references])
    return MessageProof(certificate=leaf, created=created)


def parts_of(root: _Element) -> Parts:
    """Take a SOAP message apart; raises NotProven where its security header is not of the profile."""
    soap, body = _body(root)
    securities = _securities(root, soap)
    found = {str(child.tag): child for child in securities[0]} if len(securities) == 1 else {}
    # (40) one security header with one Timestamp, one token and one signature, and no signature anywhere else
    if found.keys() != {_TIMESTAMP, _TOKEN, SIGNATURE} or len(securities[0]) != len(found):
        raise refusal(40, "wss-header", root, found=", ".join(etree.QName(tag).localname for tag in found) or str(len(securities)))
    return Parts(root=root, body=body, stamp=found[_TIMESTAMP], token=found[_TOKEN], signature=found[SIGNATURE])


def check_time(parts: Parts, *, at: datetime, skew: timedelta) -> tuple[datetime, datetime]:
    """Refuse a message from the future, one that is over, and one that holds too long; gives when it was made and when it expires."""
    created, expires = _times(parts.stamp)
    # (44) the message is not from the future, not out of date, and not good for longer than it may be
    if created - at > skew or at - expires >= skew or not timedelta() < expires - created <= MAX_LIFETIME:
        raise refusal(44, "wss-time", parts.stamp, found=created.isoformat(), until=expires.isoformat(), at=at.isoformat())
    return created, expires


def check_covered(parts: Parts, found: Sequence[_Element]) -> None:
    """Refuse a signature that does not cover what it must, or anything twice."""
    # (43) what is signed is the Body that is used, and the Timestamp
    if parts.body not in found or parts.stamp not in found or len(set(found)) != len(found):
        raise refusal(43, "wss-not-covered", parts.signature)


def _body(root: _Element) -> tuple[str, _Element]:
    """Give the SOAP namespace and the one Body."""
    soap = etree.QName(root).namespace or ""
    bodies = root.findall(f"{{{soap}}}Body")
    headers = root.findall(f"{{{soap}}}Header")
    # (40) an Envelope of SOAP 1.1 or 1.2 with one Body and at most one Header
    if root.tag not in (f"{{{SOAP11}}}Envelope", f"{{{SOAP12}}}Envelope") or len(bodies) != 1 or len(headers) > 1:
        raise refusal(40, "wss-header", root, found="-")
    return soap, bodies[0]


def _securities(root: _Element, soap: str) -> list[_Element]:
    return root.findall(f"{{{soap}}}Header/{_SECURITY}")


def check_ids(root: _Element) -> None:
    """Refuse identifiers that are not unique, whatever attribute holds them."""
    # (3) every identifier is unique over Id, ID and id of any namespace
    ids = list(map(str, _IDS(root) or ()))  # type: ignore[arg-type]  # attributes, always a list
    if len(set(ids)) != len(ids):
        raise refusal(3, "id-doubled", root, id=Counter(ids).most_common(1)[0][0])


def _times(stamp: _Element) -> tuple[datetime, datetime]:
    texts = {str(child.tag): (child.text or "").strip() for child in stamp}
    created, expires = texts.get(f"{{{WSU}}}Created", ""), texts.get(f"{{{WSU}}}Expires", "")
    # (44) when it was made and when it expires, once each, with a zone
    try:
        if len(stamp) != len(texts) or not _TIME.fullmatch(created) or not _TIME.fullmatch(expires):
            created = ""
        return datetime.fromisoformat(created), datetime.fromisoformat(expires)
    except ValueError as error:
        raise refusal(44, "wss-time", stamp, found=created[:40] or "-", until=expires[:40] or "-", at="-") from error


def leaf_of(parts: Parts, written: Foreign) -> Certificate:
    """Read the token, which the signature's KeyInfo must refer to; raises NotProven."""
    token, info = parts.token, written.key_info
    holders = [] if info is None else list(info)
    references = list(holders[0]) if [h.tag for h in holders] == [f"{{{WSSE}}}SecurityTokenReference"] else []
    name = token.get(_WSU_ID)
    # (41) the token is an X.509 certificate, and the one thing that KeyInfo refers to
    if [r.tag for r in references] != [f"{{{WSSE}}}Reference"] or not name or references[0].get("URI") != f"#{name}":
        raise refusal(41, "wss-token", token)
    if token.get("ValueType") != _PROFILE or token.get("EncodingType", _BASE64) != _BASE64 or len(token):
        raise refusal(41, "wss-token", token)
    try:
        return certificates.read_base64((token.text or "").encode())
    except ValueError as error:
        raise refusal(41, "wss-token", token) from error


def check_signature(written: Foreign, leaf: Certificate, policy: Policy) -> None:
    """Refuse a signature by another algorithm or key than the policy takes, and a value that is not right."""
    # (5) exclusive C14N, (6) an allowed algorithm, (12) with a key that fits, (13) a value of the key's length, (15) that is right
    if written.canonicalization.get("Algorithm") != EXC_C14N:
        found = written.canonicalization.get("Algorithm", "-")
        raise refusal(5, "canonicalization", written.canonicalization, found=found, expected=EXC_C14N)
    if written.method not in policy.methods:
        raise refusal(6, "method", written.element, found=written.method, expected=", ".join(policy.methods))
    method: Method = policy.methods[written.method]
    check_key(leaf.key, method, written.element, policy)
    if len(written.value) != leaf.key.signature_bytes:
        raise refusal(13, "value", written.element, found=str(len(written.value)), expected=str(leaf.key.signature_bytes))
    data = canonical(written.signed_info, prefixes=_listed(written.canonicalization))
    if not verify_value(leaf.key, method, written.value, data):
        raise refusal(15, "signed-info", written.element, subject=leaf.subject)


def covered(reference: Reference, root: _Element, policy: Policy) -> _Element:
    """Give the one element that a reference covers, its digest being right; raises NotProven."""
    found = _target(reference, root)
    transforms = reference.transforms
    # (9) exclusive C14N and nothing else
    if [t.get("Algorithm") for t in transforms] != [EXC_C14N]:
        names = ", ".join(t.get("Algorithm", "-") for t in transforms) or "-"
        raise refusal(9, "transforms", reference.element, found=names, expected=EXC_C14N)
    if reference.digest not in policy.digests:  # (10)
        raise refusal(10, "digest-method", reference.element, found=reference.digest, expected=", ".join(policy.digests))
    prefixes = _listed(transforms[0])
    written = canonical(found, prefixes=prefixes)
    # (14) a prefix that stands only in a value is bound by no signature that does not list it
    if loose := [p for p in value_prefixes(found, written=written) if p not in prefixes]:
        raise refusal(14, "value-prefixes", found, found=", ".join(loose))
    if not hmac.compare_digest(digest(written, policy.digests[reference.digest]), reference.value):  # (16)
        raise refusal(16, "digest", reference.element)
    return found


def _target(reference: Reference, root: _Element) -> _Element:
    name = (reference.uri or "").removeprefix("#")
    found = foreign.elements_with_id(root, name, ()) if name and (reference.uri or "").startswith("#") else []
    # (42) a reference is to exactly one element: the Body, a header, or a part of the security header
    if len(found) != 1 or _depth(found[0]) not in (1, 2, 3) or (_depth(found[0]) > 1 and not _is_header(found[0])):
        raise refusal(42, "wss-reference", reference.element, found=(reference.uri or "-")[:80])
    return found[0]


def _depth(element: _Element) -> int:
    return sum(1 for _ in element.iterancestors())


def _is_header(element: _Element) -> bool:
    """Say whether an element is a header, or directly inside the security header."""
    parent = element.getparent()
    return parent is not None and (etree.QName(parent).localname == "Header" or parent.tag == _SECURITY)


def _listed(method: _Element) -> tuple[str, ...]:
    listed = method.find(_INCLUSIVE)
    return () if listed is None else tuple(listed.get("PrefixList", "").split())
