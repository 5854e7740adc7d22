"""Brings a database's tables to the version this program speaks."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool

from gateway.errors import Code, Problem, Unavailable


def upgrade(url: str) -> None:
    """Apply the migrations that are missing; does nothing on a database that has them all. Raises Unavailable."""
    _file(url).parent.mkdir(parents=True, exist_ok=True)
    with _connected(url) as connection:
        if _present(connection) != _newest():
            command.upgrade(_config(connection), "head")


def pending(url: str) -> bool:
    """Say whether migrations are missing, or more were applied than this program knows. Raises Unavailable."""
    with _connected(url) as connection:
        return _present(connection) != _newest()


def check_present(url: str) -> None:
    """Look whether a database is there and has the tables this program speaks of; raises Unavailable, and changes nothing."""
    file = _file(url)
    if not file.is_file():
        raise Unavailable(Code.UNAVAILABLE, Problem(text="store.absent", path=str(file)))
    if pending(url):
        raise Unavailable(Code.UNAVAILABLE, Problem(text="store.pending", path=str(file)))


def _file(url: str) -> Path:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise Unavailable(Code.UNAVAILABLE, Problem(text="store.kind", values={"kind": "?"})) from error
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        raise Unavailable(Code.UNAVAILABLE, Problem(text="store.kind", values={"kind": parsed.get_backend_name()}))
    return Path(parsed.database)


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    engine = create_engine(url, poolclass=NullPool)
    try:
        with engine.begin() as connection:
            yield connection
    except DBAPIError as error:
        raise Unavailable(Code.UNAVAILABLE, Problem(text="store.away", values={"cause": type(error).__name__})) from error
    finally:
        engine.dispose()


def _present(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _newest() -> str | None:
    return ScriptDirectory(_folder()).get_current_head()


def _folder() -> str:
    return str(Path(__file__).parent / "migrations")


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", _folder())
    config.attributes["connection"] = connection
    return config
