"""A development PKI: authorities, party keys and a declarant, for a first run and for tests; never for production."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from .writing import make_folder, put

PARTIES = ("NSW", "BNN", "HQ")
TAX_CODE = "0101234567"  # the development declarant's
_LIFETIME = timedelta(days=3650)
_EARLIER = timedelta(days=1)  # clocks differ

_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
NewKey = Callable[[], _Key]


def p256() -> _Key:
    """Make an ECDSA P-256 key, what partners accept and costs least."""
    return ec.generate_private_key(ec.SECP256R1())


def rsa2048() -> _Key:
    """Make an RSA-2048 key, what most certificates of the field hold."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Issued:
    """A key with its certificate."""

    key: _Key
    certificate: x509.Certificate


def generate(folder: Path, *, now: datetime, parties: Sequence[str] = PARTIES, new_key: NewKey = p256) -> None:
    """Write what is missing of a development PKI under a folder; a file that is there is kept.

    gateway.{key,cert}.pem; keys/<CODE>.key.pem, parties/<CODE>.pem; anchors/person/development.pem, person/declarant.{key,cert}.pem.
    """
    make_folder(folder)
    if not (folder / "gateway.cert.pem").exists():
        _write(_self_signed("NSW Gateway (development)", now, new_key), folder / "gateway.key.pem", folder / "gateway.cert.pem")
    for code in parties:
        if not (folder / "parties" / f"{code}.pem").exists():
            _write(
                _self_signed(f"{code} (development)", now, new_key), folder / "keys" / f"{code}.key.pem", folder / "parties" / f"{code}.pem"
            )
    if not (folder / "anchors" / "person" / "development.pem").exists():
        _person(folder, now, new_key)


def _person(folder: Path, now: datetime, new_key: NewKey) -> None:
    """Write an authority for persons and one declarant with a tax code; the authority's key is not kept."""
    authority = _authority(name_of("Development Person CA"), now, new_key)
    subject = name_of("Nguyễn Văn An", (NameOID.USER_ID, f"MST:{TAX_CODE}"), (NameOID.ORGANIZATION_NAME, "Công ty Nông sản Thử Nghiệm"))
    declarant = _issue(subject, authority, now, new_key)
    _write(declarant, folder / "person" / "declarant.key.pem", folder / "person" / "declarant.cert.pem")
    put(folder / "anchors" / "person" / "development.pem", pem_of(authority.certificate))


def _authority(subject: x509.Name, now: datetime, new_key: NewKey) -> _Issued:
    key = new_key()
    builder = (
        _builder(subject, subject, key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage_of(signs=False, issues=True), critical=True)
    )
    return _Issued(key=key, certificate=builder.sign(key, hashes.SHA256()))


def _issue(subject: x509.Name, authority: _Issued, now: datetime, new_key: NewKey) -> _Issued:
    key = new_key()
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = (
        _builder(subject, authority.certificate.subject, key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage_of(signs=True, issues=False), critical=True)
        .add_extension(issuer_key, critical=False)
    )
    return _Issued(key=key, certificate=builder.sign(authority.key, hashes.SHA256()))


def _self_signed(name: str, now: datetime, new_key: NewKey) -> _Issued:
    key = new_key()
    subject = name_of(name)
    builder = (
        _builder(subject, subject, key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage_of(signs=True, issues=False), critical=True)
    )
    return _Issued(key=key, certificate=builder.sign(key, hashes.SHA256()))


def _builder(subject: x509.Name, issuer: x509.Name, key: _Key, now: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def usage_of(*, signs: bool, issues: bool) -> x509.KeyUsage:
    """Say what a key may be used for."""
    return x509.KeyUsage(
        digital_signature=signs, content_commitment=signs, key_cert_sign=issues, crl_sign=issues, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def name_of(common: str, *more: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    """Make a subject in this country."""
    fixed = ((NameOID.COUNTRY_NAME, "VN"), *more, (NameOID.COMMON_NAME, common))
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in fixed])


def _write(issued: _Issued, key_file: Path, certificate_file: Path) -> None:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    put(key_file, issued.key.private_bytes(encoding, form, serialization.NoEncryption()))
    put(certificate_file, pem_of(issued.certificate))


def pem_of(certificate: x509.Certificate) -> bytes:
    """Write a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)
