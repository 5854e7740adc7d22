"""What SQLite does where the disk is full or a file is damaged."""

import resource
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import bindparam, insert, select

from gateway.errors import Unavailable
from gateway.ports import Database, Tx
from gateway.store.engine import open_database
from gateway.store.migrate import upgrade
from gateway.store.tables import LEDGER

INSERT = insert(LEDGER).values({c: bindparam(c) for c in ("at", "kind", "leaf")})
KINDS = select(LEDGER.c.kind).order_by(LEDGER.c.id)


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/g.db"
    upgrade(url)
    return url


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = open_database(url)
    yield database
    database.close()


def add(tx: Tx, kind: str) -> None:
    tx.changed(INSERT, at=1, kind=kind, leaf="{}")


def kinds(database: Database) -> list[str]:
    return [row[0] for row in database.read(lambda tx: tx.rows(KINDS))]


def test_commit_is_on_disk_when_it_returns(database: Database, tmp_path: Path) -> None:
    database.commit(lambda tx: add(tx, "a"))

    other = sqlite3.connect(tmp_path / "g.db")
    assert other.execute("SELECT kind FROM ledger").fetchall() == [("a",)]
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()


def test_full_database_is_unavailable_and_serves_again_afterwards(database: Database) -> None:
    def fill(_: Tx) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with pytest.raises(Unavailable):
        database.commit(fill)

    database.commit(lambda tx: add(tx, "after"))
    assert kinds(database) == ["after"]


def test_file_that_is_no_database_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "g.db").write_bytes(b"this is not a database at all, only some text" * 100)

    with pytest.raises(Unavailable):
        open_database(f"sqlite:///{tmp_path}/g.db")


def test_damaged_database_is_unavailable_and_not_a_defect(database: Database) -> None:
    def read_damaged(_: Tx) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    with pytest.raises(Unavailable):
        database.commit(read_damaged)


def test_database_that_may_not_grow_is_unavailable_until_it_may(url: str, tmp_path: Path) -> None:
    database = open_database(url)
    database.commit(lambda tx: add(tx, "before"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    wal = tmp_path / "g.db-wal"
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal.stat().st_size, hard))  # as a full disk does: no write may go further
    try:
        with pytest.raises(Unavailable):
            database.commit(lambda tx: add(tx, "lost" * 10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    database.commit(lambda tx: add(tx, "after"))
    assert kinds(database) == ["before", "after"]
    database.close()
