"""Revocation lists: whether a certificate on a path was revoked when it was used."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from lxml.etree import _Element

from .certificates import Certificate
from .refusal import refusal

_PEM = b"-----BEGIN X509 CRL-----"


def read_crls(data: bytes) -> tuple[x509.CertificateRevocationList, ...]:
    """Read revocation lists, PEM or DER; raises ValueError."""
    if _PEM not in data:
        return (x509.load_der_x509_crl(data),)
    return tuple(x509.load_pem_x509_crl(_PEM + part) for part in data.split(_PEM)[1:])


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
