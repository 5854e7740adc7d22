"""Brings a database's tables to the version this program speaks, in two halves.

The first half only adds, so that the release before keeps working on it: any process applies it when it starts. The second half takes
away what the release before still used; it is applied by hand, once no process of that release runs.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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


def upgrade(url: str, half: Half = PRE) -> None:
    """Apply the migrations of a half that are missing; does nothing where it has them all. Raises Unavailable.

    Processes that upgrade at once wait for each other. The second half refuses before the first is there.
    """
    if kind_of(url) == "sqlite":
        file_of(url).parent.mkdir(parents=True, exist_ok=True)
    with _connected(url) as connection:
        if half is POST and _missing(connection, PRE):
            raise Unavailable(Code.UNAVAILABLE, Problem(text="store.halves"))
        if _missing(connection, half):
            command.upgrade(_config(half, connection), "head")


def pending(url: str, half: Half = PRE) -> bool:
    """Say whether migrations of a half are missing, or more were applied than this program knows. Raises Unavailable."""
    with _connected(url) as connection:
        return _missing(connection, half)


def check_present(url: str) -> None:
    """Look whether a database is there and has the tables this program speaks of; raises Unavailable, and changes nothing."""
    check_there(url)
    if pending(url):
        place = str(file_of(url)) if kind_of(url) == "sqlite" else "NSW_DATABASE_URL"
        raise Unavailable(Code.UNAVAILABLE, Problem(text="store.pending", path=place))


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


def _missing(connection: Connection, half: Half) -> bool:
    present = MigrationContext.configure(connection, opts={"version_table": half.table}).get_current_revision()
    return present != ScriptDirectory.from_config(_config(half, connection)).get_current_head()


def _config(half: Half, connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("version_locations", str(FOLDER / half.folder))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    config.attributes["version_table"] = half.table
    return config
