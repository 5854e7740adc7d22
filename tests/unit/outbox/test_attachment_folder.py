import os
from pathlib import Path

import pytest

from gateway.errors import Unavailable
from gateway.outbox.attachments.folder import GROWING, LENGTH, FolderStore

DIGEST = "ab" * 32


def test_content_is_on_disk_before_its_place_is_given_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, steps = FolderStore(tmp_path), list[str]()
    place = tmp_path / "ab" / f"{DIGEST}-u1"

    def sync(descriptor: int) -> None:
        steps.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}, placed {place.exists()}")

    store.add("u1", 0, b"sealed")
    monkeypatch.setattr(os, "fsync", sync)
    store.keep("u1", DIGEST)

    assert steps == ["sync u1, placed False", "sync ab, placed True", f"sync {tmp_path.name}, placed True"]


@pytest.mark.parametrize("content", [b"", b"\0\0", LENGTH.pack(9) + b"short", LENGTH.pack(2**31) + b"x"])
def test_file_that_is_damaged_is_named_missing(tmp_path: Path, content: bytes) -> None:
    store = FolderStore(tmp_path)
    store.add("u1", 0, b"sealed")
    store.keep("u1", DIGEST)
    (tmp_path / "ab" / f"{DIGEST}-u1").write_bytes(content)

    with pytest.raises(Unavailable) as refused:
        list(store.chunks("u1", DIGEST, 1))

    assert refused.value.problems[0].text == "attachments.missing"


def test_folder_that_cannot_be_written_asks_to_come_again(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    (tmp_path / GROWING).rmdir()
    (tmp_path / GROWING).write_bytes(b"in the way")

    with pytest.raises(Unavailable, match="store"):
        store.add("u1", 0, b"x")
    with pytest.raises(Unavailable, match="store"):
        store.keep("u1", DIGEST)


def test_place_that_cannot_be_made_is_said_at_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(Unavailable):
        FolderStore(tmp_path / "file" / "attachments")


def test_files_are_their_owners_only(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "attachments")
    store.add("u1", 0, b"sealed")
    store.keep("u1", DIGEST)

    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "attachments").rglob("*")}

    assert modes == {0}
