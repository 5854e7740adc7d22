"""Detached CMS: what is signed verifies, here and by OpenSSL; whatever is not the profile is refused by its number."""

import base64
import random
import shutil
import subprocess
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import ExtensionOID, NameOID

from gateway.errors import GatewayError
from gateway.model import Concession, SealProfile
from gateway.security import cms, der
from gateway.security.certificates import Certificate
from gateway.security.keys import SigningKey
from gateway.security.path import may_sign
from gateway.security.policy import GATEWAY, Policy, for_party
from gateway.testing.signing import NOW, Bench, PrivateKey, private_key_of, private_pem_of, self_signed, signed_certificate

DOCUMENT = "<a>đơn</a>\n".encode()
KINDS = ["portal", "rsa", "p384"]
ROUNDS = 1500
CONSTRUCTED = 0x20  # of a tag whose value holds values
PEM = serialization.Encoding.PEM
CENTURY = timedelta(days=36_525)  # other implementations sign at the machine's time


def check_of(document: bytes, signature: bytes, *, known: bool = True, policy: Policy = GATEWAY) -> str:
    with pytest.raises(GatewayError) as refused:
        cms.verify(document, signature, at=NOW, registered=lambda _: known, policy=policy, skew=CENTURY)
    return refused.value.problems[0].values["check"]


def verified(signature: bytes, *, document: bytes = DOCUMENT, policy: Policy = GATEWAY) -> cms.Proof:
    return cms.verify(document, signature, at=NOW, registered=lambda _: True, policy=policy, skew=CENTURY)


@pytest.fixture(scope="module")
def signature(bench: Bench) -> bytes:
    return cms.sign(DOCUMENT, bench.portal, at=NOW)


@pytest.mark.parametrize("kind", KINDS)
def test_signature_verifies_with_its_signer_and_time(bench: Bench, kind: str) -> None:
    key: SigningKey = getattr(bench, kind)

    proof = cms.verify(DOCUMENT, cms.sign(DOCUMENT, key, at=NOW), at=NOW, registered=lambda c: c == key.certificates[0])

    assert (proof.certificate, proof.signed_at) == (key.certificates[0], NOW)


def openssl(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("no openssl")
    return subprocess.run([program, *arguments], cwd=folder, capture_output=True, check=False, timeout=30)


VERIFY = ("cms", "-verify", "-binary", "-inform", "DER", "-in", "s.der", "-content", "d.xml", "-noverify", "-certfile", "c.pem")
SIGN = ("cms", "-sign", "-binary", "-outform", "DER", "-in", "d.xml", "-out", "s.der", "-signer", "c.pem", "-inkey", "k.pem")


def put(folder: Path, key: SigningKey, document: bytes = DOCUMENT) -> None:
    write(folder, key.certificates[0], private_key_of(key), document)


def write(folder: Path, certificate: Certificate, private: PrivateKey | dsa.DSAPrivateKey, document: bytes = DOCUMENT) -> None:
    """Write a key, its certificate and the document for OpenSSL."""
    pem = private.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for name, content in {"d.xml": document, "c.pem": certificate.x509.public_bytes(PEM), "k.pem": pem}.items():
        (folder / name).write_bytes(content)


def signed_by_openssl(folder: Path, key: SigningKey, *options: str) -> bytes:
    put(folder, key)
    done = openssl(folder, *SIGN, *options)
    assert done.returncode == 0, done.stderr
    return (folder / "s.der").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("document", [DOCUMENT, DOCUMENT + b" "])
def test_openssl_verifies_what_we_sign_and_refuses_another_document(bench: Bench, kind: str, document: bytes, tmp_path: Path) -> None:
    key: SigningKey = getattr(bench, kind)
    put(tmp_path, key, document)
    (tmp_path / "s.der").write_bytes(cms.sign(DOCUMENT, key, at=NOW))

    done = openssl(tmp_path, *VERIFY)

    assert (done.returncode == 0) == (document == DOCUMENT), done.stderr


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("portal", ()),
        ("rsa", ()),
        ("rsa", ("-md", "sha512")),
        ("p384", ("-md", "sha384")),
        ("rsa", ("-cades",)),
        ("portal", ("-nosmimecap",)),
    ],
)
def test_what_openssl_signs_verifies(bench: Bench, kind: str, options: tuple[str, ...], tmp_path: Path) -> None:
    key: SigningKey = getattr(bench, kind)
    signature = signed_by_openssl(tmp_path, key, *options)

    assert verified(signature).certificate == key.certificates[0]
    with pytest.raises(GatewayError):
        verified(signature, document=DOCUMENT.replace(b"a", b"b"))


@pytest.mark.parametrize(
    ("options", "check"),
    [
        (("-nodetach",), "50"), (("-noattr",), "50"), (("-nocerts",), "52"), (("-md", "sha1"), "51"), (("-md", "md5"), "51"),
        (("-md", "sha224"), "51"), (("-keyopt", "rsa_padding_mode:pss"), "51"), (("-stream", "-indef"), "50"),
    ],
)  # fmt: skip
def test_what_openssl_signs_otherwise_is_refused(bench: Bench, options: tuple[str, ...], check: str, tmp_path: Path) -> None:
    assert check_of(DOCUMENT, signed_by_openssl(tmp_path, bench.rsa, *options)) == check


def test_sig_50_two_signers_are_refused(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "c2.pem").write_bytes(bench.portal.certificates[0].x509.public_bytes(PEM))
    (tmp_path / "k2.pem").write_bytes(private_pem_of(bench.portal))

    both = signed_by_openssl(tmp_path, bench.rsa, "-signer", "c2.pem", "-inkey", "k2.pem")

    assert check_of(DOCUMENT, both) == "50"


def test_sig_52_certificate_of_another_signer_under_the_same_name_is_refused(bench: Bench, tmp_path: Path) -> None:
    put(tmp_path, bench.portal)
    (tmp_path / "other.pem").write_bytes(bench.rsa.certificates[0].x509.public_bytes(PEM))

    assert check_of(DOCUMENT, signed_by_openssl(tmp_path, bench.portal, "-nocerts", "-certfile", "other.pem")) == "52"


@pytest.mark.parametrize(("allow", "bits", "digest", "check"), [("sha1", 2048, "sha1", "51"), ("rsa-1024", 1024, "sha256", "12")])
def test_what_is_weak_holds_only_by_a_concession_that_has_not_ended(tmp_path: Path, allow: str, bits: int, digest: str, check: str) -> None:
    private = rsa.generate_private_key(65537, bits)
    certificate = self_signed(private)
    write(tmp_path, certificate, private)
    assert openssl(tmp_path, *SIGN, "-md", digest).returncode == 0
    signature = (tmp_path / "s.der").read_bytes()

    assert verified(signature, policy=conceding(allow, until=NOW + timedelta(days=1))).certificate == certificate
    assert check_of(DOCUMENT, signature, policy=conceding(allow, until=NOW)) == check
    assert check_of(DOCUMENT, signature) == check


def conceding(allow: str, *, until: datetime) -> Policy:
    return for_party(SealProfile(concessions=(Concession(allow=frozenset({allow}), until=until),)), at=NOW)


def test_dsa_holds_only_by_its_concession(tmp_path: Path) -> None:
    private = dsa.generate_private_key(2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dsa")])
    authority = rsa.generate_private_key(65537, 2048)
    certificate = signed_certificate(private, authority, name, name)  # type: ignore[arg-type]  # a key that signs no certificate here
    write(tmp_path, certificate, private)
    assert openssl(tmp_path, *SIGN).returncode == 0
    signature = (tmp_path / "s.der").read_bytes()

    assert check_of(DOCUMENT, signature) == "51"
    assert verified(signature, policy=conceding("dsa", until=NOW + timedelta(days=1))).certificate == certificate


@pytest.mark.parametrize("kind", KINDS)
def test_what_another_implementation_signs_verifies(bench: Bench, kind: str) -> None:
    key: SigningKey = getattr(bench, kind)
    hashed = hashes.SHA384() if kind == "p384" else hashes.SHA256()
    options = [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary]
    builder = pkcs7.PKCS7SignatureBuilder().set_data(DOCUMENT).add_signer(key.certificates[0].x509, private_key_of(key), hashed)

    signed = builder.sign(serialization.Encoding.DER, options)

    assert cms.verify(DOCUMENT, signed, at=NOW, registered=lambda _: True, skew=CENTURY).certificate == key.certificates[0]


@pytest.mark.parametrize("signature", [b"", b"\x30\x00", b"\x30\x80\x00\x00", b"x" * 70_000])
def test_sig_50_whatever_is_no_signed_data_is_refused(signature: bytes) -> None:
    assert check_of(DOCUMENT, signature) == "50"


def test_sig_50_content_inside_the_signature_is_refused(bench: Bench) -> None:
    builder = (
        pkcs7.PKCS7SignatureBuilder()
        .set_data(DOCUMENT)
        .add_signer(bench.rsa.certificates[0].x509, private_key_of(bench.rsa), hashes.SHA256())
    )

    assert check_of(DOCUMENT, builder.sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])) == "50"


@pytest.mark.parametrize("name", [b"CMS", b"PKCS7"])
def test_signature_is_read_out_of_a_file_in_pem_or_der(signature: bytes, name: bytes) -> None:
    pem = b"-----BEGIN %b-----\r\n%b-----END %b-----\r\n" % (name, base64.encodebytes(signature), name)

    assert (cms.from_file(pem), cms.from_file(signature)) == (signature, signature)


@pytest.mark.parametrize(
    "data", [b"", b"-----BEGIN CMS-----", b"-----BEGIN CMS-----\n!\n-----END CMS-----", b"-----BEGIN X-----\n-----END X-----"]
)
def test_sig_50_file_that_holds_no_signature_is_given_as_it_is_and_refused(data: bytes) -> None:
    assert check_of(DOCUMENT, cms.from_file(data)) == "50"


def test_sig_51_sha1_is_refused(bench: Bench) -> None:
    sha1 = der.write_oid("1.3.14.3.2.26")
    sha256 = der.write_oid("2.16.840.1.101.3.4.2.1")
    signed = cms.sign(DOCUMENT, bench.rsa, at=NOW)

    assert check_of(DOCUMENT, resized(signed, sha256, sha1)) == "51"


def resized(data: bytes, old: bytes, new: bytes) -> bytes:
    """Replace values anywhere in DER and write the lengths around them anew."""

    def rewritten(value: der.Value) -> bytes:
        if value.raw == old:
            return new
        if not value.tag & CONSTRUCTED:
            return value.raw
        return der.write(value.tag, *map(rewritten, value.children(value.tag)))

    return rewritten(der.read(data))


def test_sig_52_certificate_that_did_not_come_along_is_refused(bench: Bench, signature: bytes) -> None:
    assert check_of(DOCUMENT, resized(signature, bench.portal.certificates[0].der, bench.rsa.certificates[0].der)) == "52"


@pytest.mark.parametrize("name", [b"\xa3\x00", b"\xa5\x00"])  # of kinds that no library reads: x400Address, ediPartyName
def test_sig_52_certificate_with_names_that_cannot_be_read_is_refused(bench: Bench, signature: bytes, name: bytes) -> None:
    key, subject = private_key_of(bench.portal), bench.portal.certificates[0].x509.subject
    names = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, der.write(der.SEQUENCE, name))
    odd = signed_certificate(key, key, subject, subject, extensions=((names, False),))
    by_key = replace(cms.read_detached(signature), certificates=(odd,), signer=der.read(der.write(0x80, bytes(20))))

    with pytest.raises(GatewayError) as refused:
        cms.signer_of(by_key, by_key.certificates)

    assert refused.value.problems[0].values["check"] == "52"
    assert not may_sign(odd)


def test_sig_53_attributes_without_the_digest_are_refused(signature: bytes) -> None:
    digest = der.write_oid("1.2.840.113549.1.9.4")

    assert check_of(DOCUMENT, resized(signature, digest, der.write_oid("1.2.840.113549.1.9.99"))) in {"50", "53"}


def test_sig_54_other_content_is_refused(signature: bytes) -> None:
    assert check_of(DOCUMENT + b" ", signature) == "54"


def test_sig_55_wrong_value_is_refused(signature: bytes) -> None:
    assert check_of(DOCUMENT, signature[:-1] + bytes([signature[-1] ^ 1])) == "55"


def test_sig_55_changed_signing_time_is_refused(signature: bytes) -> None:
    assert check_of(DOCUMENT, signature.replace(b"261012", b"261013")) == "55"


def test_unregistered_signer_is_refused(signature: bytes) -> None:
    assert check_of(DOCUMENT, signature, known=False) == "18"


def test_any_changed_byte_is_refused(bench: Bench, signature: bytes) -> None:
    draw = random.Random(1)  # noqa: S311 - a repeatable draw

    for _ in range(ROUNDS):
        at, length = draw.randrange(len(signature)), draw.randrange(1, 9)
        flipped = signature[:at] + bytes([signature[at] ^ (1 << draw.randrange(8))]) + signature[at + 1 :]
        changed = draw.choice(
            (flipped, signature[:at] + signature[at + length :], signature[:at] + signature[at : at + length] + signature[at:])
        )
        try:
            proof = cms.verify(DOCUMENT, changed, at=NOW, registered=lambda c: c == bench.portal.certificates[0])
        except GatewayError:
            continue
        raise AssertionError((at, proof))
