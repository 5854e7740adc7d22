"""A key that was put in force anew is taken up by whoever signs, without a restart."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography import x509

from gateway.security import devpki
from gateway.security.authority import create
from gateway.security.keeper import KeyKeeper
from gateway.security.keys import SigningKey
from gateway.security.registry import CertificateFiles
from gateway.security.trust import Trust
from gateway.testing.signing import NOW


class Taken:
    """What the keeper handed on, and what it told."""

    def __init__(self) -> None:
        self.keys: list[SigningKey] = []
        self.events: list[str] = []

    def watch(self, event: str, _fields: Mapping[str, object]) -> None:
        self.events.append(event)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    devpki.generate(tmp_path, now=NOW, parties=())
    return tmp_path


@pytest.fixture
def taken() -> Taken:
    return Taken()


@pytest.fixture
def keeper(folder: Path, taken: Taken) -> KeyKeeper:
    return KeyKeeper(Trust(folder), (taken.keys.append,), watch=taken.watch)


def rotate(folder: Path) -> str:
    files = CertificateFiles(folder)
    request = x509.load_pem_x509_csr(files.prepare())
    files.take_next((create(folder / "ca", now=NOW).issue(request, now=NOW),), at=NOW)
    return files.rotate(at=NOW)[1].certificates[0].sha256


def test_rotated_key_is_handed_on_once(folder: Path, keeper: KeyKeeper, taken: Taken) -> None:
    keeper.look()
    new = rotate(folder)
    keeper.look()
    keeper.look()

    assert [key.certificates[0].sha256 for key in taken.keys] == [new]
    assert taken.events == ["key.renewed"]


def test_half_of_a_change_keeps_the_key_in_force_and_is_looked_at_again(folder: Path, keeper: KeyKeeper, taken: Taken) -> None:
    before = (folder / "gateway.cert.pem").read_bytes()
    new = rotate(folder)
    after = (folder / "gateway.cert.pem").read_bytes()
    (folder / "gateway.cert.pem").write_bytes(before)
    keeper.look()
    half = list(taken.keys)

    (folder / "gateway.cert.pem").write_bytes(after)
    keeper.look()

    assert (half, [key.certificates[0].sha256 for key in taken.keys]) == ([], [new])
    assert taken.events == ["key.unusable", "key.renewed"]
