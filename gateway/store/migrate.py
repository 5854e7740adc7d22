"""Brings a database's tables to the version this program speaks."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, make_url
from sqlalchemy.pool import NullPool


def upgrade(url: str) -> None:
    """Apply the migrations that are missing; does nothing on a database that has them all."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        if _present(connection) != _newest():
            command.upgrade(_config(connection), "head")
    engine.dispose()


def pending(url: str) -> bool:
    """Say whether migrations are missing."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return _present(connection) != _newest()


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
