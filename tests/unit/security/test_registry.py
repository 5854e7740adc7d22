"""The registry's files: what is put in, what is refused, and the gateway's own renewal."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from gateway.errors import Conflict, GatewayError, NotValid, Unavailable
from gateway.model import PartyCode
from gateway.security import devpki
from gateway.security.authority import create
from gateway.security.certificates import Certificate
from gateway.security.registry import MAX_REGISTERED, CertificateFiles, read_one, to_pem
from gateway.security.trust import Trust
from gateway.testing.signing import NOW, self_signed, signed_certificate

NSW, HQ = PartyCode("NSW"), PartyCode("HQ")


def made(*, days: tuple[int, int] = (-1, 365), extensions: tuple[tuple[x509.ExtensionType, bool], ...] = ()) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "new")])
    return signed_certificate(key, key, name, name, days=days, extensions=extensions)


@pytest.fixture
def files(tmp_path: Path) -> CertificateFiles:
    devpki.generate(tmp_path, now=NOW, parties=("NSW",))
    return CertificateFiles(tmp_path)


def reason(error: pytest.ExceptionInfo[GatewayError]) -> str:
    return error.value.problems[0].text


def test_old_and_new_certificates_overlap(files: CertificateFiles, tmp_path: Path) -> None:
    new = made()

    assert files.register(NSW, new, at=NOW)
    assert not files.register(NSW, new, at=NOW)

    held = Trust(tmp_path).certificates(NSW)
    assert len(held) == 2
    assert new in held


def test_certificate_of_another_party_is_refused(files: CertificateFiles, tmp_path: Path) -> None:
    with pytest.raises(Conflict) as error:
        files.register(HQ, Trust(tmp_path).certificates(NSW)[0], at=NOW)

    assert reason(error) == "certificates.other-party"


def usage(**allowed: bool) -> x509.KeyUsage:
    names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
        "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: allowed.get(name, False) for name in names})


@pytest.mark.parametrize(
    ("certificate", "expected"),
    [
        (made(days=(-10, -1)), "expired"),
        (made(extensions=((usage(key_encipherment=True), True),)), "key-usage"),
        (self_signed(rsa.generate_private_key(65537, 1024)), "weak-key"),  # noqa: S505  # what must be refused
        (self_signed(ec.generate_private_key(ec.SECP521R1())), "weak-key"),
    ],
)
def test_certificate_that_cannot_sign_is_refused(files: CertificateFiles, certificate: Certificate, expected: str) -> None:
    with pytest.raises(NotValid) as error:
        files.register(NSW, certificate, at=NOW)

    assert reason(error) == f"certificates.{expected}"


def test_where_authorities_are_named_for_parties_others_are_refused(files: CertificateFiles, tmp_path: Path) -> None:
    authority = create(tmp_path / "ca", now=NOW)
    files.add_anchor("party", authority.certificate, at=NOW)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "NSW")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())

    with pytest.raises(NotValid) as error:
        files.register(NSW, made(), at=NOW)

    assert reason(error) == "certificates.untrusted"
    assert files.register(NSW, authority.issue(request, now=NOW), at=NOW)


def test_party_has_a_bounded_number_of_certificates(files: CertificateFiles) -> None:
    for _ in range(MAX_REGISTERED - 1):
        files.register(NSW, made(), at=NOW)

    with pytest.raises(Conflict) as error:
        files.register(NSW, made(), at=NOW)

    assert reason(error) == "certificates.too-many"


def test_revoked_certificate_is_gone_and_never_comes_back(files: CertificateFiles, tmp_path: Path) -> None:
    new = made()
    files.register(NSW, new, at=NOW)

    assert files.revoke(new.sha256) == new

    assert new not in Trust(tmp_path).certificates(NSW)
    with pytest.raises(Conflict) as error:
        files.register(NSW, new, at=NOW)
    assert reason(error) == "certificates.revoked"


def test_last_certificate_of_a_party_is_revoked_with_its_file(files: CertificateFiles, tmp_path: Path) -> None:
    files.revoke(Trust(tmp_path).certificates(NSW)[0].sha256)

    assert Trust(tmp_path).certificates(NSW) == ()
    assert Trust(tmp_path).registry.problems == ()


def test_unknown_certificate_cannot_be_revoked(files: CertificateFiles) -> None:
    with pytest.raises(NotValid) as error:
        files.revoke("00" * 32)

    assert reason(error) == "certificates.unknown"


@pytest.mark.parametrize("purpose", ["../parties", "", "a/b"])
def test_purpose_that_is_no_name_is_refused(files: CertificateFiles, tmp_path: Path, purpose: str) -> None:
    with pytest.raises(NotValid) as error:
        files.add_anchor(purpose, create(tmp_path / "ca", now=NOW).certificate, at=NOW)

    assert reason(error) == "certificates.purpose"


def test_anchor_that_is_no_authority_is_refused(files: CertificateFiles) -> None:
    with pytest.raises(NotValid) as error:
        files.add_anchor("person", made(), at=NOW)

    assert reason(error) == "certificates.not-an-authority"


@pytest.mark.parametrize("party", ["../gateway", ".hidden"])
def test_party_that_is_no_file_name_is_refused(files: CertificateFiles, party: str) -> None:
    with pytest.raises(NotValid) as error:
        files.register(PartyCode(party), made(), at=NOW)

    assert reason(error) == "certificates.party-name"


@pytest.mark.parametrize("pem", [b"", b"\xff", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_refused(pem: bytes) -> None:
    with pytest.raises(NotValid) as error:
        read_one(pem)

    assert reason(error) == "certificates.unreadable"


# --- the gateway's own -------------------------------------------------------------------------------------------------


def prepared(files: CertificateFiles, folder: Path) -> Certificate:
    request = x509.load_pem_x509_csr(files.prepare())
    issued = create(folder / "ca", now=NOW).issue(request, now=NOW)
    files.take_next((issued,), at=NOW)
    return issued


def test_next_key_signs_after_rotation_and_the_old_certificate_stays(files: CertificateFiles, tmp_path: Path) -> None:
    old = Trust(tmp_path).own_key().certificates[0]
    new = prepared(files, tmp_path)
    before = Trust(tmp_path).own_key().certificates[0]

    files.rotate(at=NOW)

    assert before == old
    assert Trust(tmp_path).own_key().certificates[0] == new
    (kept,) = tmp_path.glob("gateway-2*.cert.pem")
    assert read_one(kept.read_bytes())[0] == old
    assert [path.name for path in tmp_path.glob("gateway*.key.pem")] == ["gateway.key.pem"]


def test_rotation_that_was_broken_off_is_finished(files: CertificateFiles, tmp_path: Path) -> None:
    new = prepared(files, tmp_path)
    (tmp_path / "gateway-next.key.pem").replace(tmp_path / "gateway.key.pem")  # the process died here

    files.rotate(at=NOW)

    assert Trust(tmp_path).own_key().certificates[0] == new


def test_certificate_of_another_key_is_not_taken(files: CertificateFiles, tmp_path: Path) -> None:
    files.prepare()

    with pytest.raises(Unavailable):
        files.take_next((made(),), at=NOW)

    assert not list(tmp_path.glob("*next.cert.pem"))


def test_nothing_is_rotated_before_it_is_prepared_and_in_force(files: CertificateFiles, tmp_path: Path) -> None:
    with pytest.raises(Conflict) as unprepared:
        files.rotate(at=NOW)
    prepared(files, tmp_path)

    with pytest.raises(Conflict) as early:
        files.rotate(at=NOW - timedelta(days=30))

    assert (reason(unprepared), reason(early)) == ("certificates.not-prepared", "certificates.not-in-force")


def test_second_key_is_not_prepared_over_the_first(files: CertificateFiles) -> None:
    files.prepare()

    with pytest.raises(Conflict):
        files.prepare()


def test_written_certificate_is_read_again() -> None:
    certificate = made()

    assert read_one(to_pem(certificate).encode()) == (certificate,)
