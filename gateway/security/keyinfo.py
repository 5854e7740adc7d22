"""Finds the key of a foreign signature: by certificates in its KeyInfo, by certificates that KeyInfo names, or by a bare key."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from lxml.etree import _Element

from gateway.xml.namespaces import DS

from . import certificates
from .certificates import Certificate, Key
from .foreign import Foreign, elements_with_id
from .policy import MAX_CERTIFICATES, PERMISSIVE, Policy
from .refusal import refusal

DS11 = "http://www.w3.org/2009/xmldsig11#"
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_X509_DATA, _CERTIFICATE = f"{{{DS}}}X509Data", f"{{{DS}}}X509Certificate"
_KEY_VALUES = (f"{{{DS}}}RSAKeyValue", f"{{{DS}}}DSAKeyValue")
_CURVES: dict[str, ec.EllipticCurve] = {
    "urn:oid:1.2.840.10045.3.1.7": ec.SECP256R1(), "urn:oid:1.3.132.0.34": ec.SECP384R1(), "urn:oid:1.3.132.0.35": ec.SECP521R1(),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a signature's key comes from: a certificate with those that came along, or a bare key with none."""

    key: Key
    certificate: Certificate | None = None
    others: tuple[Certificate, ...] = ()


def sources(foreign: Foreign, *, known: Sequence[Certificate], id_names: Sequence[str], policy: Policy) -> tuple[Source, ...]:
    """Give every key that KeyInfo may mean, likeliest first; raises NotProven where it names none that the policy takes (SIG-11)."""
    # (11) the key comes from a certificate; only the permissive policy takes a bare one
    found = _certificates(foreign, known, id_names)
    if not found and policy.bare_keys:
        found = _bare(foreign.key_info, id_names)
    if not found:
        raise refusal(11, "no-key", foreign.element if foreign.key_info is None else foreign.key_info)
    return found


def public_key(data: bytes) -> Key:
    """Read a public key or a certificate, PEM or DER; a key of no kind where it is neither."""
    for load in (serialization.load_pem_public_key, serialization.load_der_public_key, _key_of_pem, _key_of_der):
        try:
            return certificates.describe(load(data))
        except (ValueError, UnsupportedAlgorithm, UserWarning):
            continue
    return Key(public=None)


def _key_of_pem(data: bytes) -> object:
    return x509.load_pem_x509_certificate(data).public_key()


def _key_of_der(data: bytes) -> object:
    return x509.load_der_x509_certificate(data).public_key()


def _certificates(foreign: Foreign, known: Sequence[Certificate], id_names: Sequence[str]) -> tuple[Source, ...]:
    info = foreign.key_info
    if info is None:
        return ()
    texts = [e.text or "" for e in (*info.iter(_CERTIFICATE), *_tokens(info, id_names), *_retrieved(info, id_names))]
    if len(texts) > 4 * MAX_CERTIFICATES:
        raise refusal(11, "key-info", info, found=str(len(texts)))
    held = tuple(_certificate(text, info) for text in texts)
    leaves = [c for c in held if not any(c.x509.subject == o.x509.issuer and c is not o for o in held)] or list(held)
    named = [c for c in known if _is_named(c, info)]
    return tuple(Source(key=c.key, certificate=c, others=tuple(o for o in held if o is not c)) for c in (*leaves, *named))


def _certificate(text: str, at: _Element) -> Certificate:
    try:
        return certificates.read(base64.b64decode("".join(text.split()), validate=True))
    except ValueError as error:
        raise refusal(11, "certificate-unreadable", at) from error


def _tokens(info: _Element, id_names: Sequence[str]) -> list[_Element]:
    """Follow a WS-Security reference to a BinarySecurityToken of the same document."""
    uris = [r.get("URI", "") for r in info.iterfind(f".//{{{WSSE}}}SecurityTokenReference/{{{WSSE}}}Reference")]
    return _named_elements(info, uris, id_names, f"{{{WSSE}}}BinarySecurityToken")


def _retrieved(info: _Element, id_names: Sequence[str]) -> list[_Element]:
    """Follow a RetrievalMethod to certificates of the same document, never outside it."""
    uris = [r.get("URI", "") for r in info.iterfind(f"{{{DS}}}RetrievalMethod") if not len(r)]
    return [c for holder in _named_elements(info, uris, id_names, _X509_DATA) for c in holder.iter(_CERTIFICATE)]


def _named_elements(info: _Element, uris: Sequence[str], id_names: Sequence[str], tag: str) -> list[_Element]:
    root = info.getroottree().getroot()
    hits = (elements_with_id(root, uri[1:], id_names) for uri in uris if uri.startswith("#"))
    return [found[0] for found in hits if len(found) == 1 and found[0].tag == tag]


def _is_named(certificate: Certificate, info: _Element) -> bool:
    """Say whether KeyInfo names a certificate we hold."""
    return any(_names(entry, certificate) for data in info.iterfind(_X509_DATA) for entry in data)


def _names(entry: _Element, certificate: Certificate) -> bool:
    text = "".join((entry.text or "").split())
    match str(entry.tag).rpartition("}")[2]:
        case "X509IssuerSerial":
            return entry.findtext(f"{{{DS}}}X509SerialNumber", "").strip() == str(certificate.x509.serial_number)
        case "X509SKI":
            return text == _key_identifier(certificate)
        case "X509Digest":
            return text == _digest(certificate, entry.get("Algorithm", ""))
        case "X509SubjectName":
            return _same_name(entry.text or "", certificate)
    return False


def _same_name(text: str, certificate: Certificate) -> bool:
    """Compare names as sets of their parts: stacks disagree about order, spaces and the names of attributes."""
    given = {part.partition("=")[2].strip() for part in text.replace("\n", " ").split(",") if "=" in part}
    return given == {str(a.value).strip() for a in certificate.x509.subject}


def _key_identifier(certificate: Certificate) -> str:
    try:
        held = certificate.x509.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except (x509.ExtensionNotFound, *certificates.BAD_EXTENSIONS):
        return "-"
    return base64.b64encode(held.digest).decode("ascii")


def _digest(certificate: Certificate, algorithm: str) -> str:
    name = PERMISSIVE.digests.get(algorithm)
    return base64.b64encode(hashlib.new(name, certificate.der).digest()).decode("ascii") if name else "-"


def _bare(info: _Element | None, id_names: Sequence[str]) -> tuple[Source, ...]:
    """Read the bare keys that KeyInfo holds."""
    if info is None:
        return ()
    uris = [r.get("URI", "") for r in info.iterfind(f"{{{DS}}}RetrievalMethod")]
    held = [child for holder in info.iterfind(f"{{{DS}}}KeyValue") for child in holder]
    values = [*held, *(e for tag in _KEY_VALUES for e in _named_elements(info, uris, id_names, tag))]
    try:
        keys = [_key_value(v) for v in values] + [public_key(_bytes(e)) for e in info.iterfind(f"{{{DS11}}}DEREncodedKeyValue")]
    except (ValueError, KeyError, UnsupportedAlgorithm) as error:
        raise refusal(11, "no-key", info) from error
    return tuple(Source(key=key) for key in keys if key.kind)


def _key_value(value: _Element) -> Key:
    def number(name: str) -> int:
        return int.from_bytes(_bytes(value.find(f"{{{DS}}}{name}")))

    match str(value.tag).rpartition("}")[2]:
        case "RSAKeyValue":
            return certificates.describe(rsa.RSAPublicNumbers(number("Exponent"), number("Modulus")).public_key())
        case "DSAKeyValue":
            parameters = dsa.DSAParameterNumbers(number("P"), number("Q"), number("G"))
            return certificates.describe(dsa.DSAPublicNumbers(number("Y"), parameters).public_key())
        case "ECKeyValue":
            curve = value.find(f"{{{DS11}}}NamedCurve")
            point = _bytes(value.find(f"{{{DS11}}}PublicKey"))
            named = _CURVES["" if curve is None else curve.get("URI", "")]
            return certificates.describe(ec.EllipticCurvePublicKey.from_encoded_point(named, point))
    return Key(public=None)


def _bytes(element: _Element | None) -> bytes:
    return base64.b64decode("".join(("" if element is None else element.text or "").split()), validate=True)
