"""Certificates: parsed once, with what the gateway asks of them at hand."""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

MAX_CERTIFICATE_BYTES = 16_384  # real ones have 1 to 3 KB
CACHED_CERTIFICATES = 1024  # parties and declarants active in an hour; about 10 KB each

_WHITE = str.maketrans("", "", " \t\r\n")
_TAX_CODE = re.compile(r"(?:\bMST\s*[:=-]?\s*|\bVATVN-)(\d{10}|\d{12})(?:-?(\d{3}))?(?!\d)", re.IGNORECASE)
_TAX_PLACES = (NameOID.USER_ID, NameOID.SERIAL_NUMBER, NameOID.ORGANIZATION_IDENTIFIER, NameOID.ORGANIZATIONAL_UNIT_NAME)

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Certificate:
    """A parsed certificate. `subject` is in RFC 4514 form, `tax_code` the Vietnamese one where the subject names it."""

    der: bytes
    x509: x509.Certificate
    public_key: PublicKey | None
    subject: str
    tax_code: str | None
    sha256: str
    not_before: datetime
    not_after: datetime

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and self.der == other.der

    def __hash__(self) -> int:
        return hash(self.der)

    def __repr__(self) -> str:
        return f"Certificate(subject={self.subject!r}, sha256={self.sha256})"

    def valid_at(self, at: datetime) -> bool:
        """Say whether a moment is within the certificate's validity."""
        return self.not_before <= at <= self.not_after


@lru_cache(maxsize=CACHED_CERTIFICATES)
def read(der: bytes) -> Certificate:
    """Parse a DER certificate; raises ValueError for whatever is not one. Trusts nothing in it."""
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise ValueError("too large")
    try:
        parsed = x509.load_der_x509_certificate(der)
        return Certificate(
            der=der, x509=parsed, public_key=_public_key(parsed), subject=parsed.subject.rfc4514_string(),
            tax_code=tax_code(parsed.subject), sha256=hashlib.sha256(der).hexdigest(),
            not_before=parsed.not_valid_before_utc, not_after=parsed.not_valid_after_utc,
        )  # fmt: skip
    except (ValueError, TypeError, UnsupportedAlgorithm, UserWarning) as error:  # the warning: serial numbers of zero or less
        raise ValueError("not a certificate") from error


def read_pem(pem: bytes) -> tuple[Certificate, ...]:
    """Parse every certificate of a PEM file; raises ValueError where there is none or one is damaged."""
    return tuple(read(c.public_bytes(Encoding.DER)) for c in x509.load_pem_x509_certificates(pem))


def tax_code(name: x509.Name) -> str | None:
    """Find the tax code in a subject: `MST:0123456789` or `VATVN-0123456789` in UID, serialNumber, organizationIdentifier or OU."""
    values = [str(a.value) for place in _TAX_PLACES for a in name.get_attributes_for_oid(place)]
    found = next((m for m in map(_TAX_CODE.search, values) if m), None)
    return found and "-".join(filter(None, found.groups()))


def strict_base64(text: str | None) -> bytes:
    """Decode base64 that is exactly right but for white space between its characters; raises ValueError."""
    bare = (text or "").translate(_WHITE)
    try:
        decoded = base64.b64decode(bare, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if not decoded or base64.b64encode(decoded).decode("ascii") != bare:  # also stray bits and missing padding
        raise ValueError("not canonical base64")
    return decoded


def subjects(certificates: Sequence[Certificate]) -> str:
    """Name certificates in one line, for a message."""
    return "; ".join(c.subject for c in certificates) or "-"


def _public_key(certificate: x509.Certificate) -> PublicKey | None:
    """Take the key where it is of a kind the gateway can use."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) else None
