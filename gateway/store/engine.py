"""Opens the database that an address names."""

from pathlib import Path

from sqlalchemy import literal, make_url, select
from sqlalchemy.exc import ArgumentError

from gateway.errors import Code, Problem, Unavailable
from gateway.ports import Clock, Database

from .postgres import PostgresDatabase, standby_of
from .sqlite import SqliteDatabase
from .times import utc

PING = select(literal(1))


def open_database(url: str, *, clock: Clock | None = None) -> Database:
    """Open sqlite:///PATH or postgresql://..., which tells the time itself unless a clock is given. Raises Unavailable."""
    if kind_of(url) == "sqlite":
        return SqliteDatabase(file_of(url), clock=clock or utc)
    database = PostgresDatabase(url, clock=clock)
    database.read(lambda tx: tx.rows(PING))
    return database


def open_standby(url: str) -> Database:
    """Know a PostgreSQL that is only read; it may be away, and come and go."""
    return PostgresDatabase(standby_of(url))


def kind_of(url: str) -> str:
    """Name the kind of database an address is of: "sqlite" or "postgresql"; raises Unavailable for another."""
    kind, _, place = url.partition("://")
    if kind not in {"sqlite", "postgresql"} or not place.strip("/"):
        raise _unknown(kind if place else "?")
    return kind


def file_of(url: str) -> Path:
    """Give the file that an SQLite address names; raises Unavailable for an address that cannot be read."""
    try:
        return Path(make_url(url).database or "")
    except ArgumentError as error:
        raise _unknown("?") from error


def _unknown(kind: str) -> Unavailable:
    return Unavailable(Code.UNAVAILABLE, Problem(text="store.kind", values={"kind": kind}))
