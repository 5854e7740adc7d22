"""Certificates: parsed once, with what the gateway asks of them at hand."""

import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

MAX_CERTIFICATE_BYTES = 16_384  # real ones have 1 to 3 KB
MAX_SERIAL_BITS = 160  # RFC 5280, 4.1.2.2: positive, at most 20 bytes; Python writes no number of thousands of digits
CACHED_CERTIFICATES = 1024  # parties and declarants active in an hour; about 10 KB each

_WHITE = b" \t\r\n"
_TAX_CODE = re.compile(r"(?:\bMST\s*[:=-]?\s*|\bVATVN-)(\d{10}|\d{12})(?:-?(\d{3}))?(?!\d)", re.IGNORECASE)
_TAX_PLACES = (NameOID.USER_ID, NameOID.SERIAL_NUMBER, NameOID.ORGANIZATION_IDENTIFIER, NameOID.ORGANIZATIONAL_UNIT_NAME)

_UNREADABLE = (
    ValueError, TypeError, OverflowError, UnsupportedAlgorithm, x509.InvalidVersion,
    UserWarning,  # serial numbers of zero or less, where warnings are errors
)  # fmt: skip

# what reading extensions raises that are not right, or hold a name of a kind that no library reads
BAD_EXTENSIONS = (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | dsa.DSAPublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A public key with what a policy asks of it, looked up once. `kind` is "rsa", "ecdsa", "dsa", or "" where it is none of them."""

    public: PublicKey | None
    kind: str = ""
    name: str = "-"  # for people: "RSA 2048", "EC secp256r1"
    bits: int = 0
    exponent: int = 0
    curve: str = ""
    signature_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Certificate:
    """A parsed certificate. `subject` is in RFC 4514 form, `tax_code` the Vietnamese one where the subject names it."""

    der: bytes
    x509: x509.Certificate
    key: Key
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


def read(der: bytes) -> Certificate:
    """Parse a DER certificate; raises ValueError for whatever is not one. Trusts nothing in it."""
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise ValueError("too large")
    try:
        parsed = x509.load_der_x509_certificate(der)
        _ = parsed.issuer  # read when it is asked for: what cannot be read is no certificate
        if not 0 < parsed.serial_number < 1 << MAX_SERIAL_BITS:
            raise ValueError("a serial number that is none")  # one kind of refusal for all that is wrong
        return Certificate(
            der=der, x509=parsed, key=_key(parsed), subject=parsed.subject.rfc4514_string(),
            tax_code=tax_code(parsed.subject), sha256=hashlib.sha256(der).hexdigest(),
            not_before=parsed.not_valid_before_utc, not_after=parsed.not_valid_after_utc,
        )  # fmt: skip
    except _UNREADABLE as error:
        raise ValueError("not a certificate") from error


@lru_cache(maxsize=CACHED_CERTIFICATES)
def read_base64(text: bytes) -> Certificate:
    """Parse a certificate as XML writes it, keeping what was parsed; raises ValueError."""
    return read(strict_base64(text))


def read_pem(pem: bytes) -> tuple[Certificate, ...]:
    """Parse every certificate of a PEM file; raises ValueError where there is none or one is damaged."""
    try:
        return tuple(read(c.public_bytes(Encoding.DER)) for c in x509.load_pem_x509_certificates(pem))
    except (ValueError, UserWarning) as error:
        raise ValueError("not a certificate") from error


def tax_code(name: x509.Name) -> str | None:
    """Find the tax code in a subject: `MST:0123456789` or `VATVN-0123456789` in UID, serialNumber, organizationIdentifier or OU."""
    values = [str(a.value) for place in _TAX_PLACES for a in name.get_attributes_for_oid(place)]
    found = next((m for m in map(_TAX_CODE.search, values) if m), None)
    return found and "-".join(filter(None, found.groups()))


def strict_base64(text: bytes) -> bytes:
    """Decode base64 that is exactly right but for white space between its characters; raises ValueError."""
    bare = text.translate(None, _WHITE)
    decoded = binascii.a2b_base64(bare, strict_mode=True)
    if not decoded or binascii.b2a_base64(decoded, newline=False) != bare:  # stray bits at the end
        raise ValueError("not canonical base64")
    return decoded


def _key(certificate: x509.Certificate) -> Key:
    try:
        return describe(certificate.public_key())
    except (ValueError, UnsupportedAlgorithm):
        return Key(public=None)


def describe(key: object) -> Key:
    """Say what a policy asks of a public key."""
    match key:
        case rsa.RSAPublicKey():
            size, exponent = key.key_size, key.public_numbers().e
            return Key(public=key, kind="rsa", name=f"RSA {size}", bits=size, exponent=exponent, signature_bytes=(size + 7) // 8)
        case ec.EllipticCurvePublicKey():
            size, curve = key.key_size, key.curve.name
            return Key(public=key, kind="ecdsa", name=f"EC {curve}", bits=size, curve=curve, signature_bytes=2 * ((size + 7) // 8))
        case dsa.DSAPublicKey():
            size = key.public_numbers().parameter_numbers.q.bit_length()
            return Key(public=key, kind="dsa", name=f"DSA {key.key_size}", bits=key.key_size, signature_bytes=2 * ((size + 7) // 8))
    return Key(public=None)
