"""Brings a database's tables to the version this program speaks, in two halves.

The first half only adds, so that the release before keeps working on it: any process applies it when it starts. The second half takes
away what the release before still used; it is applied by hand, once no process of that release runs.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from gateway.errors import Code, Problem, Unavailable

from .engine import file_of, kind_of
from .postgres import connect
from .sharing import away

FOLDER = Path(__file__).parent / "migrations"
UPGRADES = 0x6E73775F_75706772  # the advisory lock of whoever upgrades
# Waiting for whoever upgrades has no limit. A change of tables has: it waits for whoever uses them, and all others wait for it.
ALONE = (
    "SET statement_timeout = 0",
    "SET idle_in_transaction_session_timeout = 0",
    f"SELECT pg_advisory_xact_lock({UPGRADES})",
    "SET lock_timeout = '5s'",
)
UPGRADE_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Half:
    """One half of the migrations: the folder of its files, and the table that says how far it was applied."""

    folder: str
    table: str


PRE = Half(folder="versions", table="alembic_version")
POST = Half(folder="afterwards", table="alembic_version_afterwards")


class Level(StrEnum):
    """How far a half was applied, as this program sees it; NEWER where more was than it knows."""

    PENDING = "pending"
    COMPLETE = "complete"
    NEWER = "newer"


def upgrade(url: str, half: Half = PRE) -> None:
    """Apply the migrations of a half that are missing; does nothing where it has them all. Raises Unavailable.

    Processes that upgrade at once wait for each other. The second half refuses before the first is there. The first half of the
    next release does this one no harm, so that a process may start again while others are upgraded; its second half does.
    """
    if kind_of(url) == "sqlite":
        file_of(url).parent.mkdir(parents=True, exist_ok=True)
    with _connected(url) as connection:
        if half is POST and _level(connection, PRE) is Level.PENDING:
            raise Unavailable(Code.UNAVAILABLE, Problem(text="store.halves"))
        if _level(connection, POST) is Level.NEWER:
            raise Unavailable(Code.UNAVAILABLE, Problem(text="store.newer", path=_place(url)))
        if _level(connection, half) is Level.PENDING:
            command.upgrade(_config(half, connection), "head")


def level(url: str, half: Half = PRE) -> Level:
    """Say how far a half was applied; raises Unavailable."""
    with _connected(url) as connection:
        return _level(connection, half)


def pending(url: str, half: Half = PRE) -> bool:
    """Say whether migrations of a half are missing; raises Unavailable."""
    return level(url, half) is Level.PENDING


def check_present(url: str) -> None:
    """Look whether a database is there and has the tables this program speaks of; raises Unavailable, and changes nothing."""
    check_there(url)
    with _connected(url) as connection:
        first, second = (_level(connection, half) for half in (PRE, POST))
    if second is Level.NEWER:
        raise Unavailable(Code.UNAVAILABLE, Problem(text="store.newer", path=_place(url)))
    if first is Level.PENDING:
        raise Unavailable(Code.UNAVAILABLE, Problem(text="store.pending", path=_place(url)))


def check_there(url: str) -> None:
    """Look whether there is a database at all, which asking an SQLite file would make; raises Unavailable."""
    if kind_of(url) == "sqlite" and not file_of(url).is_file():
        raise Unavailable(Code.UNAVAILABLE, Problem(text="store.absent", path=str(file_of(url))))


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    """Lend a connection in a transaction; on PostgreSQL to one process at a time."""
    engine = _engine(url)
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                for statement in ALONE:
                    connection.execute(text(statement))
            yield connection
    except (DBAPIError, psycopg.Error) as error:
        raise away(type(getattr(error, "orig", error)).__name__) from error
    finally:
        engine.dispose()


def _engine(url: str) -> Engine:
    if kind_of(url) == "sqlite":
        return _whole(create_engine(url, poolclass=NullPool))
    return create_engine("postgresql+psycopg://", creator=_creator(url), poolclass=NullPool)


def _whole(engine: Engine) -> Engine:
    """Let SQLite's changes of tables happen together or not at all: by itself its driver commits each of them."""
    event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _creator(url: str) -> Callable[[], psycopg.Connection]:
    """Make what connects as the gateway itself does; migrations run in transactions."""

    def create() -> psycopg.Connection:
        connection = connect(url)
        connection.patience = UPGRADE_SECONDS
        connection.autocommit = False
        return connection

    return create


def _level(connection: Connection, half: Half) -> Level:
    present = MigrationContext.configure(connection, opts={"version_table": half.table}).get_current_revision()
    scripts = ScriptDirectory.from_config(_config(half, connection))
    if present == scripts.get_current_head():
        return Level.COMPLETE
    known = {script.revision for script in scripts.walk_revisions()} | {None}
    return Level.PENDING if present in known else Level.NEWER


def _place(url: str) -> str:
    return str(file_of(url)) if kind_of(url) == "sqlite" else "NSW_DATABASE_URL"


def _config(half: Half, connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("version_locations", str(FOLDER / half.folder))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    config.attributes["version_table"] = half.table
    return config
