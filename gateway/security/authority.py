"""A development certificate authority on files: issues for requests, revokes, publishes its list; never for production."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from gateway.errors import Code, Problem, Unavailable

from . import certificates
from .certificates import Certificate
from .devpki import name_of, pem_of, usage_of
from .writing import put

LIFETIME = timedelta(days=3650)
ISSUED_FOR = timedelta(days=365)
LIST_FOR = timedelta(days=7)
_EARLIER = timedelta(days=1)  # clocks differ
_COMMON = "Development CA"


class Authority:
    """Reads and writes `ca.key.pem`, `ca.cert.pem` and `ca.crl.pem` in one folder."""

    def __init__(self, folder: Path) -> None:
        """Open an authority; raises Unavailable where there is none, or it cannot be read."""
        self._list = folder / "ca.crl.pem"
        try:
            key = serialization.load_pem_private_key((folder / "ca.key.pem").read_bytes(), None)
            self.certificate = certificates.read_pem((folder / "ca.cert.pem").read_bytes())[0]
        except (OSError, ValueError, TypeError) as error:
            raise _unusable(folder, error) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise _unusable(folder, None)
        self._key = key

    def issue(
        self,
        request: x509.CertificateSigningRequest,
        *,
        now: datetime,
        lifetime: timedelta = ISSUED_FOR,
        list_url: str = "",
        ocsp_url: str = "",
    ) -> Certificate:
        """Issue a certificate for the key and subject of a request; the URLs say where its revocation can be asked."""
        builder = (
            x509.CertificateBuilder()
            .subject_name(request.subject)
            .issuer_name(self.certificate.x509.subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _EARLIER)
            .not_valid_after(now + lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage_of(signs=True, issues=False), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        for extension in _places(list_url, ocsp_url):
            builder = builder.add_extension(extension, critical=False)
        issued = builder.sign(self._key, hashes.SHA256())
        return certificates.read(issued.public_bytes(serialization.Encoding.DER))

    def revoke(self, *revoked: Certificate, now: datetime) -> bytes:
        """Put certificates on the list beside those that are there, and publish it anew; gives it in PEM."""
        before = self._revoked()
        numbers = {entry.serial_number for entry in before}
        added = [_entry(c, now) for c in revoked if c.x509.serial_number not in numbers]
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.x509.subject)
            .last_update(now)
            .next_update(now + LIST_FOR)
            .add_extension(x509.CRLNumber(int(now.timestamp() * 1_000_000)), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        for entry in (*before, *added):
            builder = builder.add_revoked_certificate(entry)
        published = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        put(self._list, published)
        return published

    def _revoked(self) -> tuple[x509.RevokedCertificate, ...]:
        return tuple(x509.load_pem_x509_crl(self._list.read_bytes())) if self._list.exists() else ()


def create(folder: Path, *, now: datetime, common: str = _COMMON) -> Authority:
    """Open an authority, made where there is none, with an empty list."""
    if not (folder / "ca.cert.pem").exists():
        key = ec.generate_private_key(ec.SECP256R1())
        subject = name_of(common, (NameOID.ORGANIZATION_NAME, "For tests only"))
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _EARLIER)
            .not_valid_after(now + LIFETIME)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage_of(signs=False, issues=True), critical=True)
        )
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        put(folder / "ca.key.pem", key.private_bytes(encoding, form, serialization.NoEncryption()))
        put(folder / "ca.cert.pem", pem_of(builder.sign(key, hashes.SHA256())))
        Authority(folder).revoke(now=now)
    return Authority(folder)


def _places(list_url: str, ocsp_url: str) -> Iterator[x509.ExtensionType]:
    if list_url:
        names = [x509.UniformResourceIdentifier(list_url)]
        yield x509.CRLDistributionPoints([x509.DistributionPoint(full_name=names, relative_name=None, reasons=None, crl_issuer=None)])
    if ocsp_url:
        place = x509.UniformResourceIdentifier(ocsp_url)
        yield x509.AuthorityInformationAccess([x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)])


def _entry(certificate: Certificate, now: datetime) -> x509.RevokedCertificate:
    return x509.RevokedCertificateBuilder().serial_number(certificate.x509.serial_number).revocation_date(now).build()


def _unusable(folder: Path, error: Exception | None) -> Unavailable:
    values = {"fault": type(error).__name__ if error else "-"}
    return Unavailable(Code.UNAVAILABLE, Problem(text="certificates.authority", path=str(folder), values=values))
