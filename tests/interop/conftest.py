"""What the interoperability tests share: keys, and the outside tools, which CI must have."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.testing.signing import Bench, make_bench

JVM = Path(__file__).parent / "jvm"  # Java programs


def missing(what: str) -> None:
    """Skip on a developer's machine, fail in CI: there nothing may be left untested."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}; CI needs it")
    pytest.skip(what)


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return make_bench(tmp_path_factory.mktemp("pki"))


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


def compiled(folder: Path, program: str, path: str = "") -> Callable[..., str]:
    """Compile a Java program; gives what runs it and returns what it prints."""
    compiler, machine = shutil.which("javac"), shutil.which("java")
    if compiler is None or machine is None:
        missing("no JDK (apt-get install default-jdk-headless)")
    path = os.pathsep.join(filter(None, (str(folder), path)))
    subprocess.run([str(compiler), "-cp", path, "-d", str(folder), str(JVM / f"{program}.java")], check=True, timeout=120)

    def run(*arguments: object) -> str:
        command = [str(machine), "-cp", path, program, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, check=False, timeout=120, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The class path of what comes from Maven Central: the EU's DSS, and Apache's Santuario and WSS4J."""
    maven, written = shutil.which("mvn"), tmp_path_factory.mktemp("libraries") / "path"
    if maven is None:
        missing("no Maven (apt-get install maven)")
    asked = ["-q", "-B", "-f", str(JVM / "pom.xml"), "dependency:build-classpath", f"-Dmdep.outputFile={written}"]
    fetched = subprocess.run([str(maven), *asked], capture_output=True, check=False, timeout=600)
    if fetched.returncode:
        missing("Maven Central cannot be reached, where DSS, Santuario and WSS4J come from")
    return written.read_text("utf-8").strip()


@pytest.fixture(scope="session")
def jdk(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Run the program that signs and verifies, with the JDK's own javax.xml.crypto."""
    return compiled(tmp_path_factory.mktemp("jdk"), "Signatures")


@pytest.fixture(scope="session")
def santuario(tmp_path_factory: pytest.TempPathFactory, libraries: str) -> Callable[..., str]:
    """Run the same program with Apache Santuario."""
    run = compiled(tmp_path_factory.mktemp("santuario"), "Signatures", libraries)
    return lambda questions: run(questions, "org.apache.jcp.xml.dsig.internal.dom.XMLDSigRI")


@pytest.fixture(scope="session")
def wss4j(tmp_path_factory: pytest.TempPathFactory, libraries: str) -> Callable[..., str]:
    """Run the program that secures and judges SOAP messages with Apache WSS4J."""
    return compiled(tmp_path_factory.mktemp("wss4j"), "Messages", libraries)


@pytest.fixture(scope="session")
def dss(tmp_path_factory: pytest.TempPathFactory, libraries: str) -> Callable[..., str]:
    """Run the EU's DSS."""
    return compiled(tmp_path_factory.mktemp("dss"), "Judge", libraries)
