"""The files that commands write: whole or not at all, and nothing but an ordinary file is ever replaced."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from gateway.cli.files import write_document

Run = Callable[..., Any]


@pytest.fixture
def folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to write to, which one stands in."""
    chosen = home / "out"
    chosen.mkdir()
    monkeypatch.chdir(chosen)
    return chosen


def _refused(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(typer.Exit) as ended:
        write_document(path, b"data")

    assert ended.value.exit_code == 2
    return capsys.readouterr().err


def test_what_is_no_file_is_never_replaced(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(folder / "pipe")

    assert "no ordinary file" in _refused(folder / "pipe", capsys)
    assert stat.S_ISFIFO((folder / "pipe").stat().st_mode)


def test_standard_output_is_not_taken_for_a_file_of_its_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no ordinary file" in _refused(Path("-"), capsys)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("path", ["", "/", ".", ".."])
def test_folder_is_named_whatever_it_is_called(folder: Path, capsys: pytest.CaptureFixture[str], path: str) -> None:
    assert "it is a folder" in _refused(Path(path), capsys)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("path", "told"), [("file/x", "a part of the path is a file"), ("x" * 300, "its name is too long")])
def test_path_that_cannot_be_is_told_of(folder: Path, capsys: pytest.CaptureFixture[str], path: str, told: str) -> None:
    (folder / "file").write_bytes(b"")

    assert told in _refused(Path(path), capsys)


def test_longest_name_there_can_be_is_written(folder: Path) -> None:
    write_document(folder / ("x" * 255), b"data")

    assert (folder / ("x" * 255)).read_bytes() == b"data"


def test_who_may_read_a_file_stays_as_it_was(folder: Path) -> None:
    (folder / "evidence").touch()
    (folder / "evidence").chmod(0o640)

    write_document(folder / "evidence", b"data")

    assert stat.S_IMODE((folder / "evidence").stat().st_mode) == 0o640


def test_link_stays_and_what_it_leads_to_is_written(folder: Path) -> None:
    (folder / "latest").symlink_to("evidence")

    write_document(folder / "latest", b"data")

    assert (folder / "latest").is_symlink()
    assert (folder / "evidence").read_bytes() == b"data"


def test_request_that_has_no_place_leaves_no_key_behind(run: Run, home: Path) -> None:
    ran = run("certs", "renew", "--output", home / "missing" / "gateway.csr")

    assert ran.code == 2
    assert run("certs", "renew", "--output", home / "gateway.csr").code == 0
