"""The values of a signature: accepts those of the profile and refuses the rest (SIG-6, SIG-8 and SIG-10 to SIG-13)."""

from dataclasses import dataclass

from lxml.etree import _Element

from gateway.xml.namespaces import DS

from . import certificates
from .certificates import Certificate, Key, strict_base64
from .policy import GATEWAY, MAX_EXPONENT_BITS, MAX_RSA_BITS, Method, Policy
from .refusal import refusal
from .spelling import Texts

SIGNATURE = f"{{{DS}}}Signature"
_DIGEST_BYTES = {"sha256": 32, "sha384": 48}


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


def judge(found: Texts, at: _Element, *, uri: str) -> Shape:
    """Judge the values of a signature that must refer to `uri`; raises NotProven with the number of the check that fails."""
    # (8) the reference names exactly what this place must cover
    if found.uri != uri:
        raise refusal(8, "uri", at, found=found.uri, expected=uri)
    method = _method(found, at)
    digest, digest_value = _digest(found, at)
    chain = tuple([_certificate(text, at) for text in found.certificates])
    check_key(chain[0].key, method, at)
    return Shape(
        signed_info=found.signed_info, method=method, prefixes=found.prefixes, digest=digest, digest_value=digest_value,
        value=_value(found, chain[0].key, at), certificates=chain,
    )  # fmt: skip


def check_key(key: Key, method: Method, at: _Element | None, policy: Policy = GATEWAY) -> None:
    """Refuse a key that the policy does not allow or that does not fit the signature algorithm (SIG-12)."""
    # (12) RSA of 2048 to 8192 bits with an odd exponent of three or more, or the curve that goes with the algorithm
    if key.kind != method.key:
        raise refusal(12, "key-kind-mismatch", at, key=key.name, method=method.uri)
    if method.curve and key.curve != method.curve:
        raise refusal(12, "key-curve", at, key=key.name, expected=method.curve)
    if key.kind == "rsa" and not rsa_allowed(key, policy):
        raise refusal(12, "key-weak", at, key=key.name, minimum=str(policy.min_rsa_bits))


def rsa_allowed(key: Key, policy: Policy) -> bool:
    """Say whether an RSA key has an allowed size and an odd exponent of three or more."""
    odd = key.exponent % 2 == 1 and key.exponent >= 3  # noqa: PLR2004 - one would sign nothing
    return odd and policy.min_rsa_bits <= key.bits <= MAX_RSA_BITS and key.exponent.bit_length() <= MAX_EXPONENT_BITS


# --- the values --------------------------------------------------------------------------------------------------


def _method(found: Texts, at: _Element) -> Method:
    # (6) an allowed signature algorithm
    if found.method not in GATEWAY.methods:
        raise refusal(6, "method", at, found=found.method, expected=", ".join(GATEWAY.methods))
    return GATEWAY.methods[found.method]


def _digest(found: Texts, at: _Element) -> tuple[str, bytes]:
    # (10) an allowed digest, of the right length
    if found.digest not in GATEWAY.digests:
        raise refusal(10, "digest-method", at, found=found.digest, expected=", ".join(GATEWAY.digests))
    name = GATEWAY.digests[found.digest]
    decoded = _decoded(found.digest_value)
    if len(decoded) != _DIGEST_BYTES[name]:
        raise refusal(10, "digest-value", at)
    return name, decoded


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
