"""What acceptance and integration tests share: the outside test data, and one living world a test process."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from gateway.store.migrate import upgrade
from gateway.testing.journey import Traveller
from gateway.testing.postgres import NoServerError, Server, fresh_database, serving
from gateway.testing.world import World

OUTSIDE = Path(os.environ.get("NSW_OUTSIDE_DATA") or Path(__file__).parents[2] / "shared" / "data")


@pytest.fixture(scope="session")
def outside() -> Path:
    """Find the outside test data; without it a test is skipped, and in CI it fails."""
    if not OUTSIDE.is_dir():
        reason = f"the outside test data is not at {OUTSIDE}; set NSW_OUTSIDE_DATA"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    return OUTSIDE


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test each hostile document of the outside data as its `attack`, or only those with a DOCTYPE as its `doctype`."""
    for name in {"attack", "doctype"}.intersection(metafunc.fixturenames):
        files = sorted(p for p in (OUTSIDE / "xml-attacks").rglob("*") if p.suffix in {".xml", ".xsd", ".xsl"})
        found = [p for p in files if name == "attack" or b"<!DOCTYPE" in p.read_bytes()]
        metafunc.parametrize(name, found, ids=[p.name for p in found])


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a PostgreSQL server: NSW_TEST_DATABASE_URL's, or one of this test process's own."""
    named = os.environ.get("NSW_TEST_DATABASE_URL")
    if named:
        yield named
        return
    with _served(tmp_path_factory.mktemp("postgres")) as server:
        yield server.url


@pytest.fixture
def postgres_alone(tmp_path: Path) -> Iterator[Server]:
    """Give a PostgreSQL server that the test may stop, kill and start again."""
    with _served(tmp_path) as server:
        yield server


@contextmanager
def _served(folder: Path) -> Iterator[Server]:
    """Run a server; where its programs cannot run here a test is skipped, and in CI it fails."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(serving(folder))
        except NoServerError as error:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no PostgreSQL: {error}")
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> Iterator[str]:
    """Name a database that has the gateway's tables, to be copied."""
    with fresh_database(postgres_server) as url:
        upgrade(url)
        yield url.partition("?")[0].rpartition("/")[2]


@pytest.fixture
def empty_postgres_url(postgres_server: str) -> Iterator[str]:
    """Give a PostgreSQL database without tables, for one test."""
    with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """Give a PostgreSQL database with the gateway's tables, empty, for one test."""
    with fresh_database(postgres_server, template=postgres_template) as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a file that has the gateway's tables, to be copied."""
    path = tmp_path_factory.mktemp("template") / "gateway.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """Give an SQLite database with the gateway's tables, empty, for one test."""
    return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'gateway.db')}"


@pytest.fixture(scope="session")
def living_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Start the gateway and every simulated agency once for all tests of this process."""
    with World(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture
def world(living_world: World) -> Iterator[World]:
    """Lend the world to a test, its agencies as they were in the beginning."""
    yield living_world
    for agency in living_world.agencies.values():
        agency.control(mode="up", delay_ms=0)


@pytest.fixture(scope="session")
def living_traveller(living_world: World) -> Traveller:
    """Keep one count of dossiers, so that no test opens another's."""
    return Traveller(world=living_world, first=1)


@pytest.fixture
def traveller(world: World, living_traveller: Traveller) -> Traveller:
    """Lend whoever opens dossiers and looks for them."""
    assert living_traveller.world is world
    return living_traveller
