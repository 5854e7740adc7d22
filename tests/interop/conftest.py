"""What the interoperability tests share: keys, and the outside tools, which CI must have."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.testing.signing import Bench, make_bench

REPOSITORY = Path(__file__).parents[2]
PROGRAM = Path(__file__).parent / "jvm" / "Signatures.java"


def missing(what: str) -> None:
    """Skip on a developer's machine, fail in CI: there nothing may be left untested."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}; CI needs it")
    pytest.skip(what)


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return make_bench(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def outside() -> Path:
    """The folder of outside test data."""
    folder = Path(os.environ.get("NSW_OUTSIDE_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        missing(f"no outside test data at {folder} (NSW_OUTSIDE_DATA)")
    return folder


@pytest.fixture
def xmlsec1(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Run Debian's xmlsec1 on a document: `xmlsec1(document, "--verify", ...)`; `{out}` in an argument is a file to write."""
    program = shutil.which("xmlsec1")
    if program is None:
        missing("no xmlsec1 (apt-get install xmlsec1)")

    def run(document: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        (tmp_path / "in.xml").write_bytes(document)
        return subprocess.run([str(program), *arguments, str(tmp_path / "in.xml")], capture_output=True, check=False, timeout=30)

    return run


@pytest.fixture(scope="session")
def java(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Compile the program once; runs it and gives what it prints."""
    compiler, machine = shutil.which("javac"), shutil.which("java")
    if compiler is None or machine is None:
        missing("no JDK (apt-get install default-jdk-headless)")
    folder = tmp_path_factory.mktemp("jvm")
    subprocess.run([str(compiler), "-d", str(folder), str(PROGRAM)], check=True, timeout=120)

    def run(*arguments: object) -> str:
        command = [str(machine), "-cp", str(folder), "Signatures", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, check=False, timeout=120, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
