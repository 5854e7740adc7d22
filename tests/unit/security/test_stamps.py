"""Time-stamps and validation data in XAdES: OpenSSL's stamps hold over what they cover, and nothing else does."""

import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.errors import GatewayError, NotProven
from gateway.security import certificates, stamps, verifier, xades
from gateway.security.keys import SigningKey
from gateway.security.path import Anchors
from gateway.security.policy import SYSTEM
from gateway.testing import builders
from gateway.testing.stamping import StampAuthority, make_stamp_authority
from gateway.xml.parse import parse

if shutil.which("openssl") is None:
    pytest.skip("no openssl: its time-stamp authority is what these tests ask", allow_module_level=True)

MOMENT = datetime.now(UTC).replace(microsecond=0)  # of the stamps too, which OpenSSL gives at the machine's own time
DER = serialization.Encoding.DER


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> StampAuthority:
    return make_stamp_authority(tmp_path_factory.mktemp("tsa"))


@pytest.fixture(scope="module")
def issuer_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def issuer(issuer_key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return certificate(issuer_key, issuer_key, "Issuer", ca=True)


@pytest.fixture(scope="module")
def key(issuer_key: ec.EllipticCurvePrivateKey, issuer: x509.Certificate) -> SigningKey:
    private = ec.generate_private_key(ec.SECP256R1())
    made = certificate(private, issuer_key, "Signer", issuer=issuer.subject)
    return SigningKey(private, (certificates.read(made.public_bytes(DER)),))


@pytest.fixture(scope="module")
def signed(key: SigningKey) -> bytes:
    return xades.sign_system(builders.message("10/01"), key, at=MOMENT)


@pytest.fixture(scope="module")
def stamping(authority: StampAuthority, signed: bytes) -> tuple[datetime, bytes, datetime]:
    """Have it stamped, between two looks at the clock; stamps tell whole seconds."""
    before = datetime.now(UTC).replace(microsecond=0)
    return before, authority.stamp(xades.to_be_stamped(signed, SYSTEM)), datetime.now(UTC)


@pytest.fixture
def token(stamping: tuple[datetime, bytes, datetime]) -> bytes:
    return stamping[1]


def certificate(
    key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey, name: str, *, issuer: x509.Name | None = None, ca: bool = False
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer or subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).add_extension(
        x509.BasicConstraints(ca=ca, path_length=None), critical=True
    )
    return builder.not_valid_before(MOMENT - timedelta(days=1)).not_valid_after(MOMENT + timedelta(days=30)).sign(by, hashes.SHA256())


def crl(by: ec.EllipticCurvePrivateKey, issuer: x509.Certificate, *revoked: int) -> bytes:
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.subject)
    builder = builder.last_update(MOMENT - timedelta(hours=1)).next_update(MOMENT + timedelta(days=1))
    for serial in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(MOMENT - timedelta(hours=1)).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(by, hashes.SHA256()).public_bytes(DER)


def proved(document: bytes, authority: StampAuthority) -> verifier.Verified:
    terms = verifier.Terms(read_stamp=stamps.reader(authority.anchors))
    return verifier.verify_system(verifier.find(parse(document)), at=datetime.now(UTC), registered=lambda _: True, terms=terms)


def check_of(document: bytes, authority: StampAuthority) -> str:
    with pytest.raises(GatewayError) as refused:
        proved(document, authority)
    return refused.value.problems[0].values["check"]


def test_stamped_signature_states_both_times(
    signed: bytes, token: bytes, stamping: tuple[datetime, bytes, datetime], authority: StampAuthority
) -> None:
    before, _, after = stamping
    stated = proved(xades.extend(signed, SYSTEM, token=token), authority).stated

    assert stated is not None
    assert (stated.level, stated.signed_at) == ("xades-b-t", MOMENT)
    assert stated.stamped_at is not None
    assert before <= stated.stamped_at <= after


def test_stamp_without_its_chain_holds_where_the_authority_itself_is_trusted(signed: bytes, authority: StampAuthority) -> None:
    bare = authority.stamp(xades.to_be_stamped(signed, SYSTEM), with_chain=False)
    read = stamps.reader(Anchors(certificates=(authority.leaf,)))

    assert read(bare, xades.to_be_stamped(signed, SYSTEM)) >= MOMENT


def test_sig_31_stamp_over_anything_else_is_refused(signed: bytes, authority: StampAuthority) -> None:
    assert check_of(xades.extend(signed, SYSTEM, token=authority.stamp(b"other")), authority) == "31"


def test_sig_31_stamp_of_an_authority_that_is_not_trusted_is_refused(signed: bytes, token: bytes, tmp_path: Path) -> None:
    assert check_of(xades.extend(signed, SYSTEM, token=token), make_stamp_authority(tmp_path)) == "31"


def test_sig_31_stamp_by_a_key_for_other_purposes_is_refused(signed: bytes, authority: StampAuthority, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):  # OpenSSL itself would not
        make_stamp_authority(tmp_path, purposes=(ExtendedKeyUsageOID.CODE_SIGNING,)).stamp(xades.to_be_stamped(signed, SYSTEM))
    assert not stamps.only_stamps(authority.issuer)


def test_any_changed_byte_of_a_token_is_refused_or_changes_nothing(signed: bytes, token: bytes, authority: StampAuthority) -> None:
    draw, covered, read = random.Random(1), xades.to_be_stamped(signed, SYSTEM), stamps.reader(authority.anchors)  # noqa: S311  # a repeatable draw
    stated, accepted = read(token, covered), 0

    for _ in range(800):
        at = draw.randrange(len(token))
        try:
            assert read(token[:at] + bytes([token[at] ^ (1 << draw.randrange(8))]) + token[at + 1 :], covered) == stated
        except NotProven:
            continue
        accepted += 1

    assert accepted == 0


def test_validation_data_make_it_long_term(
    signed: bytes, token: bytes, authority: StampAuthority, issuer: x509.Certificate, issuer_key: ec.EllipticCurvePrivateKey
) -> None:
    values = xades.Validation(certificates=(issuer.public_bytes(DER),), crls=(crl(issuer_key, issuer),))

    assert proved(xades.extend(signed, SYSTEM, token=token, validation=values), authority).profile == "xades-b-lt"


def test_sig_24_list_that_names_the_signer_is_heeded(
    signed: bytes,
    token: bytes,
    authority: StampAuthority,
    issuer: x509.Certificate,
    issuer_key: ec.EllipticCurvePrivateKey,
    key: SigningKey,
) -> None:
    revoked = crl(issuer_key, issuer, key.certificates[0].x509.serial_number)
    values = xades.Validation(certificates=(issuer.public_bytes(DER),), crls=(revoked,))

    assert check_of(xades.extend(signed, SYSTEM, token=token, validation=values), authority) == "24"


def test_sig_32_values_of_others_are_refused(
    signed: bytes, token: bytes, authority: StampAuthority, issuer: x509.Certificate, issuer_key: ec.EllipticCurvePrivateKey
) -> None:
    own, foreign = issuer.public_bytes(DER), ec.generate_private_key(ec.SECP256R1())
    wrong = (
        xades.Validation(crls=(crl(issuer_key, issuer),)),
        xades.Validation(certificates=(own,), crls=(crl(foreign, issuer),)),
        xades.Validation(certificates=(own,), ocsps=(b"\x30\x03\x0a\x01\x01",)),
        xades.Validation(certificates=(b"\x30\x00",)),
        xades.Validation(
            certificates=(certificate(foreign, issuer_key, "X", issuer=certificate(foreign, foreign, "Y").subject).public_bytes(DER),)
        ),
    )

    for values in wrong:
        assert check_of(xades.extend(signed, SYSTEM, token=token, validation=values), authority) == "32"
