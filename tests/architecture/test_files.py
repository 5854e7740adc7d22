"""What no file of the project may hold: a registry's address, a path of one machine, a key."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

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


def test_every_locked_package_has_its_hashes(root: Path) -> None:
    entries = re.split(r"\n(?=\S)", (root / "requirements.lock").read_text("utf-8").strip())

    assert [entry.partition(" ")[0] for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []
