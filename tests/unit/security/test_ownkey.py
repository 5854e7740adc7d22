"""The gateway's own key: where it may lie, and how it is unlocked without being shown."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat, pkcs12

from gateway.errors import Unavailable
from gateway.security.ownkey import PIN_NAME, OwnKey, Unlocking
from gateway.security.registry import to_pem
from gateway.testing.signing import self_signed

SECRET = "mật-khẩu-9417"  # noqa: S105  # of a test's key
KEY = ec.generate_private_key(ec.SECP256R1())
CERTIFICATE = self_signed(KEY)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    locked = BestAvailableEncryption(SECRET.encode())
    (tmp_path / "gateway.cert.pem").write_text(to_pem(CERTIFICATE))
    (tmp_path / "locked.pem").write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    (tmp_path / "open.pem").write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "key.p12").write_bytes(pkcs12.serialize_key_and_certificates(b"own", KEY, CERTIFICATE.x509, None, locked))
    (tmp_path / "pin").write_text(SECRET + "\n", "utf-8")
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / PIN_NAME).write_text(SECRET, "utf-8")
    return tmp_path


@pytest.mark.parametrize("place", ["file:{0}/locked.pem", "file:{0}/open.pem", "pkcs12:{0}/key.p12"])
@pytest.mark.parametrize("way", ["given", "file", "credentials"])
def test_key_is_unlocked_from_environment_file_or_credential(folder: Path, place: str, way: str) -> None:
    given: dict[str, object] = {"given": SECRET, "file": folder / "pin", "credentials": folder / "credentials"}
    unlocking = Unlocking(**{way: given[way]})  # type: ignore[arg-type]

    key = OwnKey(folder, place.format(folder), unlocking=unlocking).load()

    assert key.certificates == (CERTIFICATE,)


def test_folder_without_any_key_says_that_there_is_none_yet(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as error:
        OwnKey(tmp_path).load()

    assert error.value.problems[0].text == "certificates.none"


@pytest.mark.parametrize(
    ("place", "unlocking", "expected"),
    [
        ("file:{0}/locked.pem", Unlocking(), "key-file"),
        ("file:{0}/locked.pem", Unlocking(given="falsch"), "key-file"),
        ("pkcs12:{0}/key.p12", Unlocking(given="falsch"), "key-file"),
        ("pkcs12:{0}/pin", Unlocking(given=SECRET), "key-file"),
        ("file:{0}/none.pem", Unlocking(), "key-file"),
        ("file:{0}/open.pem", Unlocking(file=Path("/nowhere/pin")), "key-pin"),
        ("vault:somewhere", Unlocking(), "key-place"),
        ("pkcs11:/usr/lib/none.so?token=a", Unlocking(), "key-place"),
        ("pkcs11:/usr/lib/none.so?token=a&object=b&pin-value=1234", Unlocking(), "key-place"),
    ],
)
def test_key_that_cannot_be_had_is_refused_without_its_secret(folder: Path, place: str, unlocking: Unlocking, expected: str) -> None:
    with pytest.raises(Unavailable) as error:
        OwnKey(folder, place.format(folder), unlocking=unlocking).load()

    assert error.value.problems[0].text == f"signature.{expected}"
    told = repr((error.value, error.value.problems, error.value.__cause__, unlocking))
    assert SECRET not in told
    assert "falsch" not in told


def test_credential_that_is_not_there_leaves_what_was_given(tmp_path: Path) -> None:
    assert Unlocking(given=SECRET, credentials=tmp_path).pin() == SECRET


def test_key_is_not_shown() -> None:
    assert SECRET not in repr(Unlocking(given=SECRET))
