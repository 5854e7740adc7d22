"""The values of a signature: accepts those of the profile and refuses the rest (SIG-6, SIG-8 and SIG-10 to SIG-13)."""

from dataclasses import dataclass

from lxml.etree import _Element

from gateway.xml.namespaces import DS

from . import certificates, properties
from .certificates import Certificate, Key, strict_base64
from .policy import GATEWAY, MAX_EXPONENT_BITS, MAX_RSA_BITS, Method, Policy
from .properties import Properties
from .refusal import refusal
from .spelling import Second, Texts

SIGNATURE = f"{{{DS}}}Signature"
_DIGEST_BYTES = {"sha1": 20, "sha256": 32, "sha384": 48}


@dataclass(frozen=True, slots=True, kw_only=True)
class Qualified:
    """The properties of a XAdES signature, and the digest that its second reference states of them."""

    properties: Properties
    digest: str
    digest_value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A signature that has the profile's shape; nothing in it is verified yet. `digest` is hashlib's name."""

    signed_info: bytes
    method: Method
    prefixes: tuple[str, ...]
    digest: str
    digest_value: bytes
    value: bytes
    certificates: tuple[Certificate, ...]
    qualified: Qualified | None = None


def judge(found: Texts, at: _Element, *, uri: str, policy: Policy = GATEWAY) -> Shape:
    """Judge the values of a signature that must refer to `uri`; raises NotProven with the number of the check that fails."""
    # (8) the reference names exactly what this place must cover
    if found.uri != uri:
        raise refusal(8, "uri", at, found=found.uri, expected=uri)
    method = _method(found, at, policy)
    digest, digest_value = _digest(found.digest, found.digest_value, at, policy)
    chain = tuple([_certificate(text, at) for text in found.certificates])
    check_key(chain[0].key, method, at, policy)
    return Shape(
        signed_info=found.signed_info, method=method, prefixes=found.prefixes, digest=digest, digest_value=digest_value,
        value=_value(found, chain[0].key, at), certificates=chain,
        qualified=None if found.second is None else _qualified(found.second, at, policy),
    )  # fmt: skip


def check_key(key: Key, method: Method, at: _Element | None, policy: Policy = GATEWAY) -> None:
    """Refuse a key that the policy does not allow or that does not fit the signature algorithm (SIG-12)."""
    # (12) RSA of 2048 to 8192 bits with an odd exponent of three or more, or the curve that goes with the algorithm
    if key.kind != method.key:
        raise refusal(12, "key-kind-mismatch", at, key=key.name, method=method.uri)
    if method.curve and key.curve != method.curve:
        raise refusal(12, "key-curve", at, key=key.name, expected=method.curve)
    if (key.kind == "rsa" and not rsa_allowed(key, policy)) or (key.kind == "dsa" and key.bits < policy.min_rsa_bits):
        raise refusal(12, "key-weak", at, key=key.name, minimum=str(policy.min_rsa_bits))


def rsa_allowed(key: Key, policy: Policy) -> bool:
    """Say whether an RSA key has an allowed size and an odd exponent of three or more."""
    odd = key.exponent % 2 == 1 and key.exponent >= 3  # noqa: PLR2004 - one would sign nothing
    return odd and policy.min_rsa_bits <= key.bits <= MAX_RSA_BITS and key.exponent.bit_length() <= MAX_EXPONENT_BITS


# --- the values --------------------------------------------------------------------------------------------------


def _method(found: Texts, at: _Element, policy: Policy) -> Method:
    # (6) an allowed signature algorithm
    if found.method not in policy.methods:
        raise refusal(6, "method", at, found=found.method, expected=", ".join(policy.methods))
    return policy.methods[found.method]


def _digest(uri: str, value: bytes, at: _Element, policy: Policy) -> tuple[str, bytes]:
    # (10) an allowed digest, of the right length
    if uri not in policy.digests:
        raise refusal(10, "digest-method", at, found=uri, expected=", ".join(policy.digests))
    name = policy.digests[uri]
    decoded = _decoded(value)
    if len(decoded) != _DIGEST_BYTES[name]:
        raise refusal(10, "digest-value", at)
    return name, decoded


def _qualified(second: Second, signature: _Element, policy: Policy) -> Qualified:
    """Read the properties of a signature, which its second reference must be to."""
    name, value = _digest(second.digest, second.digest_value, second.element, policy)
    found = properties.read(second.holder, signature, reference_id=second.first_id)
    # (27) the second reference is to these properties
    if not found.id or second.uri != f"#{found.id}":
        raise refusal(27, "second-reference", second.element)
    return Qualified(properties=found, digest=name, digest_value=value)


def _certificate(text: bytes, at: _Element) -> Certificate:
    # (11) each certificate is strict base64 of X.509
    try:
        return certificates.read_base64(text)
    except ValueError as error:
        raise refusal(11, "certificate-unreadable", at) from error


def _value(found: Texts, key: Key, at: _Element) -> bytes:
    # (13) the signature value is strict base64 of exactly the key's length
    decoded = _decoded(found.value)
    if len(decoded) != key.signature_bytes:
        raise refusal(13, "value", at, found=str(len(decoded)), expected=str(key.signature_bytes))
    return decoded


def _decoded(text: bytes) -> bytes:
    try:
        return strict_base64(text)
    except ValueError:
        return b""
