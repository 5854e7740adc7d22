"""What an administrator asks of a database: how large it is, and whether it keeps what it is told."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import func, select, text
from sqlalchemy import table as named

from gateway.errors import Problem
from gateway.ports import Database, Tx

# Rows of PostgreSQL are its own estimate: counting millions of them would take minutes.
_POSTGRES_SIZES = text(
    "SELECT relname::text, greatest(reltuples, 0)::bigint, pg_total_relation_size(oid) FROM pg_class"
    " WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace ORDER BY 3 DESC, 1"
)
_SQLITE_SIZES = text(
    "SELECT kept.tbl_name, SUM(pages.pgsize) FROM dbstat AS pages JOIN sqlite_schema AS kept ON kept.name = pages.name"
    " GROUP BY 1 ORDER BY 2 DESC, 1"
)
_POSTGRES_SETTINGS = text(
    "SELECT name, setting FROM pg_settings WHERE name IN ('server_version', 'server_encoding', 'fsync', 'full_page_writes',"
    " 'synchronous_commit', 'synchronous_standby_names', 'max_connections') ORDER BY name"
)
_SQLITE_VERSION, _SQLITE_CHECK = text("SELECT sqlite_version()"), text("PRAGMA quick_check(1)")
_MUST_BE_ON = ("fsync", "full_page_writes")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSize:
    """What one table takes, with its indexes and its large values."""

    name: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What was found: the settings that matter, and what is wrong with them."""

    facts: Mapping[str, str]
    problems: tuple[Problem, ...]


def sizes(database: Database) -> tuple[TableSize, ...]:
    """Say what each table takes, the largest first; rows are an estimate on PostgreSQL. Raises Unavailable."""

    def work(tx: Tx) -> tuple[TableSize, ...]:
        if database.kind == "postgresql":
            return tuple(TableSize(name=name, rows=rows, bytes=size) for name, rows, size in tx.rows(_POSTGRES_SIZES))
        kept = [(name, size) for name, size in tx.rows(_SQLITE_SIZES) if not name.startswith("sqlite_")]
        return tuple(TableSize(name=name, rows=_count(tx, name), bytes=size) for name, size in kept)

    return database.read(work)


def inspect(database: Database) -> Inspection:
    """Look whether a database keeps what it is told; reads the whole of an SQLite file. Raises Unavailable."""
    return database.read(_inspect_postgres if database.kind == "postgresql" else _inspect_sqlite)


def _inspect_postgres(tx: Tx) -> Inspection:
    facts = dict(tx.rows(_POSTGRES_SETTINGS))
    return Inspection(facts=facts, problems=tuple(_wrong(facts)))


def _wrong(facts: Mapping[str, str]) -> Iterator[Problem]:
    for name in _MUST_BE_ON:
        if facts[name] != "on":
            yield Problem(text="store.not-durable", path=name, values={"setting": name})
    if facts["server_encoding"] != "UTF8":
        yield Problem(text="store.encoding", path="server_encoding", values={"found": facts["server_encoding"]})
    if facts["synchronous_standby_names"] and facts["synchronous_commit"] == "local":
        yield Problem(text="store.not-replicated", path="synchronous_commit")


def _inspect_sqlite(tx: Tx) -> Inspection:
    ((version,),), ((verdict,),) = tx.rows(_SQLITE_VERSION), tx.rows(_SQLITE_CHECK)
    problems = () if verdict == "ok" else (Problem(text="store.damaged"),)
    return Inspection(facts={"sqlite_version": version, "quick_check": "ok" if verdict == "ok" else "damaged"}, problems=problems)


def _count(tx: Tx, table: str) -> int:
    ((rows,),) = tx.rows(select(func.count()).select_from(named(table)))
    return int(rows)
