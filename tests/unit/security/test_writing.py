import os
import stat
from pathlib import Path

import pytest

from gateway.security.keyring import first_keys, rotate
from gateway.security.writing import put

Given = list[tuple[str, int, int]]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Given:
    """What root gives to whom: each path's name, without what tells processes apart, and the account."""
    told: Given = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda path, user, group: told.append((Path(path).name.partition(f".{os.getpid()}")[0], user, group)))
    return told


def test_a_file_is_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    put(tmp_path / "parties" / "BNN.pem", b"one")
    put(tmp_path / "parties" / "BNN.pem", b"two")

    assert [path.read_bytes() for path in (tmp_path / "parties").iterdir()] == [b"two"]
    assert stat.S_IMODE((tmp_path / "parties" / "BNN.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "parties").stat().st_mode) == 0o700


def test_what_root_writes_belongs_to_whoever_owns_the_folder(tmp_path: Path, given: Given) -> None:
    put(tmp_path / "anchors" / "party" / "ca.pem", b"x")

    owner = (tmp_path.stat().st_uid, tmp_path.stat().st_gid)
    assert given == [("anchors", *owner), ("party", *owner), (".ca.pem", *owner)]


def test_keys_that_root_makes_can_be_read_by_the_server(tmp_path: Path, given: Given) -> None:
    first_keys(tmp_path / "keys", os.urandom)
    given.clear()

    rotate(tmp_path / "keys", entropy=os.urandom)

    assert [name for name, *_ in given] == [".present", ".content-2.key", ".present"]


def test_nobody_else_gives_anything_away(tmp_path: Path, given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    put(tmp_path / "parties" / "BNN.pem", b"one")

    assert given == []
