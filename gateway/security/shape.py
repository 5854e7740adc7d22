"""The exact shape of a signature: reads a ds:Signature that is nothing but the profile, and refuses the rest (SIG-4 to SIG-13)."""

import re
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import rsa
from lxml import etree
from lxml.etree import _Element

from gateway.errors import Code, NotProven, Problem
from gateway.xml.namespaces import DS, EXC_C14N
from gateway.xml.parse import line_of

from . import certificates
from .certificates import Certificate, PublicKey, strict_base64
from .keys import value_length
from .policy import GATEWAY, MAX_CERTIFICATES, MAX_EXPONENT_BITS, MAX_RSA_BITS, Method, Place, Policy

SIGNATURE = f"{{{DS}}}Signature"
_SIGNED_INFO, _VALUE, _KEY_INFO = f"{{{DS}}}SignedInfo", f"{{{DS}}}SignatureValue", f"{{{DS}}}KeyInfo"
_OBJECT = f"{{{DS}}}Object"
_C14N, _METHOD, _REFERENCE = f"{{{DS}}}CanonicalizationMethod", f"{{{DS}}}SignatureMethod", f"{{{DS}}}Reference"
_TRANSFORMS, _TRANSFORM = f"{{{DS}}}Transforms", f"{{{DS}}}Transform"
_DIGEST_METHOD, _DIGEST_VALUE = f"{{{DS}}}DigestMethod", f"{{{DS}}}DigestValue"
_X509_DATA, _X509_CERTIFICATE = f"{{{DS}}}X509Data", f"{{{DS}}}X509Certificate"
_INCLUSIVE = f"{{{EXC_C14N}}}InclusiveNamespaces"
_DIGEST_BYTES = {"sha256": 32, "sha384": 48}
_NCNAME = re.compile(r"[A-Za-z_][A-Za-z0-9._-]*")  # ASCII only: an Id is a name that machines give
_WHITE = " \t\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A signature that has the profile's shape; nothing in it is verified yet. `digest` is hashlib's name."""

    signed_info: _Element
    method: Method
    prefixes: tuple[str, ...]
    digest: str
    digest_value: bytes
    value: bytes
    certificates: tuple[Certificate, ...]
    key: PublicKey


def read(signature: _Element, place: Place, *, uri: str) -> Shape:
    """Read a signature that must stand at a place and refer to `uri`; raises NotProven with the number of the check that fails."""
    signed_info, value, key_info = _parts(signature)
    c14n, method_element, reference = _signed_parts(signed_info)
    _check_canonicalization(c14n)
    method = _method(method_element)
    digest, digest_value, prefixes = _reference(reference, place, uri)
    chain = _certificates(key_info)
    key = check_key(chain[0], method, key_info)
    return Shape(
        signed_info=signed_info, method=method, prefixes=prefixes, digest=digest, digest_value=digest_value,
        value=_value(value, key), certificates=chain, key=key,
    )  # fmt: skip


def refusal(check: int, name: str, at: _Element | None = None, /, *, path: str | None = None, **values: str) -> NotProven:
    """Make the refusal of a numbered check, placed at an element."""
    line = None if at is None else line_of(at)
    where = path if at is None or path else at.getroottree().getpath(at)
    return NotProven(Code.SIGNATURE, Problem(text=f"signature.{name}", path=where, line=line, values={"check": str(check), **values}))


def _parts(signature: _Element) -> tuple[_Element, _Element, _Element]:
    # (4) SignedInfo, SignatureValue and KeyInfo, in this order, and nothing else
    children = _elements(signature, 4, attributes=("Id",))
    if any(c.tag == _OBJECT for c in children):
        raise refusal(4, "object", signature)
    if [c.tag for c in children] != [_SIGNED_INFO, _VALUE, _KEY_INFO]:
        raise refusal(4, "parts", signature, found=_names(children))
    return children[0], children[1], children[2]


def _signed_parts(signed_info: _Element) -> tuple[_Element, _Element, _Element]:
    # (7) exactly one reference
    children = _elements(signed_info, 4, attributes=("Id",))
    tags = [c.tag for c in children]
    if tags[:2] == [_C14N, _METHOD] and len(tags) != 3 and set(tags[2:]) <= {_REFERENCE}:  # noqa: PLR2004 - one more than the two methods
        raise refusal(7, "references", signed_info, found=str(len(tags) - 2))
    if tags != [_C14N, _METHOD, _REFERENCE]:
        raise refusal(4, "parts", signed_info, found=_names(children))
    return children[0], children[1], children[2]


def _check_canonicalization(element: _Element) -> None:
    # (5) SignedInfo is canonicalised exclusively, without comments, without parameters
    found = element.get("Algorithm")
    if found != EXC_C14N or _elements(element, 5, attributes=("Algorithm",)):
        raise refusal(5, "canonicalization", element, found=found or "-", expected=EXC_C14N)


def _method(element: _Element, policy: Policy = GATEWAY) -> Method:
    # (6) an allowed signature algorithm, without parameters
    found = element.get("Algorithm", "-")
    if found not in policy.methods or _elements(element, 6, attributes=("Algorithm",)):
        raise refusal(6, "method", element, found=found, expected=", ".join(policy.methods))
    return policy.methods[found]


def _reference(element: _Element, place: Place, uri: str) -> tuple[str, bytes, tuple[str, ...]]:
    # (8) the reference names exactly what this place must cover
    found = element.get("URI")
    if found != uri or element.get("Type") is not None:
        raise refusal(8, "uri", element, found="-" if found is None else found, expected=uri)
    children = _elements(element, 8, attributes=("URI", "Id"))
    if [c.tag for c in children] != [_TRANSFORMS, _DIGEST_METHOD, _DIGEST_VALUE]:
        raise refusal(4, "parts", element, found=_names(children))
    prefixes = _transforms(children[0], place)
    return *_digest(children[1], children[2]), prefixes


def _transforms(element: _Element, place: Place) -> tuple[str, ...]:
    # (9) exactly the place's transforms, in their order; the last may list prefixes
    children = _elements(element, 9)
    found = tuple(str(c.get("Algorithm")) for c in children)
    if found != place.transforms or any(c.tag != _TRANSFORM for c in children):
        raise refusal(9, "transforms", element, found=", ".join(found) or "-", expected=", ".join(place.transforms))
    *firsts, last = children
    if any(_elements(c, 9, attributes=("Algorithm",)) for c in firsts):
        raise refusal(9, "transforms", element, found=_names(children), expected=", ".join(place.transforms))
    return _prefixes(last)


def _prefixes(transform: _Element) -> tuple[str, ...]:
    parameters = _elements(transform, 9, attributes=("Algorithm",))
    if not parameters:
        return ()
    listed = (parameters[0].get("PrefixList") or "").split()
    if len(parameters) > 1 or parameters[0].tag != _INCLUSIVE or not listed or not all(_NCNAME.fullmatch(p) for p in listed):
        raise refusal(9, "prefix-list", transform, found=_names(parameters))
    if _elements(parameters[0], 9, attributes=("PrefixList",)):
        raise refusal(9, "prefix-list", transform, found=_names(parameters))
    return tuple(listed)


def _digest(method: _Element, value: _Element) -> tuple[str, bytes]:
    # (10) an allowed digest, without parameters, of the right length
    found = method.get("Algorithm", "-")
    if found not in GATEWAY.digests or _elements(method, 10, attributes=("Algorithm",)):
        raise refusal(10, "digest-method", method, found=found, expected=", ".join(GATEWAY.digests))
    name = GATEWAY.digests[found]
    decoded = _base64(value, 10, "digest-value")
    if len(decoded) != _DIGEST_BYTES[name]:
        raise refusal(10, "digest-value", value, found=str(len(decoded)))
    return name, decoded


def _certificates(key_info: _Element) -> tuple[Certificate, ...]:
    # (11) KeyInfo is one X509Data with one to five certificates, and nothing else
    holders = _elements(key_info, 11, attributes=("Id",))
    if [h.tag for h in holders] != [_X509_DATA]:
        raise refusal(11, "key-info", key_info, found=_names(holders))
    entries = _elements(holders[0], 11)
    if not 1 <= len(entries) <= MAX_CERTIFICATES or any(e.tag != _X509_CERTIFICATE for e in entries):
        raise refusal(11, "key-info", holders[0], found=_names(entries))
    return tuple(map(_certificate, entries))


def _certificate(entry: _Element) -> Certificate:
    decoded = _base64(entry, 11, "certificate-unreadable")
    try:
        return certificates.read(decoded)
    except ValueError as error:
        raise refusal(11, "certificate-unreadable", entry) from error


def check_key(leaf: Certificate, method: Method, at: _Element | None, policy: Policy = GATEWAY) -> PublicKey:
    """Refuse a key that the policy does not allow or that does not fit the signature algorithm (SIG-12)."""
    # (12) RSA of 2048 to 8192 bits with an odd exponent of three or more, or the curve that goes with the algorithm
    key = leaf.public_key
    kind = "-" if key is None else describe_key(key)
    if key is None or not kind.startswith("RSA" if method.family == "rsa" else "EC"):
        raise refusal(12, "key-kind-mismatch", at, key=kind, method=method.uri)
    if method.curve and kind != f"EC {method.curve}":
        raise refusal(12, "key-curve", at, key=kind, expected=method.curve)
    if isinstance(key, rsa.RSAPublicKey) and not rsa_allowed(key, policy):
        raise refusal(12, "key-weak", at, key=kind, minimum=str(policy.min_rsa_bits))
    return key


def describe_key(key: PublicKey) -> str:
    """Name a key's kind and size: "RSA 2048", "EC secp256r1"."""
    return f"RSA {key.key_size}" if isinstance(key, rsa.RSAPublicKey) else f"EC {key.curve.name}"


def rsa_allowed(key: rsa.RSAPublicKey, policy: Policy) -> bool:
    """Say whether an RSA key has an allowed size and an odd exponent of three or more."""
    exponent = key.public_numbers().e
    return (
        policy.min_rsa_bits <= key.key_size <= MAX_RSA_BITS
        and exponent % 2 == 1
        and exponent >= 3  # noqa: PLR2004 - one would sign nothing
        and exponent.bit_length() <= MAX_EXPONENT_BITS
    )


def _value(element: _Element, key: PublicKey) -> bytes:
    # (13) the signature value is strict base64 of exactly the key's length
    decoded = _base64(element, 13, "value", attributes=("Id",))
    if len(decoded) != value_length(key):
        raise refusal(13, "value", element, found=str(len(decoded)), expected=str(value_length(key)))
    return decoded


def _base64(element: _Element, check: int, name: str, attributes: tuple[str, ...] = ()) -> bytes:
    if len(element) or any(a not in attributes for a in element.attrib):
        raise refusal(check, name, element, found=_names(list(element)))
    try:
        return strict_base64(element.text)
    except ValueError as error:
        raise refusal(check, name, element, found="-") from error


def _elements(parent: _Element, check: int, *, attributes: tuple[str, ...] = ()) -> list[_Element]:
    """Give the children of an element that holds nothing but elements and white space, and no attribute but those named."""
    children = list(parent)
    stray = (parent.text or "") + "".join([c.tail or "" for c in children])
    if stray.strip(_WHITE) or not all(isinstance(c.tag, str) for c in children):
        raise refusal(check, "stray", parent, found=stray.strip()[:40])
    if extra := [a for a in parent.attrib if a not in attributes]:
        raise refusal(check, "attributes", parent, found=", ".join(map(str, extra)))
    return children


def is_ncname(text: str) -> bool:
    """Say whether a text may be an Id."""
    return bool(_NCNAME.fullmatch(text))


def _names(elements: list[_Element]) -> str:
    return ", ".join(etree.QName(e).localname if isinstance(e.tag, str) else "?" for e in elements) or "-"
