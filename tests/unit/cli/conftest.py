"""An installation of one's own for every test, and commands that run in this very process."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from typer.testing import CliRunner

from gateway.cli import installation
from gateway.cli.main import app
from gateway.config import Settings
from gateway.installed import discover, load_rules, load_schemas
from gateway.ports import Adapter
from gateway.routing.rules import Rules
from gateway.security.devpki import generate
from gateway.testing import builders
from gateway.xml.schemas import Schemas

PARTIES = ("NSW", "BNN", "TCHQ", "IPPC")


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it said where."""

    code: int
    out: str
    err: str
    raw: bytes

    @property
    def json(self) -> Any:
        """The one document on standard output."""
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A development PKI, made once."""
    folder = tmp_path_factory.mktemp("cli") / "pki"
    generate(folder, now=datetime.now(UTC), parties=PARTIES)
    return folder


@pytest.fixture(scope="session")
def compiled() -> Schemas:
    """The shipped schemas, compiled once."""
    return load_schemas(Settings(home=Path("/nowhere")))


@pytest.fixture(scope="session")
def checked(compiled: Schemas) -> Rules:
    """The shipped rules, checked once."""
    return load_rules(Settings(home=Path("/nowhere")), compiled, discover())


@pytest.fixture
def home(tmp_path: Path, pki: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, with keys; every setting of the developer is out of the way."""
    for name in [name for name in os.environ if name.startswith("NSW_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "home"
    shutil.copytree(pki, folder / "pki")
    for name, value in {"NSW_HOME": str(folder), "NSW_LANGUAGE": "en", "COLUMNS": "120", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    return folder


@pytest.fixture
def run(home: Path, compiled: Schemas, checked: Rules, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run `nsw` with arguments; a traceback fails the test. What is shipped is loaded once, what a test overrides each time."""
    mask = os.umask(0o077)
    monkeypatch.chdir(home)

    def schemas(chosen: Settings) -> Schemas:
        return load_schemas(chosen) if chosen.schema_folder.exists() else compiled

    def rules(chosen: Settings, known: Schemas, adapters: Mapping[str, Adapter]) -> Rules:
        return load_rules(chosen, known, adapters) if chosen.rule_folder.exists() else checked

    monkeypatch.setattr(installation, "load_schemas", schemas)
    monkeypatch.setattr(installation, "load_rules", rules)

    def call(*arguments: object, stdin: bytes = b"") -> Ran:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(code=result.exit_code, out=result.stdout, err=result.stderr, raw=result.stdout_bytes)

    yield call
    os.umask(mask)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, bytes | str], Path]:
    """Write a file and give its path."""

    def put(name: str, content: bytes | str) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return put


@pytest.fixture(scope="session")
def pretty() -> bytes:
    """A valid application with one element a line."""
    root = etree.fromstring(builders.message("10/01"))
    etree.indent(root)
    return etree.tostring(root, encoding="utf-8", xml_declaration=True)
