"""What no file of the project may hold: a registry's address, a path of one machine, a key."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

BINARY = {".png", ".gz", ".whl", ".db", ".der", ".p12", ".pyc"}
# Written in two parts each, so that this file does not find itself.
REGISTRY = re.compile(r"(pypi|pythonhosted|artifactory|nexus|devpi)" + r"\.|--(extra-)?index" + r"-url|registry\." + r"npmjs")
MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(home|root|Users|work|workspace|mnt|builds|private)" + r"/\w")
PRIVATE_KEY = re.compile("-----BEGIN [A-Z ]*PRIVATE" + " KEY-----")


def _lines(files: Sequence[Path], root: Path, pattern: re.Pattern[str]) -> Iterator[str]:
    for file in files:
        if file.suffix not in BINARY:
            text = file.read_text("utf-8", errors="replace")
            yield from (f"{file.relative_to(root)}:{n}" for n, line in enumerate(text.splitlines(), start=1) if pattern.search(line))


def test_no_file_names_a_registry(files: Sequence[Path], root: Path) -> None:
    assert list(_lines(files, root, REGISTRY)) == []


def test_no_file_names_a_path_of_one_machine(files: Sequence[Path], root: Path) -> None:
    assert list(_lines(files, root, MACHINE_PATH)) == []


def test_no_file_holds_a_private_key(files: Sequence[Path], root: Path) -> None:
    assert list(_lines(files, root, PRIVATE_KEY)) == []


def _locked(file: Path) -> dict[str, str]:
    """Give each locked package with its hashes."""
    entries = re.split(r"\n(?=\S)", file.read_text("utf-8").strip())
    return {entry.partition(" ")[0]: entry for entry in entries}


@pytest.mark.parametrize("lock", ["requirements.lock", "deploy/requirements.lock"])
def test_every_locked_package_has_its_hashes(root: Path, lock: str) -> None:
    locked = _locked(root / lock)

    assert locked
    assert [name for name, entry in locked.items() if "==" not in name or "--hash=sha256:" not in entry] == []


def test_what_is_deployed_is_what_was_tested(root: Path) -> None:
    assert _locked(root / "deploy/requirements.lock").items() <= _locked(root / "requirements.lock").items()


def test_what_is_deployed_holds_every_dependency(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    needed = {re.split(r"[\[>=<]", name)[0].strip() for name in project["dependencies"]}

    assert needed <= {name.partition("==")[0] for name in _locked(root / "deploy/requirements.lock")}
