"""One signed document of every profile, how it is proved, and what it means: a change is refused, or changes nothing of that."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from lxml.etree import _Element

from gateway.model import Channel, SealProfile, Wrapper
from gateway.ports import Opened
from gateway.security import beside, certificates, cms, signer, stamps, verifier, wss, xades
from gateway.security.keys import SigningKey
from gateway.security.policy import PERSON, SYSTEM
from gateway.security.prover import Prover
from gateway.security.refusal import refusal
from gateway.testing import builders
from gateway.testing.signing import NOW, ZONE, Bench, People, make_bench, unsigned
from gateway.testing.stamping import make_stamp_authority
from gateway.xml import soap
from gateway.xml.canonical import canonical
from gateway.xml.parse import parse

CHANNEL = Channel(kind="network", name="192.0.2.7")  # one that proves nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A signed document, and what proves it: gives what it means, or raises a GatewayError. `anchors` are what its certificates lead to."""

    signed: bytes
    prove: Callable[[bytes], object]
    anchors: tuple[certificates.Certificate, ...] = ()


def cases(names: tuple[str, ...]) -> Mapping[str, Case]:
    """Make the cases of these profiles."""
    bench = make_bench(Path(tempfile.mkdtemp()))
    return {name: MAKERS[name](bench) for name in names}


def _by_prover(bench: Bench, signed: bytes, profile: SealProfile) -> Case:
    prover = Prover(bench.trust, lambda: NOW, ZONE)
    people = People(replace(builders.party("NSW"), sends=profile), unsigned("BNN"))

    def prove(data: bytes) -> object:
        opened = Opened(wrapper=Wrapper(protocol="vnsw", operation="receive"), payload=data)
        proven = prover.prove(opened, CHANNEL, people)
        return canonical(proven.root), proven.proof, [s.certificate_sha256 for s in proven.signers if s.role == "system"]

    return Case(signed=signed, prove=prove)


def _xmldsig(bench: Bench) -> Case:
    return _by_prover(bench, bench.signed(system=bench.rsa), SealProfile())


def _xades(bench: Bench) -> Case:
    envelope = xades.sign_person(bench.envelope(), bench.person, at=NOW)
    return _by_prover(bench, xades.sign_system(envelope, bench.rsa, at=NOW), SealProfile(signature="xades-b-b"))


def _person(bench: Bench) -> Case:
    """A person's signature alone: whatever is proved of its Content is what was signed."""
    signed = signer.sign_person(bench.envelope(), bench.person)
    anchors = bench.trust.anchors("person")

    def prove(data: bytes) -> object:
        found = verifier.find(parse(data))
        person = verifier.verify_person(found, at=NOW, anchors=anchors)
        content = verifier.present(found.content, PERSON)
        return canonical(content), person.tax_code

    return Case(signed=signed, prove=prove)


def _long_term(_bench: Bench) -> Case:
    """A signature with a time-stamp, certificates and a list: OpenSSL stamps at the machine's time, so that everything else is of now."""
    moment, folder = datetime.now(UTC).replace(microsecond=0), Path(tempfile.mkdtemp())
    authority = make_stamp_authority(folder)
    issuer_key, private = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = _certificate(issuer_key, issuer_key, "Issuer", "Issuer", moment, ca=True)
    leaf = _certificate(private, issuer_key, "Signer", "Issuer", moment, ca=False)
    key = SigningKey(private, (leaf,))
    revoked = x509.CertificateRevocationListBuilder().issuer_name(issuer.x509.subject).last_update(moment - timedelta(hours=1))
    revoked = revoked.add_extension(x509.CRLNumber(1), critical=False).next_update(moment + timedelta(days=2))
    crl = revoked.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    signed = xades.sign_system(builders.message("10/01"), key, at=moment)
    token = authority.stamp(xades.to_be_stamped(signed, SYSTEM))
    validation = xades.Validation(certificates=(issuer.der, authority.issuer.der), crls=(crl, authority.crl))
    signed = xades.extend(signed, SYSTEM, token=token, validation=validation)
    terms = verifier.Terms(read_stamp=stamps.reader(authority.anchors))

    def prove(data: bytes) -> object:
        found = verifier.find(parse(data))
        proved = verifier.verify_system(found, at=moment, registered=lambda c: c == leaf, terms=terms)
        if proved.profile != "xades-b-lt":
            raise refusal(22, "profile-lower")
        slot = proved_slot(found)
        del slot[:]
        return canonical(found.root), proved.stated

    return Case(signed=signed, prove=prove, anchors=(issuer, authority.issuer))


def proved_slot(found: verifier.Found) -> _Element:
    """Give the place of the system's signature, which verification found."""
    slot = verifier.present(found.system, SYSTEM).getparent()
    if slot is None:
        raise ValueError("a signature without a place")
    return slot


def _certificate(
    key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey, subject: str, issuer: str, moment: datetime, *, ca: bool
) -> certificates.Certificate:
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in (subject, issuer)]
    builder = x509.CertificateBuilder().subject_name(names[0]).issuer_name(names[1]).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).add_extension(
        x509.BasicConstraints(ca=ca, path_length=None), critical=True
    )
    usage = x509.KeyUsage(
        digital_signature=not ca, content_commitment=not ca, key_encipherment=False, data_encipherment=False, key_agreement=False,
        key_cert_sign=ca, crl_sign=ca, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = builder.add_extension(usage, critical=True)
    made = builder.not_valid_before(moment - timedelta(days=1)).not_valid_after(moment + timedelta(days=30)).sign(by, hashes.SHA256())
    return certificates.read(made.public_bytes(serialization.Encoding.DER))


def _wss(bench: Bench) -> Case:
    wrapped = soap.wrap(b"<receive><payload>%b</payload></receive>" % soap.escape_text(bench.envelope()), version="1.1")

    def prove(data: bytes) -> object:
        proof = wss.verify(data, at=NOW, registered=lambda c: c == bench.rsa.certificates[0])
        return canonical(soap.unwrap(data).child), proof.created

    return Case(signed=wss.sign(wrapped, bench.rsa, at=NOW), prove=prove)


def _cms(bench: Bench) -> Case:
    document = bench.envelope()

    def prove(data: bytes) -> object:
        proof = cms.verify(document, data, at=NOW, registered=lambda c: c == bench.rsa.certificates[0])
        return proof.certificate, proof.signed_at

    return Case(signed=cms.sign(document, bench.rsa, at=NOW), prove=prove)


def _beside(bench: Bench) -> Case:
    """A document with its signature in one body, as the REST door has it and the prover judges it."""
    document = bench.envelope()
    prover = Prover(bench.trust, lambda: NOW, ZONE)
    people = People(replace(builders.party("NSW"), sends=SealProfile(signature="cms-detached")), unsigned("BNN"))

    def prove(data: bytes) -> object:
        payload, signature = beside.read(data) or (data, b"")
        opened = Opened(wrapper=Wrapper(protocol="rest", operation="documents"), payload=payload, signature=signature)
        return prover.prove(opened, CHANNEL, people).payload

    return Case(signed=beside.write(document, cms.sign(document, bench.rsa, at=NOW)), prove=prove)


MAKERS: Mapping[str, Callable[[Bench], Case]] = {
    "xmldsig": _xmldsig, "person": _person, "xades-b-b": _xades, "xades-b-lt": _long_term, "wss-x509": _wss, "cms-detached": _cms,
    "beside": _beside,
}  # fmt: skip
