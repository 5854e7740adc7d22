"""Private keys: which ones load, and that nothing shows them."""

import copy
import logging
import pickle
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gateway.errors import GatewayError
from gateway.security.keys import SigningKey, load_key, verify_value
from gateway.testing.signing import Bench, PrivateKey, self_signed

PEM, DER, PKCS8 = serialization.Encoding.PEM, serialization.Encoding.DER, serialization.PrivateFormat.PKCS8


def written(
    folder: Path, key: PrivateKey | ed25519.Ed25519PrivateKey, certified: PrivateKey, password: bytes | None = None
) -> tuple[Path, Path]:
    hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(PEM, PKCS8, hidden))
    (folder / "cert.pem").write_bytes(self_signed(certified).x509.public_bytes(PEM))
    return folder / "key.pem", folder / "cert.pem"


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (rsa.generate_private_key(65537, 2048), "rsa-sha256"),
        (ec.generate_private_key(ec.SECP256R1()), "ecdsa-sha256"),
        (ec.generate_private_key(ec.SECP384R1()), "ecdsa-sha384"),
    ],
)
def test_loaded_key_signs_with_the_algorithm_of_its_kind(tmp_path: Path, key: PrivateKey, algorithm: str) -> None:
    loaded = load_key(*written(tmp_path, key, key))

    assert loaded.algorithm.endswith(f"#{algorithm}")
    assert verify_value(loaded.certificates[0].key, loaded.method, loaded.sign(b"x"), b"x")
    assert not verify_value(loaded.certificates[0].key, loaded.method, loaded.sign(b"x"), b"y")


def test_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    paths = written(tmp_path, ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1()))

    assert refusal(*paths) == "signature.key-mismatch"


WEAK = rsa.generate_private_key(65537, 1024)  # noqa: S505 - it must be refused


@pytest.mark.parametrize("key", [WEAK, ec.generate_private_key(ec.SECP521R1())])
def test_key_that_may_not_sign_is_refused(tmp_path: Path, key: PrivateKey) -> None:
    assert refusal(*written(tmp_path, key, key)) == "signature.key-mismatch"


def test_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    paths = written(tmp_path, ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1()))

    assert refusal(*paths) == "signature.key-kind"


def test_encrypted_key_is_refused(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())

    assert refusal(*written(tmp_path, key, key, b"secret")) == "signature.key-file"


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    key_file, cert_file = written(tmp_path, key, key)

    assert refusal(tmp_path / "none", cert_file) == "signature.key-file"
    assert refusal(key_file, tmp_path / "none") == "signature.certificate-file"
    assert refusal(key_file, key_file) == "signature.certificate-file"
    assert refusal(cert_file, cert_file) == "signature.key-file"


def refusal(key_file: Path, cert_file: Path) -> str:
    with pytest.raises(GatewayError) as refused:
        load_key(key_file, cert_file)
    return refused.value.problems[0].text


def test_repr_and_str_show_the_certificate_and_nothing_of_the_key() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    signing = SigningKey(key, (self_signed(key),))
    secret = str(key.private_numbers().private_value)

    assert repr(signing) == str(signing) == f"SigningKey(subject='CN=test', sha256={signing.certificates[0].sha256})"
    assert secret not in repr(signing)


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
def test_key_does_not_leave_its_process(bench: Bench, take: object) -> None:
    assert callable(take)
    with pytest.raises(TypeError):
        take(bench.portal)


def test_errors_about_a_key_file_hold_nothing_of_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    key_file, cert_file = written(tmp_path, key, key)
    body = key_file.read_bytes().splitlines()[1]
    key_file.write_bytes(key_file.read_bytes().replace(body, body[:-4] + b"AAAA"))

    with caplog.at_level(logging.DEBUG), pytest.raises(GatewayError) as refused:
        load_key(key_file, cert_file)

    said = f"{refused.value!r} {refused.value.problems} {caplog.text}"
    assert body[:16].decode() not in said
