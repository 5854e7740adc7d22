import os
import stat
from pathlib import Path

import pytest

from gateway.errors import Unavailable
from gateway.security.cipher import LOOK_SECONDS, PATIENCE, FileCipher


@pytest.fixture
def cipher(tmp_path: Path) -> FileCipher:
    return FileCipher(tmp_path / "keys", entropy=os.urandom)


def test_decrypts_what_it_encrypted(cipher: FileCipher) -> None:
    sealed = cipher.encrypt("Kiểm dịch".encode(), context="m/body")

    assert cipher.decrypt(sealed, context="m/body") == "Kiểm dịch".encode()
    assert "Kiểm dịch".encode() not in sealed


@pytest.mark.parametrize("at", [0, 3, 15, -1])
def test_any_changed_byte_is_refused(cipher: FileCipher, at: int) -> None:
    sealed = bytearray(cipher.encrypt(b"content", context="m/body"))
    sealed[at] ^= 1

    with pytest.raises(Unavailable):
        cipher.decrypt(bytes(sealed), context="m/body")


@pytest.mark.parametrize("sealed", [b"", b"\x09", b"\x09content-1", b"\xff" * 40])
def test_what_is_not_sealed_is_refused(cipher: FileCipher, sealed: bytes) -> None:
    with pytest.raises(Unavailable):
        cipher.decrypt(sealed, context="m/body")


def test_content_cannot_be_moved_to_another_row(cipher: FileCipher) -> None:
    sealed = cipher.encrypt(b"content", context="m1/body")

    with pytest.raises(Unavailable):
        cipher.decrypt(sealed, context="m2/body")


def test_restarted_process_reads_what_the_first_wrote(tmp_path: Path) -> None:
    first = FileCipher(tmp_path / "keys", entropy=os.urandom)
    second = FileCipher(tmp_path / "keys", entropy=os.urandom)

    assert second.decrypt(first.encrypt(b"x", context="c"), context="c") == b"x"
    assert second.fingerprint(b"x") == first.fingerprint(b"x")


def test_older_key_still_decrypts_and_the_newest_encrypts(tmp_path: Path) -> None:
    old = FileCipher(tmp_path / "keys", entropy=os.urandom).encrypt(b"x", context="c")
    (tmp_path / "keys" / "content-10.key").write_bytes(os.urandom(32))

    cipher = FileCipher(tmp_path / "keys", entropy=os.urandom)

    assert cipher.decrypt(old, context="c") == b"x"
    assert b"content-10" in cipher.encrypt(b"x", context="c")


def test_key_files_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    FileCipher(tmp_path / "keys", entropy=os.urandom)

    assert {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "keys").iterdir()} == {0o600}


def test_fingerprint_tells_parts_apart(cipher: FileCipher) -> None:
    assert cipher.fingerprint(b"ab", b"c") != cipher.fingerprint(b"a", b"bc")


def test_repr_shows_no_key(tmp_path: Path, cipher: FileCipher) -> None:
    keys = [p.read_bytes() for p in (tmp_path / "keys").iterdir()]

    assert all(repr(key)[2:-1] not in repr(cipher) and key.hex() not in repr(cipher) for key in keys)


def test_a_first_start_that_is_killed_leaves_no_half_made_key(tmp_path: Path) -> None:
    def killed(_: int) -> bytes:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FileCipher(tmp_path / "keys", entropy=killed)

    assert list((tmp_path / "keys").glob("*.key")) == []
    assert FileCipher(tmp_path / "keys", entropy=os.urandom).encrypt(b"x", context="c")


def test_of_two_first_starts_at_once_the_second_takes_the_firsts_keys(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    made = [os.urandom(32)] * 2

    def slower(_: int) -> bytes:
        if made:  # the other process is done before this one has written its own
            name = "content-1.key" if len(made) == 2 else "digest.key"
            (keys / name).write_bytes(made.pop())
        return os.urandom(32)

    first_key = made[0]
    FileCipher(keys, entropy=slower)

    assert (keys / "content-1.key").read_bytes() == (keys / "digest.key").read_bytes() == first_key
    assert [path.name for path in keys.iterdir() if path.name.endswith(".part")] == []


def test_keys_that_cannot_be_read_any_more_are_told_of_and_soon_not_written_under(tmp_path: Path) -> None:
    passed = [0.0]
    cipher = FileCipher(tmp_path / "keys", entropy=os.urandom, timer=lambda: passed[0])
    sealed, broken = cipher.encrypt(b"x", context="c"), tmp_path / "keys" / "content-2.key"
    assert cipher.problems() == ()

    broken.write_bytes(b"short")
    passed[0] += LOOK_SECONDS
    assert [problem.path for problem in cipher.problems()] == [str(broken)]
    assert cipher.decrypt(cipher.encrypt(b"y", context="c"), context="c") == b"y"
    passed[0] += PATIENCE
    with pytest.raises(Unavailable) as refused:
        cipher.encrypt(b"z", context="c")
    assert cipher.decrypt(sealed, context="c") == b"x"

    assert refused.value.problems == cipher.problems()
    broken.unlink()
    passed[0] += LOOK_SECONDS
    assert cipher.decrypt(cipher.encrypt(b"z", context="c"), context="c") == b"z"
    assert cipher.problems() == ()


def test_a_folder_of_keys_that_is_gone_is_told_of(tmp_path: Path) -> None:
    passed = [0.0]
    cipher = FileCipher(tmp_path / "keys", entropy=os.urandom, timer=lambda: passed[0])

    (tmp_path / "keys").rename(tmp_path / "elsewhere")
    passed[0] += LOOK_SECONDS

    assert cipher.problems() != ()
