"""The qualifying properties of a XAdES signature: reads them where they are the profile's, and judges them (SIG-27 to SIG-32)."""

import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from lxml import etree
from lxml.etree import _Element

from gateway.errors import GatewayError
from gateway.xml.canonical import canonical, digest, value_prefixes
from gateway.xml.namespaces import DS, EXC_C14N, XADES132

from . import certificates, der, revocation
from .certificates import Certificate, strict_base64
from .keys import verify_der
from .policy import GATEWAY, XMLENC
from .refusal import refusal
from .revocation import signed_by

ReadStamp = Callable[[bytes, bytes], datetime]  # a token and what it must cover -> the time it states; raises NotProven
Level = Literal["xades-b-b", "xades-b-t", "xades-b-lt"]

MAX_STAMPS = 4  # of one signature; counter-stamped ones have two
MAX_VALUES = 32  # certificates, lists or responses that come along; two chains and their lists make ten
_SIGNED = ("SigningTime", "SigningCertificate", "SigningCertificateV2", "SignatureProductionPlace", "SignatureProductionPlaceV2",
           "SignerRole", "SignerRoleV2")  # fmt: skip
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)")
_CERTIFICATE_DIGESTS = {**GATEWAY.digests, f"{XMLENC}sha512": "sha512"}  # of a certificate, which is compared whole besides
_WHITE = " \t\r\n"
_DS, _XADES = f"{{{DS}}}", f"{{{XADES132}}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One certificate as SigningCertificate names it; `issuer` is its issuer and serial number in DER, or its serial number, or empty."""

    digest: str
    value: bytes
    issuer: bytes = b""
    serial: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Properties:
    """Properties that have the profile's shape; nothing in them is verified yet. `written` are the canonical bytes of SignedProperties.

    `stamps` are tokens over `stamped`; `certificates`, `crls` and `ocsps` what came along, each in DER.
    """

    element: _Element
    id: str
    written: bytes
    signed_at: datetime
    named: tuple[Named, ...]
    stamped: bytes
    stamps: tuple[bytes, ...] = ()
    certificates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()

    @property
    def level(self) -> Level:
        """Say which profile they are of."""
        if not self.stamps:
            return "xades-b-b"
        return "xades-b-lt" if self.crls or self.ocsps else "xades-b-t"


# --- reading -----------------------------------------------------------------------------------------------------------


def read(holder: _Element, signature: _Element, *, reference_id: str | None) -> Properties:
    """Read the Object of a signature; raises NotProven where it is not the profile's (SIG-28)."""
    # (28) one QualifyingProperties that targets this signature, with the properties of the profile, each once
    qualifying = _only(_children(holder, ("Id",)), "QualifyingProperties", holder)
    if not signature.get("Id") or qualifying.get("Target") != f"#{signature.get('Id')}":
        raise refusal(28, "properties-target", qualifying, found=qualifying.get("Target", "-"))
    signed, *unsigned = _children(qualifying, ("Target", "Id")) or [qualifying]
    if signed.tag != f"{_XADES}SignedProperties" or [u.tag for u in unsigned] not in ([], [f"{_XADES}UnsignedProperties"]):
        raise _wrong(qualifying)
    certificate, time = _signed(signed, reference_id)
    stamps, certificates, crls, ocsps = _unsigned(unsigned[0]) if unsigned else ((), (), (), ())
    value = signature.find(f"{_DS}SignatureValue")
    return Properties(
        element=signed, id=signed.get("Id", ""), written=canonical(signed), signed_at=_time(time), named=_named(certificate),
        stamped=b"" if value is None else canonical(value), stamps=stamps, certificates=certificates, crls=crls, ocsps=ocsps,
    )  # fmt: skip


def _signed(signed: _Element, reference_id: str | None) -> tuple[_Element, _Element]:
    """Give SigningCertificate and SigningTime out of SignedProperties."""
    parts = _children(signed, ("Id",))
    if not parts or parts[0].tag != f"{_XADES}SignedSignatureProperties" or len(parts) > 2:  # noqa: PLR2004  # of the signature, of the data
        raise _wrong(signed)
    if parts[1:]:
        _check_format(_only(parts[1:], "SignedDataObjectProperties", signed), reference_id)
    found = {_name(child): child for child in _children(parts[0], ("Id",))}
    certificates = [found[name] for name in ("SigningCertificate", "SigningCertificateV2") if name in found]
    if len(found) != len(parts[0]) or not found.keys() <= set(_SIGNED) or len(certificates) != 1 or "SigningTime" not in found:
        raise _wrong(parts[0])
    return certificates[0], found["SigningTime"]


def _check_format(of_data: _Element, reference_id: str | None) -> None:
    """Refuse a format of anything but what is signed."""
    stated = _only(_children(of_data, ("Id",)), "DataObjectFormat", of_data)
    if not reference_id or stated.get("ObjectReference") != f"#{reference_id}":
        raise refusal(28, "properties-target", stated, found=stated.get("ObjectReference", "-"))


def _time(element: _Element) -> datetime:
    # (30) a time with a zone
    text = "" if len(element) else (element.text or "").strip(_WHITE)
    try:
        return datetime.fromisoformat(text if _TIME.fullmatch(text) else "")
    except ValueError as error:
        raise refusal(30, "signing-time-unreadable", element, found=text[:40]) from error


def _named(holder: _Element) -> tuple[Named, ...]:
    certificates = _children(holder)
    # (29) the certificates that signing certificate names, the signer's first
    if not 1 <= len(certificates) <= MAX_VALUES or any(c.tag != f"{_XADES}Cert" for c in certificates):
        raise refusal(29, "signing-certificate-unreadable", holder)
    return tuple(map(_one_named, certificates))


def _one_named(holder: _Element) -> Named:
    parts = _children(holder, ("URI",))
    inner = _children(parts[0]) if parts else []
    tags = [c.tag for c in (*parts[:1], *inner)]
    if tags != [f"{_XADES}CertDigest", f"{_DS}DigestMethod", f"{_DS}DigestValue"] or len(parts) > 2:  # noqa: PLR2004  # digest, issuer
        raise refusal(29, "signing-certificate-unreadable", holder)
    try:
        name, value = _CERTIFICATE_DIGESTS[inner[0].get("Algorithm", "")], strict_base64((inner[1].text or "").encode())
        if not parts[1:]:
            return Named(digest=name, value=value)
        if parts[1].tag == f"{_XADES}IssuerSerialV2":
            return Named(digest=name, value=value, issuer=strict_base64((parts[1].text or "").encode()))
        return Named(digest=name, value=value, serial=int(parts[1].findtext(f"{_DS}X509SerialNumber", "")))
    except (ValueError, KeyError) as error:
        raise refusal(29, "signing-certificate-unreadable", holder) from error


def _unsigned(holder: _Element) -> tuple[tuple[bytes, ...], ...]:
    """Give time-stamps, certificates, revocation lists and OCSP responses out of UnsignedProperties."""
    inner = _only(_children(holder, ("Id",)), "UnsignedSignatureProperties", holder)
    kinds = {"SignatureTimeStamp": _stamp, "CertificateValues": _certificates, "RevocationValues": _revocation}
    found: dict[str, list[bytes]] = {"TimeStamp": [], "X509Certificate": [], "CRLValue": [], "OCSPValue": []}
    seen: list[str] = []
    for child in _children(inner, ("Id",)):
        name = _name(child)
        if name not in kinds or (name in seen and name != "SignatureTimeStamp"):
            raise _wrong(inner)
        seen.append(name)
        for value in kinds[name](child):
            found[_name(value).removeprefix("Encapsulated")].append(_der(value))
    if len(found["TimeStamp"]) > MAX_STAMPS or sum(map(len, found.values())) > MAX_VALUES or ("SignatureTimeStamp" not in seen):
        raise _wrong(inner)
    return tuple(tuple(values) for values in found.values())


def _stamp(holder: _Element) -> Sequence[_Element]:
    # (31) a stamp is one token over SignatureValue in exclusive canonical form
    *method, token = _children(holder, ("Id",)) or [holder]
    if token.tag != f"{_XADES}EncapsulatedTimeStamp" or [m.tag for m in method] != [f"{_DS}CanonicalizationMethod"]:
        raise _wrong(holder, 31)
    if method[0].get("Algorithm") != EXC_C14N or len(method[0]):
        raise refusal(5, "canonicalization", method[0], found=method[0].get("Algorithm", "-"), expected=EXC_C14N)
    return (token,)


def _certificates(holder: _Element) -> Sequence[_Element]:
    return _all(_children(holder, ("Id",)), "EncapsulatedX509Certificate", holder)


def _revocation(holder: _Element) -> Sequence[_Element]:
    lists = {"CRLValues": "EncapsulatedCRLValue", "OCSPValues": "EncapsulatedOCSPValue"}
    children = _children(holder, ("Id",))
    if len({c.tag for c in children}) != len(children) or not all(_name(c) in lists for c in children):
        raise _wrong(holder)
    return [value for c in children for value in _all(_children(c), lists[_name(c)], c)]


def _der(element: _Element) -> bytes:
    # (32) what came along can be read
    text = "" if len(element) else (element.text or "")
    try:
        return der.read(strict_base64(text.encode())).raw
    except ValueError as error:
        raise refusal(32, "value-unreadable", element, kind=_name(element)) from error


def _children(parent: _Element, attributes: Sequence[str] = ()) -> list[_Element]:
    """Give the children of an element that holds nothing but elements and white space, and no attribute but those named."""
    children = list(parent)
    stray = (parent.text or "") + "".join([c.tail or "" for c in children])
    if stray.strip(_WHITE) or not all(isinstance(c.tag, str) for c in children) or not set(parent.attrib) <= set(attributes):
        raise _wrong(parent)
    return children


def _only(children: Sequence[_Element], name: str, parent: _Element) -> _Element:
    if [c.tag for c in children] != [f"{_XADES}{name}"]:
        raise _wrong(parent)
    return children[0]


def _all(children: Sequence[_Element], name: str, parent: _Element) -> Sequence[_Element]:
    if any(c.tag != f"{_XADES}{name}" for c in children):
        raise _wrong(parent)
    return children


def _name(element: _Element) -> str:
    """Give the local name of a XAdES element, empty for any other."""
    tag = str(element.tag)
    return tag.removeprefix(_XADES) if tag.startswith(_XADES) else ""


def _wrong(at: _Element, check: int = 28) -> GatewayError:
    return refusal(check, "properties", at, found=etree.QName(at).localname)


# --- judging -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What properties state and every check confirms: the profile, when the signer says to have signed, and when an authority saw it."""

    level: Level
    signed_at: datetime
    stamped_at: datetime | None = None


def check_digest(found: Properties, name: str, value: bytes) -> None:
    """Refuse properties that are not those which were signed."""
    # (14) a prefix that stands only in a value is bound by no signature
    if loose := value_prefixes(found.element, written=found.written):
        raise refusal(14, "value-prefixes", found.element, found=", ".join(loose))
    # (27) the digest is that of the canonical bytes of SignedProperties
    if not hmac.compare_digest(digest(found.written, name), value):
        raise refusal(27, "properties-digest", found.element)


def check_certificate(found: Properties, leaf: Certificate) -> None:
    """Refuse properties that name another certificate as the signer's."""
    # (29) the first certificate named is the signer's, by digest and, where stated, by issuer and serial number
    named = found.named[0]
    same = hmac.compare_digest(hashlib.new(named.digest, leaf.der).digest(), named.value)
    serial = leaf.x509.serial_number
    if not same or named.serial not in (None, serial) or named.issuer not in (b"", issuer_serial(leaf)):
        raise refusal(29, "signing-certificate", found.element, subject=leaf.subject)


def check_time(found: Properties, leaf: Certificate, *, at: datetime, skew: timedelta) -> None:
    """Refuse a signing time that cannot be."""
    # (30) the signing time is not in the future, and not before the certificate was
    if found.signed_at - at > skew or leaf.not_before - found.signed_at > skew:  # differences do not overflow
        raise refusal(30, "signing-time", found.element, found=found.signed_at.isoformat(), at=at.isoformat())


def check_stamps(found: Properties, *, at: datetime, skew: timedelta, read_stamp: ReadStamp | None) -> datetime | None:
    """Judge the time-stamps, all of them, and give the earliest time; None where there is none."""
    # (31) each stamp is a trusted authority's, over this signature's value, and not before the signing time
    if found.stamps and read_stamp is None:
        raise refusal(31, "stamp-unjudged", found.element)
    times = [read_stamp(token, found.stamped) for token in found.stamps if read_stamp]
    if any(found.signed_at - time > skew or time - at > skew for time in times):
        raise refusal(31, "stamp-time", found.element, found=min(times).isoformat(), signed=found.signed_at.isoformat())
    return min(times, default=None)


def check_values(found: Properties, leaf: Certificate, *, at: datetime) -> None:
    """Refuse certificates and revocation values that are not whole, and a list among them that revoked the signer's by a moment."""
    # (32) every certificate is issued by one that came along, itself perhaps, and every list or response is by one or for one of them
    try:
        known = [leaf, *map(certificates.read, found.certificates)]
        lists = [x509.load_der_x509_crl(value) for value in found.crls]
        answers = [ocsp.load_der_ocsp_response(value) for value in found.ocsps]
        whole = (
            all(any(_issued(certificate, issuer) for issuer in known) for certificate in known[1:])
            and all(any(signed_by(crl, issuer) for issuer in known) for crl in lists)
            and all(_answered(answer, known) for answer in answers)
        )
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise refusal(32, "value-unreadable", found.element, kind="-") from error
    if not whole:
        raise refusal(32, "value-foreign", found.element)
    for issuer in known[1:]:
        revocation.check((leaf, issuer), lists, at=at, place=found.element)  # (24)


def _issued(certificate: Certificate, issuer: Certificate) -> bool:
    try:
        certificate.x509.verify_directly_issued_by(issuer.x509)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _answered(answer: ocsp.OCSPResponse, known: Sequence[Certificate]) -> bool:
    """Say whether an OCSP response is right under a known certificate, or under one that it brings and a known one issued."""
    if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL or answer.signature_hash_algorithm is None:
        return False
    brought = [certificates.read(c.public_bytes(Encoding.DER)) for c in answer.certificates]
    responders = [*known, *(c for c in brought if any(_issued(c, issuer) for issuer in known))]
    name, value, data = answer.signature_hash_algorithm.name, answer.signature, answer.tbs_response_bytes
    return any(verify_der(c.key, name, value, data) for c in responders)


def issuer_serial(leaf: Certificate) -> bytes:
    """Write what IssuerSerialV2 holds of a certificate: IssuerSerial of RFC 5035 in DER."""
    name = der.write(der.SEQUENCE, der.write(0xA4, leaf.x509.issuer.public_bytes()))
    return der.write(der.SEQUENCE, name, der.write_integer(leaf.x509.serial_number))
