"""A time-stamp authority for tests: OpenSSL's own, asked through its program, with a key of its own under an anchor of its own."""

import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.security import certificates
from gateway.security.certificates import Certificate
from gateway.security.path import Anchors

_CONFIG = """
[tsa]
default_tsa = tsa1
[tsa1]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.3.6.1.4.1.99999.1
digests = sha256, sha384
accuracy = secs:1
ess_cert_id_alg = sha256
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StampAuthority:
    """Stamps bytes at the machine's own time; `anchors` are what its certificate leads to."""

    folder: Path
    program: str
    issuer: Certificate
    leaf: Certificate
    crl: bytes  # that names nobody, in DER

    @property
    def anchors(self) -> Anchors:
        """What to trust so that the stamps hold."""
        return Anchors(certificates=(self.issuer,))

    def stamp(self, data: bytes, *, with_chain: bool = True) -> bytes:
        """Give a token over bytes."""
        (self.folder / "data").write_bytes(data)
        asked = ["ts", "-query", "-data", "data", "-sha256", "-out", "query", *(["-cert"] if with_chain else [])]
        self._run(*asked)
        self._run("ts", "-reply", "-config", "tsa.conf", "-queryfile", "query", "-token_out", "-out", "token")
        return (self.folder / "token").read_bytes()

    def _run(self, *arguments: str) -> None:
        command = [self.program, *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, check=False, timeout=30)  # noqa: S603  # test tool, fixed arguments
        if done.returncode:
            raise RuntimeError(done.stderr.decode())


def make_stamp_authority(
    folder: Path, *, purposes: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.TIME_STAMPING,)
) -> StampAuthority:
    """Make an authority under a folder; other `purposes` make one whose stamps must be refused."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root, name = _name("Test stamp root"), _name("Test stamp authority")
    issuer = _certificate(
        root, root, root_key, root_key, ((x509.BasicConstraints(ca=True, path_length=None), True), (_usage(ca=True), True))
    )
    leaf = _certificate(name, root, key, root_key, ((x509.ExtendedKeyUsage(purposes), True), (_usage(ca=False), True)))
    (folder / "tsa.pem").write_bytes(leaf.x509.public_bytes(serialization.Encoding.PEM))
    (folder / "tsa.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "serial").write_text("01\n", "ascii")
    (folder / "tsa.conf").write_text(_CONFIG.format(folder=folder), "utf-8")
    return StampAuthority(folder=folder, program=shutil.which("openssl") or "openssl", issuer=issuer, leaf=leaf, crl=_list(root, root_key))


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca, content_commitment=not ca, key_encipherment=False, data_encipherment=False, key_agreement=False,
        key_cert_sign=ca, crl_sign=ca, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _list(issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> bytes:
    now = datetime.now(UTC)
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer).add_extension(x509.CRLNumber(1), critical=False)
    builder = builder.last_update(now - timedelta(hours=1)).next_update(now + timedelta(days=2))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...],
) -> Certificate:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=30))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return certificates.read(builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.DER))
