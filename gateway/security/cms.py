"""Detached CMS signatures (RFC 5652): signs a document beside it, and verifies check by numbered check (SIG-50 to SIG-55).

What a time-stamp token is made of is read here too. Only DER is read; what could be written in two ways is refused.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from . import certificates, der
from .certificates import Certificate
from .keys import SigningKey, verify_value
from .policy import GATEWAY, MAX_CERTIFICATES, Method, Policy
from .proofs import SystemProof
from .refusal import refusal
from .shape import check_key
from .verifier import CLOCK_SKEW, check_validity

MAX_BYTES = 65_536  # of a signature beside its document; five certificates of 16 KB are 80, real ones are 2 to 8 KB in all
COVERS = "/"  # the XPath of what such a signature covers: every byte
DATA, SIGNED_DATA = "1.2.840.113549.1.7.1", "1.2.840.113549.1.7.2"
_CONTENT_TYPE, _MESSAGE_DIGEST, _SIGNING_TIME = (der.write_oid(f"1.2.840.113549.1.9.{n}") for n in (3, 4, 5))
_SIGNING_CERTIFICATE_V2 = der.write_oid("1.2.840.113549.1.9.16.2.47")
_SIGNING_CERTIFICATE = der.write_oid("1.2.840.113549.1.9.16.2.12")
_STRONG = {der.write_oid(f"2.16.840.1.101.3.4.2.{n}"): name for n, name in ((1, "sha256"), (2, "sha384"), (3, "sha512"))}
_DIGESTS = _STRONG | {der.write_oid("1.3.14.3.2.26"): "sha1"}
_RSA = der.write_oid("1.2.840.113549.1.1.1")
Family = Literal["rsa", "ecdsa", "dsa"]
_METHODS: dict[bytes, tuple[Family, str]] = {  # the algorithm's identifier -> kind of key, hash
    **{der.write_oid(f"1.2.840.113549.1.1.{n}"): ("rsa", name) for n, name in ((11, "sha256"), (12, "sha384"), (13, "sha512"))},
    **{der.write_oid(f"1.2.840.10045.4.3.{n}"): ("ecdsa", name) for n, name in ((2, "sha256"), (3, "sha384"), (4, "sha512"))},
    # of parties to whom it is conceded until a date
    der.write_oid("1.2.840.113549.1.1.5"): ("rsa", "sha1"),
    der.write_oid("2.16.840.1.101.3.4.3.2"): ("dsa", "sha256"),
}
_NULL = b"\x05\x00"
_TIMES = {  # a time's tag -> how it is written; of UTCTime, years from 50 are of the last century (RFC 5280, 4.1.2.5.1)
    der.UTC_TIME: re.compile(rb"\d{12}Z"),
    der.GENERALIZED_TIME: re.compile(rb"\d{14}Z"),
}
_UTC_TIME_ENDS = 2050
_ARMOUR = (b"-----BEGIN CMS-----", b"-----BEGIN PKCS7-----")
_VERSIONS = (der.write_integer(1), der.write_integer(3))  # the signer named by issuer and number, or by key identifier or of a stamp
_CONTEXT_0, _KEY_IDENTIFIER = 0xA0, 0x80


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A SignedData of one signer as written; nothing in it is verified yet. `attributes` are the signed ones, as a SET in DER."""

    content: bytes | None
    certificates: tuple[Certificate, ...]
    signer: der.Value
    digest: str
    attributes: bytes
    stated: dict[bytes, der.Value]
    method: tuple[Family, str]
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof(SystemProof):
    """A CMS signature for which every check passed: whose certificate signed, and when it says that it did."""

    profile: ClassVar[str] = "cms-detached"
    covers: ClassVar[str] = COVERS

    others: tuple[Certificate, ...]
    signed_at: datetime | None


# --- signing -----------------------------------------------------------------------------------------------------------


def sign(document: bytes, key: SigningKey, *, at: datetime) -> bytes:
    """Sign a document; gives the signature that goes beside it, in DER, with the key's certificates."""
    leaf = key.certificates[0]
    hash_name = key.method.hash
    digest_id = der.write(der.SEQUENCE, next(oid for oid, name in _STRONG.items() if name == hash_name))
    hashed = der.write(der.SEQUENCE, der.write(der.OCTET_STRING, hashlib.sha256(leaf.der).digest()))
    attributes = sorted((
        _attribute(_CONTENT_TYPE, der.write_oid(DATA)),
        _attribute(_MESSAGE_DIGEST, der.write(der.OCTET_STRING, hashlib.new(hash_name, document).digest())),
        _attribute(_SIGNING_TIME, _write_time(at.astimezone(UTC))),
        _attribute(_SIGNING_CERTIFICATE_V2, der.write(der.SEQUENCE, der.write(der.SEQUENCE, hashed))),
    ))  # fmt: skip
    method = next(oid for oid, found in _METHODS.items() if found == (key.method.family, hash_name))
    signer = der.write(
        der.SEQUENCE,
        der.write_integer(1),
        der.write(der.SEQUENCE, leaf.x509.issuer.public_bytes(), der.write_integer(leaf.x509.serial_number)),
        digest_id,
        der.write(_CONTEXT_0, *attributes),
        der.write(der.SEQUENCE, method, _NULL if key.method.family == "rsa" else b""),
        der.write(der.OCTET_STRING, _value(key, der.write(der.SET, *attributes))),
    )
    signed = der.write(
        der.SEQUENCE,
        der.write_integer(1),
        der.write(der.SET, digest_id),
        der.write(der.SEQUENCE, der.write_oid(DATA)),
        der.write(_CONTEXT_0, *sorted(c.der for c in key.certificates)),
        der.write(der.SET, signer),
    )
    return der.write(der.SEQUENCE, der.write_oid(SIGNED_DATA), der.write(_CONTEXT_0, signed))


def _attribute(kind: bytes, value: bytes) -> bytes:
    return der.write(der.SEQUENCE, kind, der.write(der.SET, value))


def _write_time(at: datetime) -> bytes:
    if at.year < _UTC_TIME_ENDS:
        return der.write(der.UTC_TIME, at.strftime("%y%m%d%H%M%SZ").encode())
    return der.write(der.GENERALIZED_TIME, at.strftime("%Y%m%d%H%M%SZ").encode())


def _value(key: SigningKey, data: bytes) -> bytes:
    """Sign as ASN.1 writes it."""
    value = key.sign(data)
    if key.method.family == "rsa":
        return value
    half = len(value) // 2
    return encode_dss_signature(int.from_bytes(value[:half]), int.from_bytes(value[half:]))


# --- verifying ---------------------------------------------------------------------------------------------------------


def verify(
    document: bytes,
    signature: bytes,
    *,
    at: datetime,
    registered: Callable[[Certificate], bool],
    policy: Policy = GATEWAY,
    skew: timedelta = CLOCK_SKEW,
) -> Proof:
    """Verify a detached signature of a document; raises NotProven. `registered` says whose certificate may sign."""
    signed = read_detached(signature, policy)
    leaf, others = signer_of(signed, signed.certificates)
    check_method(signed, leaf, policy)
    check_validity(leaf, at)
    # (18) the certificate is, byte for byte, one that is registered
    if not registered(leaf):
        raise refusal(18, "not-registered", subject=leaf.subject, sha256=leaf.sha256)
    check_signature(signed, leaf, document)
    return Proof(certificate=leaf, others=others, signed_at=check_time(signed, leaf, at=at, skew=skew))


def read_detached(signature: bytes, policy: Policy = GATEWAY) -> Signed:
    """Read a signature that stands beside its document; raises NotProven."""
    signed = read(signature, DATA, policy)
    # (50) the signature is beside the document, not around it
    if signed.content is not None:
        raise refusal(50, "cms-form", path="/")
    return signed


def read(data: bytes, content_type: str, policy: Policy = GATEWAY) -> Signed:
    """Read a SignedData whose content is of a type; raises NotProven where it is anything else, or has not exactly one signer."""
    # (50) DER of a SignedData with one signer, at most five certificates and no unsigned attributes that matter
    if len(data) > MAX_BYTES:
        raise refusal(50, "cms-form")
    try:
        return _read(data, content_type, policy)
    except (ValueError, IndexError) as error:
        raise refusal(50, "cms-form") from error


def _read(data: bytes, content_type: str, policy: Policy) -> Signed:
    kind, wrapped = der.read(data).children()
    _want(kind.raw == der.write_oid(SIGNED_DATA))
    (signed,) = wrapped.children(_CONTEXT_0)
    version, digests, content, *held, signers = signed.children()
    (signer,) = signers.children(der.SET)
    of_signer, identity, digest, attributes, method, value, *unsigned = signer.children()
    by_key_identifier = identity.tag == _KEY_IDENTIFIER
    _want(of_signer.raw == _VERSIONS[by_key_identifier] and version.raw == _VERSIONS[by_key_identifier or content_type != DATA])
    _want(len(held) <= 1 and value.tag == der.OCTET_STRING and not unsigned and [d.raw for d in digests.children(der.SET)] == [digest.raw])
    found = tuple(certificates.read(c.raw) for h in held for c in h.children(_CONTEXT_0))
    _want(len(found) <= MAX_CERTIFICATES)
    name = _digest_name(digest, {m.hash for m in policy.methods.values()})
    return Signed(
        content=_content(content, content_type), certificates=found, signer=identity, digest=name, stated=_stated(attributes),
        attributes=der.write(der.SET, attributes.content), method=_method(method, name, policy), value=value.content,
    )  # fmt: skip


def _want(holds: bool) -> None:  # noqa: FBT001  # a condition, not a switch
    if not holds:
        raise ValueError("not the form")


def _content(holder: der.Value, content_type: str) -> bytes | None:
    kind, *content = holder.children()
    _want(kind.raw == der.write_oid(content_type) and len(content) <= 1)
    if not content:
        return None
    (octets,) = content[0].children(_CONTEXT_0)
    _want(octets.tag == der.OCTET_STRING)
    return octets.content


def _digest_name(holder: der.Value, allowed: Collection[str]) -> str:
    algorithm, *parameters = holder.children()
    # (51) an allowed digest and an allowed signature algorithm, which agree
    if _DIGESTS.get(algorithm.raw) not in allowed or [p.raw for p in parameters] not in ([], [_NULL]):
        raise refusal(51, "cms-algorithm", found=algorithm.raw.hex())
    return _DIGESTS[algorithm.raw]


def _method(holder: der.Value, digest: str, policy: Policy) -> tuple[Family, str]:
    algorithm, *parameters = holder.children()
    found: tuple[Family, str] | None = ("rsa", digest) if algorithm.raw == _RSA else _METHODS.get(algorithm.raw)
    families = {m.family for m in policy.methods.values()}
    if found is None or found[0] not in families or found[1] != digest or [p.raw for p in parameters] not in ([], [_NULL]):
        raise refusal(51, "cms-algorithm", found=algorithm.raw.hex())
    return found


def _stated(attributes: der.Value) -> dict[bytes, der.Value]:
    """Give the one value of each signed attribute, in the order that DER demands."""
    listed = attributes.children(_CONTEXT_0)
    _want([a.raw for a in listed] == sorted(a.raw for a in listed))
    pairs = [a.children() for a in listed]
    found = {kind.raw: values.children(der.SET) for kind, values in pairs}
    _want(len(found) == len(listed) and all(len(values) == 1 for values in found.values()))
    return {kind: values[0] for kind, values in found.items()}


def signer_of(signed: Signed, known: tuple[Certificate, ...]) -> tuple[Certificate, tuple[Certificate, ...]]:
    """Find the signer's certificate among those known; gives it and the others. Raises NotProven."""
    # (52) the signer is named and is exactly one certificate that came along; a named signing certificate is that one
    found = [c for c in known if _names(signed.signer, c)]
    if len(found) != 1 or not _names_certificate(signed, found[0]):
        raise refusal(52, "cms-signer", found=str(len(found)))
    return found[0], tuple(c for c in known if c is not found[0])


def _names(identity: der.Value, certificate: Certificate) -> bool:
    if identity.tag == _KEY_IDENTIFIER:
        try:
            held = certificate.x509.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        except (x509.ExtensionNotFound, *certificates.BAD_EXTENSIONS):
            return False
        return held == identity.content
    issuer, serial = certificate.x509.issuer.public_bytes(), der.write_integer(certificate.x509.serial_number)
    return identity.raw == der.write(der.SEQUENCE, issuer, serial)


def _names_certificate(signed: Signed, certificate: Certificate) -> bool:
    """Say whether the signing-certificate attributes, where there are any, name a certificate first."""
    expected = []
    try:
        for kind, default in ((_SIGNING_CERTIFICATE_V2, "sha256"), (_SIGNING_CERTIFICATE, "sha1")):
            if kind in signed.stated:
                first, *issuer = signed.stated[kind].children()[0].children()[0].children()
                name = default
                if first.tag == der.SEQUENCE and issuer:
                    name, first = _digest_name(first, _STRONG.values()), issuer[0]
                expected.append(first.content == hashlib.new(name, certificate.der, usedforsecurity=False).digest())
    except (ValueError, IndexError):
        return False
    return all(expected)


def check_method(signed: Signed, leaf: Certificate, policy: Policy) -> None:
    """Refuse an algorithm that the policy does not take, and a key that does not fit it (SIG-12, SIG-51)."""
    method = next((m for m in policy.methods.values() if (m.family, m.hash) == signed.method), None)
    # (51) the policy takes the algorithm
    if method is None:
        raise refusal(51, "cms-algorithm", found="-".join(signed.method))
    check_key(leaf.key, method, None, policy)  # (12)


def check_signature(signed: Signed, leaf: Certificate, content: bytes, content_type: str = DATA) -> None:
    """Refuse signed attributes that are not of this content, and a value that is not right; raises NotProven."""
    check_digest(signed, content, content_type)
    check_value(signed, leaf)


def check_digest(signed: Signed, content: bytes, content_type: str = DATA) -> None:
    """Refuse signed attributes that are not of this content."""
    kind, digest = signed.stated.get(_CONTENT_TYPE), signed.stated.get(_MESSAGE_DIGEST)
    # (53) the signed attributes name the content's type, and its digest once
    if kind is None or kind.raw != der.write_oid(content_type) or digest is None or digest.tag != der.OCTET_STRING:
        raise refusal(53, "cms-attributes")
    # (54) the digest is that of the content
    if not hmac.compare_digest(hashlib.new(signed.digest, content, usedforsecurity=False).digest(), digest.content):
        raise refusal(54, "cms-digest")


def check_value(signed: Signed, leaf: Certificate) -> None:
    """Refuse a signature value that is not right."""
    family, name = signed.method
    method = Method(uri="", family=family, key=family, hash=name)
    # (55) the value is right for the signed attributes under the certificate's key
    if not verify_value(leaf.key, method, _side_by_side(signed.value, leaf), signed.attributes):
        raise refusal(55, "cms-value", subject=leaf.subject)


def _side_by_side(value: bytes, leaf: Certificate) -> bytes:
    """Write a value as XML-DSig does; nothing where it is none of this key's."""
    if leaf.key.kind == "rsa":
        return value
    half = leaf.key.signature_bytes // 2
    try:
        return b"".join(number.to_bytes(half) for number in decode_dss_signature(value))
    except (ValueError, OverflowError):
        return b""


def check_time(signed: Signed, leaf: Certificate, *, at: datetime, skew: timedelta) -> datetime | None:
    """Refuse a signing time that cannot be; gives what the signer claims, None where it states none."""
    found = signed.stated.get(_SIGNING_TIME)
    if found is None:
        return None
    try:
        stated = _time(found)
    except (ValueError, KeyError) as error:
        raise refusal(30, "signing-time-unreadable", found=found.content[:20].hex()) from error
    # (30) the signing time is not in the future, and not before the certificate was
    if stated - at > skew or leaf.not_before - stated > skew:
        raise refusal(30, "signing-time", found=stated.isoformat(), at=at.isoformat())
    return stated


def _time(value: der.Value) -> datetime:
    if not _TIMES[value.tag].fullmatch(value.content):
        raise ValueError("not a time of CMS")
    text = value.content.decode("ascii")
    if value.tag == der.UTC_TIME:
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def from_file(data: bytes) -> bytes:
    """Read a signature out of a file, DER or PEM; what cannot be read is given as it is, and refused when it is verified."""
    lines = data.strip().splitlines()
    if not lines or lines[0] not in _ARMOUR or lines[-1] != lines[0].replace(b"BEGIN", b"END"):
        return data
    try:
        return certificates.strict_base64(b"".join(lines[1:-1]))
    except ValueError:
        return data
