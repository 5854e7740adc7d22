"""Revocation lists and OCSP answers: which are believed, and whether a certificate was revoked when it was used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from lxml.etree import _Element

from . import certificates
from .certificates import Certificate
from .keys import verify_der
from .refusal import refusal

AHEAD = timedelta(minutes=5)  # what clocks of authorities may differ by
UNSTATED = timedelta(days=1)  # how long an answer holds that does not say

_PEM = b"-----BEGIN X509 CRL-----"
_HASHES = frozenset({"sha256", "sha384", "sha512"})
_BAD_INPUT = (*certificates.BAD_EXTENSIONS, TypeError, KeyError, InvalidSignature, UnsupportedAlgorithm, x509.InvalidVersion)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an authority said, believed until a time: who is revoked since when, by serial number; of an OCSP answer at most one."""

    revoked: Mapping[int, datetime]
    until: datetime
    fetched: datetime


def read_crls(data: bytes) -> tuple[x509.CertificateRevocationList, ...]:
    """Read revocation lists, PEM or DER; raises ValueError."""
    if _PEM not in data:
        return (x509.load_der_x509_crl(data),)
    return tuple(x509.load_pem_x509_crl(_PEM + part) for part in data.split(_PEM)[1:])


def list_in_der(data: bytes) -> bytes:
    """Write one revocation list, PEM or DER, as DER; raises ValueError."""
    (crl,) = read_crls(data)
    return crl.public_bytes(serialization.Encoding.DER)


def check(
    path: Sequence[Certificate], crls: Sequence[x509.CertificateRevocationList], *, at: datetime, place: _Element | None = None
) -> int:
    """Refuse a path on which a list names a certificate as revoked by then; says how many certificates a list covers (SIG-24)."""
    covered = 0
    for certificate, issuer in pairwise(path):
        for crl in crls:
            if crl.issuer != issuer.x509.subject or not signed_by(crl, issuer):
                continue
            covered += 1
            _check_one(certificate, crl, at, place)
    return covered


def _check_one(certificate: Certificate, crl: x509.CertificateRevocationList, at: datetime, place: _Element | None) -> None:
    # (24) no list that holds at the judged time names the certificate
    entry = crl.get_revoked_certificate_by_serial_number(certificate.x509.serial_number)
    if entry is not None and entry.revocation_date_utc <= at:
        raise refusal(24, "revoked", place, subject=certificate.subject, since=entry.revocation_date_utc.isoformat())
    if crl.next_update_utc is not None and crl.next_update_utc < at:
        raise refusal(24, "crl-outdated", place, subject=certificate.subject, until=crl.next_update_utc.isoformat(), at=at.isoformat())


def signed_by(crl: x509.CertificateRevocationList, issuer: Certificate) -> bool:
    """Say whether a list is signed under a certificate's key."""
    try:
        return issuer.key.public is not None and crl.is_signature_valid(issuer.key.public)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return False


# --- what is fetched -----------------------------------------------------------------------------------------------------


def read_list(data: bytes, issuer: Certificate, *, now: datetime) -> Answer:
    """Read a revocation list of an issuer; raises ValueError, whose word says why it is not believed (SIG-62)."""
    crl = _believed(data, issuer)
    try:
        entries = {entry.serial_number: entry.revocation_date_utc for entry in crl}
    except _BAD_INPUT as error:
        raise ValueError("unreadable") from error
    return _answer(entries, crl.last_update_utc, crl.next_update_utc, now=now)


def _believed(data: bytes, issuer: Certificate) -> x509.CertificateRevocationList:
    """Read a list that is its issuer's, whenever it was made; raises ValueError."""
    try:
        (crl,) = read_crls(data)
        hashed, plain, whole = crl.signature_hash_algorithm, _is_plain(crl), _may_list(issuer)
    except _BAD_INPUT as error:
        raise ValueError("unreadable") from error
    # (62) a complete list of this very issuer, signed by it with SHA-256 or better, begun and not over
    if crl.issuer != issuer.x509.subject or not whole or hashed is None or hashed.name not in _HASHES or not signed_by(crl, issuer):
        raise ValueError("not-the-issuers")
    if not plain:
        raise ValueError("partial")
    return crl


def ask(certificate: Certificate, issuer: Certificate) -> bytes:
    """Write an OCSP request, without a nonce, so that responders may answer with what they made before (RFC 5019)."""
    sha1 = hashes.SHA1()  # noqa: S303  # it names the issuer, as every responder understands; nothing is trusted for it  # nosec B303
    request = ocsp.OCSPRequestBuilder().add_certificate(certificate.x509, issuer.x509, sha1).build()
    return request.public_bytes(serialization.Encoding.DER)


def read_answer(data: bytes, certificate: Certificate, issuer: Certificate, *, now: datetime) -> Answer:
    """Read an OCSP answer about a certificate; raises ValueError, whose word says why it is not believed (SIG-63)."""
    try:
        found = ocsp.load_der_ocsp_response(data)
        asked = ocsp.OCSPRequestBuilder().add_certificate(certificate.x509, issuer.x509, found.hash_algorithm).build()
        names = [(o.serial_number, o.issuer_name_hash, o.issuer_key_hash) for o in (found, asked)]
        signed, status = _answered_by(found, issuer, now), found.certificate_status
        began, until, since = found.this_update_utc, found.next_update_utc, found.revocation_time_utc
    except _BAD_INPUT as error:
        raise ValueError("unreadable") from error
    # (63) about this very certificate, signed by its issuer or by whom the issuer lets answer, begun and not over
    if names[0] != names[1]:
        raise ValueError("other-certificate")
    if not signed:
        raise ValueError("not-the-issuers")
    if status is ocsp.OCSPCertStatus.UNKNOWN:
        raise ValueError("unknown")
    return _answer({certificate.x509.serial_number: since} if since else {}, began, until, now=now)


# --- what was kept -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an authority said of one certificate, at a time and until a time: since when it is revoked, None where it is not."""

    since: datetime | None
    began: datetime
    until: datetime


def told_by_list(data: bytes, certificate: Certificate, issuer: Certificate) -> Told:
    """Read what a list says of a certificate, however old the list is; raises ValueError where it is not believed (SIG-62)."""
    crl = _believed(data, issuer)
    try:
        entry = crl.get_revoked_certificate_by_serial_number(certificate.x509.serial_number)
    except _BAD_INPUT as error:
        raise ValueError("unreadable") from error
    began = crl.last_update_utc
    return Told(since=entry.revocation_date_utc if entry else None, began=began, until=crl.next_update_utc or began + UNSTATED)


def told_by_answer(data: bytes, certificate: Certificate, issuer: Certificate) -> Told:
    """Read what an OCSP answer says of a certificate, however old it is; raises ValueError where it is not believed (SIG-63)."""
    try:
        began = ocsp.load_der_ocsp_response(data).this_update_utc
    except _BAD_INPUT as error:
        raise ValueError("unreadable") from error
    found = read_answer(data, certificate, issuer, now=began)
    return Told(since=found.revoked.get(certificate.x509.serial_number), began=began, until=found.until)


def _answer(revoked: Mapping[int, datetime], began: datetime, until: datetime | None, *, now: datetime) -> Answer:
    if began > now + AHEAD:
        raise ValueError("not-yet")
    over = until or began + UNSTATED
    if over <= now:
        raise ValueError("outdated")
    return Answer(revoked=revoked, until=over, fetched=now)


def _is_plain(crl: x509.CertificateRevocationList) -> bool:
    """Say whether a list speaks for all reasons and is no delta or another's; what is critical and unknown is not believed."""
    for extension in crl.extensions:
        value = extension.value
        if isinstance(value, x509.DeltaCRLIndicator):
            return False
        if isinstance(value, x509.IssuingDistributionPoint):
            if value.indirect_crl or value.only_some_reasons or value.only_contains_attribute_certs or value.only_contains_ca_certs:
                return False
        elif extension.critical:
            return False
    return True


def _may_list(issuer: Certificate) -> bool:
    try:
        return issuer.x509.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True


def _answered_by(found: ocsp.OCSPResponse, issuer: Certificate, now: datetime) -> bool:
    """Say whether an answer is signed by the issuer, or by a certificate that it issued for answering and that is valid."""
    hashed = found.signature_hash_algorithm
    if hashed is None or hashed.name not in _HASHES:
        return False
    delegates = (certificates.read(c.public_bytes(serialization.Encoding.DER)) for c in found.certificates[:4])
    signers = [issuer, *(d for d in delegates if d.valid_at(now) and _may_answer(d, issuer))]
    return any(verify_der(signer.key, hashed.name, found.signature, found.tbs_response_bytes) for signer in signers)


def _may_answer(delegate: Certificate, issuer: Certificate) -> bool:
    try:
        delegate.x509.verify_directly_issued_by(issuer.x509)
        return ExtendedKeyUsageOID.OCSP_SIGNING in delegate.x509.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (*_BAD_INPUT, x509.ExtensionNotFound):
        return False
