import os
import stat
import threading
from pathlib import Path

import pytest

from gateway.errors import Conflict, GatewayError, NotValid, Unavailable
from gateway.security.cipher import LOOK_SECONDS, FileCipher
from gateway.security.keyring import add, check_old, entries, first_keys, forget, key_names, present_key, rotate, rotated_at


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    first_keys(tmp_path / "keys", os.urandom)
    return tmp_path / "keys"


class Timer:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_running_server_writes_under_the_new_key_within_a_second(folder: Path) -> None:
    timer = Timer()
    running = FileCipher(folder, entropy=os.urandom, timer=timer)
    old = running.encrypt(b"x", context="c")

    rotate(folder, entropy=os.urandom)
    timer.seconds += LOOK_SECONDS
    new = running.encrypt(b"x", context="c")

    assert LOOK_SECONDS < 1
    assert (running.key_of(old), running.key_of(new)) == ("content-1", "content-2")
    assert running.decrypt(old, context="c") == running.decrypt(new, context="c") == b"x"


def test_server_reads_at_once_what_another_process_wrote_under_a_new_key(folder: Path) -> None:
    reading = FileCipher(folder, entropy=os.urandom, timer=Timer())
    rotate(folder, entropy=os.urandom)

    sealed = FileCipher(folder, entropy=os.urandom).encrypt(b"x", context="c")

    assert reading.decrypt(sealed, context="c") == b"x"


def test_added_key_is_read_with_but_not_written_under(folder: Path, tmp_path: Path) -> None:
    first_keys(tmp_path / "other", os.urandom)
    name = add(tmp_path / "other", entropy=os.urandom)
    taken = add(folder, entropy=os.urandom, source=tmp_path / "other" / f"{name}.key")

    assert (name, taken, present_key(folder)) == ("content-2", "content-2", "content-1")
    rotate(folder, entropy=os.urandom, name=taken)
    rotate(tmp_path / "other", entropy=os.urandom, name=name)
    sealed = FileCipher(tmp_path / "other", entropy=os.urandom).encrypt(b"x", context="c")
    assert FileCipher(folder, entropy=os.urandom).decrypt(sealed, context="c") == b"x"


@pytest.mark.parametrize(("name", "size"), [("content-2.key", 31), ("content-2.key", 0), ("content-2.txt", 32), ("digest.key", 32)])
def test_file_that_is_no_key_is_not_added(folder: Path, tmp_path: Path, name: str, size: int) -> None:
    (tmp_path / name).write_bytes(os.urandom(size))

    with pytest.raises(NotValid):
        add(folder, entropy=os.urandom, source=tmp_path / name)

    assert key_names(folder) == ["content-1"]


def test_missing_file_is_not_added(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NotValid):
        add(folder, entropy=os.urandom, source=tmp_path / "content-2.key")


def test_other_key_of_the_same_name_is_never_overwritten(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "content-1.key").write_bytes(os.urandom(32))
    before = (folder / "content-1.key").read_bytes()

    with pytest.raises(Conflict):
        add(folder, entropy=os.urandom, source=tmp_path / "content-1.key")

    assert (folder / "content-1.key").read_bytes() == before


def test_rotating_to_a_key_that_is_not_there_changes_nothing(folder: Path) -> None:
    with pytest.raises(NotValid):
        rotate(folder, entropy=os.urandom, name="content-7")

    assert present_key(folder) == "content-1"


def test_of_two_rotations_at_once_each_makes_its_own_key(folder: Path) -> None:
    both = threading.Barrier(2)

    def together(n: int) -> bytes:
        both.wait(5)
        return os.urandom(n)

    threads = [threading.Thread(target=rotate, args=(folder,), kwargs={"entropy": together}) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert key_names(folder) == ["content-1", "content-2", "content-3"]
    assert present_key(folder) in {"content-2", "content-3"}


def test_present_key_is_not_forgotten(folder: Path) -> None:
    with pytest.raises(Conflict):
        forget(folder, "content-1")
    with pytest.raises(NotValid):
        check_old(folder, "content-9")


def test_retired_key_does_not_come_back_at_the_next_start(folder: Path) -> None:
    rotate(folder, entropy=os.urandom)
    forget(folder, "content-1")

    FileCipher(folder, entropy=os.urandom)

    assert [(entry.name, entry.present) for entry in entries(folder)] == [("content-2", True)]


def test_key_that_was_forgotten_is_named_to_whoever_needs_it(folder: Path) -> None:
    sealed = FileCipher(folder, entropy=os.urandom).encrypt(b"x", context="c")
    rotate(folder, entropy=os.urandom)
    forget(folder, "content-1")

    with pytest.raises(Unavailable) as refused:
        FileCipher(folder, entropy=os.urandom).decrypt(sealed, context="c")

    assert refused.value.problems[0].values == {"key": "content-1"}


@pytest.mark.parametrize("content", [b"", b"short"])
def test_damaged_key_keeps_a_server_from_starting_and_does_not_stop_one(folder: Path, content: bytes) -> None:
    timer = Timer()
    running = FileCipher(folder, entropy=os.urandom, timer=timer)
    (folder / "content-2.key").write_bytes(content)
    timer.seconds += LOOK_SECONDS

    assert running.key_of(running.encrypt(b"x", context="c")) == "content-1"
    with pytest.raises(GatewayError):
        FileCipher(folder, entropy=os.urandom)


def test_folder_without_keys_has_none_to_list_or_rotate(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        entries(tmp_path)
    with pytest.raises(Unavailable):
        rotate(tmp_path, entropy=os.urandom)


def test_what_rotation_writes_is_its_owners_only(folder: Path) -> None:
    rotate(folder, entropy=os.urandom)

    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert rotated_at(folder) >= entries(folder)[0].made_at
