"""A bench for signatures: a development PKI with keys of every kind, and the acts that tests put together: sign, break, prove."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from gateway.errors import GatewayError
from gateway.model import Channel, Party, PartyCode, SealProfile, Wrapper
from gateway.ports import Opened, Proven
from gateway.security import certificates, devpki, signer
from gateway.security.certificates import Certificate
from gateway.security.keys import KeyInMemory, SigningKey, load_key
from gateway.security.prover import Prover
from gateway.security.trust import Trust

from . import builders

NOW = datetime(2026, 10, 12, 2, 30, tzinfo=UTC)
ZONE = timezone(timedelta(hours=7))
LOOPBACK = Channel(kind="network", name="127.0.0.1")
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class People:
    """A directory of a signing portal, an unsigned ministry, and a relay that may send for the portal."""

    def __init__(self, *parties: Party) -> None:
        """Know these parties instead."""
        known = parties or (builders.party("NSW", signature="xmldsig"), unsigned("BNN"), relay())
        self._parties = {str(p.code): p for p in known}

    def party(self, spelling: str) -> Party | None:
        """Find a party by its code."""
        return self._parties.get(spelling)

    @property
    def own(self) -> Party:
        """Give the gateway."""
        return builders.party("GATEWAY", signature="xmldsig")


def unsigned(code: str, *, until: datetime | None = NOW + timedelta(days=1), bound_to: tuple[str, ...] = ("network:127.0.0.0/8",)) -> Party:
    """Make a party under an exception from signing."""
    return replace(builders.party(code), sends=SealProfile(signature="none", until=until, bound_to=bound_to))


def relay() -> Party:
    """Make a party that may send for the portal."""
    return replace(builders.party("HQ", signature="xmldsig"), sends_for=frozenset({PartyCode("NSW")}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Keys and certificates of one PKI, and the acts a test puts together."""

    folder: Path
    portal: SigningKey
    person: SigningKey
    relay: SigningKey
    rsa: SigningKey
    p384: SigningKey

    @property
    def trust(self) -> Trust:
        """Open the registry anew."""
        return Trust(self.folder)

    @staticmethod
    def envelope() -> bytes:
        """Write an unsigned application."""
        return builders.message("10/01")

    def signed(self, *, person: bool = True, system: SigningKey | None = None, bare: bool = False) -> bytes:
        """Write an application signed by the declarant and, unless `bare`, by the portal or another system."""
        envelope = signer.sign_person(self.envelope(), self.person) if person else self.envelope()
        return envelope if bare else signer.sign_system(envelope, system or self.portal)

    def prove(self, payload: bytes, *, channel: Channel = LOOPBACK, people: People | None = None, at: datetime = NOW) -> Proven:
        """Prove a payload as it came over a channel."""
        prover = Prover(self.trust, lambda: at, ZONE)
        opened = Opened(wrapper=Wrapper(protocol="vnsw", operation="receive"), payload=payload)
        return prover.prove(opened, channel, people or People())

    def refused(self, payload: bytes, *, channel: Channel = LOOPBACK, people: People | None = None, at: datetime = NOW) -> GatewayError:
        """Prove what must be refused, and give the refusal."""
        try:
            self.prove(payload, channel=channel, people=people, at=at)
        except GatewayError as refusal:
            return refusal
        raise AssertionError("accepted what must be refused")


def private_key_of(key: SigningKey) -> PrivateKey:
    """Take the private key out, for other implementations to sign with."""
    return cast("KeyInMemory", key._key)._key  # noqa: SLF001  # what no product code may do


def private_pem_of(key: SigningKey) -> bytes:
    """Write the private key, for other programs to sign with."""
    form = serialization.PrivateFormat.PKCS8
    return private_key_of(key).private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def self_signed(key: PrivateKey) -> Certificate:
    """Make a certificate that vouches for its own key."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    return signed_certificate(key, key, subject, subject)


def signed_certificate(
    key: PrivateKey,
    issuer_key: PrivateKey,
    subject: x509.Name,
    issuer: x509.Name,
    *,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    days: tuple[int, int] = (-1, 3650),
    algorithm: hashes.SHA256 | hashes.SHA224 | None = None,
) -> Certificate:
    """Make a certificate with exactly these extensions, valid so many days before and after NOW."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=days[0]))
        .not_valid_after(NOW + timedelta(days=days[1]))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    made = builder.sign(issuer_key, algorithm or hashes.SHA256())
    return certificates.read(made.public_bytes(serialization.Encoding.DER))


def make_bench(folder: Path) -> Bench:
    """Generate keys under a folder; the portal has three registered certificates, each of another kind of key."""
    devpki.generate(folder, now=NOW, parties=("NSW", "BNN", "HQ"))
    registered = folder / "parties" / "NSW.pem"
    portal = load_key(folder / "keys" / "NSW.key.pem", registered)
    rsa_key, p384_key = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())
    others = [SigningKey(key, (self_signed(key),)) for key in (rsa_key, p384_key)]
    pem = (k.certificates[0].x509.public_bytes(serialization.Encoding.PEM) for k in others)
    registered.write_bytes(registered.read_bytes() + b"".join(pem))
    return Bench(
        folder=folder,
        portal=portal,
        person=load_key(folder / "person" / "declarant.key.pem", folder / "person" / "declarant.cert.pem"),
        relay=load_key(folder / "keys" / "HQ.key.pem", folder / "parties" / "HQ.pem"),
        rsa=others[0],
        p384=others[1],
    )
