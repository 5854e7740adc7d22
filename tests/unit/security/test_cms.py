"""Detached CMS: what is signed verifies, here and by OpenSSL; whatever is not the profile is refused by its number."""

import base64
import random
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs7

from gateway.errors import GatewayError
from gateway.security import cms, der
from gateway.security.keys import SigningKey
from gateway.testing.signing import NOW, Bench, private_key_of

DOCUMENT = "<a>đơn</a>\n".encode()
KINDS = ["portal", "rsa", "p384"]
ROUNDS = 1500
CONSTRUCTED = 0x20  # of a tag whose value holds values
PEM = serialization.Encoding.PEM
CENTURY = timedelta(days=36_525)  # other implementations sign at the machine's time


def check_of(document: bytes, signature: bytes, *, known: bool = True) -> str:
    with pytest.raises(GatewayError) as refused:
        cms.verify(document, signature, at=NOW, registered=lambda _: known)
    return refused.value.problems[0].values["check"]


@pytest.fixture(scope="module")
def signature(bench: Bench) -> bytes:
    return cms.sign(DOCUMENT, bench.portal, at=NOW)


@pytest.mark.parametrize("kind", KINDS)
def test_signature_verifies_with_its_signer_and_time(bench: Bench, kind: str) -> None:
    key: SigningKey = getattr(bench, kind)

    proof = cms.verify(DOCUMENT, cms.sign(DOCUMENT, key, at=NOW), at=NOW, registered=lambda c: c == key.certificates[0])

    assert (proof.certificate, proof.signed_at) == (key.certificates[0], NOW)


@pytest.mark.parametrize("kind", KINDS)
def test_openssl_verifies_what_we_sign(bench: Bench, kind: str, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl")
    key: SigningKey = getattr(bench, kind)
    files = {"s.der": cms.sign(DOCUMENT, key, at=NOW), "d.xml": DOCUMENT, "c.pem": key.certificates[0].x509.public_bytes(PEM)}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)

    asked = ("cms", "-verify", "-binary", "-inform", "DER", "-in", "s.der", "-content", "d.xml", "-noverify", "-certfile", "c.pem")
    done = subprocess.run([openssl, *asked], cwd=tmp_path, capture_output=True, check=False, timeout=30)

    assert done.returncode == 0, done.stderr
    assert done.stdout == DOCUMENT


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
