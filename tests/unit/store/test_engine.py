import resource
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import bindparam, insert, select

from gateway.errors import Unavailable
from gateway.ports import Database, Tx
from gateway.store.engine import open_database
from gateway.store.migrate import pending, upgrade
from gateway.store.sole import Sole
from gateway.store.sqlite import READERS
from gateway.store.tables import LEDGER, METADATA

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


def test_commit_is_seen_by_readers_when_it_returns(database: Database) -> None:
    database.commit(lambda tx: add(tx, "a"))

    assert kinds(database) == ["a"]


def test_commit_is_on_disk_when_it_returns(database: Database, tmp_path: Path) -> None:
    database.commit(lambda tx: add(tx, "a"))

    other = sqlite3.connect(tmp_path / "g.db")
    assert other.execute("SELECT kind FROM ledger").fetchall() == [("a",)]
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()


def test_failed_work_undoes_itself_and_not_its_neighbours(database: Database) -> None:
    gate = threading.Event()
    failures: list[Exception] = []

    def fail(tx: Tx) -> None:
        add(tx, "bad")
        raise ValueError("no")

    def failing() -> None:
        try:
            database.commit(fail)
        except ValueError as error:
            failures.append(error)

    def blocking(tx: Tx) -> None:
        gate.wait(5)
        add(tx, "first")

    threads = [threading.Thread(target=database.commit, args=(blocking,))]
    threads += [threading.Thread(target=failing), threading.Thread(target=database.commit, args=(lambda tx: add(tx, "good"),))]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()

    assert len(failures) == 1
    assert sorted(kinds(database)) == ["first", "good"]


def test_many_concurrent_commits_all_arrive(database: Database) -> None:
    threads = [threading.Thread(target=database.commit, args=(lambda tx, n=n: add(tx, str(n)),)) for n in range(50)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(kinds(database), key=int) == [str(n) for n in range(50)]


def test_full_database_is_unavailable_and_serves_again_afterwards(database: Database) -> None:
    def fill(_: Tx) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with pytest.raises(Unavailable):
        database.commit(fill)

    database.commit(lambda tx: add(tx, "after"))
    assert kinds(database) == ["after"]


def test_close_finishes_what_was_given(url: str) -> None:
    database = open_database(url)
    database.commit(lambda tx: add(tx, "a"))
    database.close()

    again = open_database(url)
    assert kinds(again) == ["a"]
    again.close()


def test_what_comes_after_the_close_is_unavailable_and_never_waits(url: str) -> None:
    database = open_database(url)
    database.close()

    database.close()

    with pytest.raises(Unavailable):
        database.commit(lambda tx: add(tx, "late"))
    with pytest.raises(Unavailable):
        kinds(database)


def test_works_that_race_with_the_close_are_done_or_refused(url: str) -> None:
    database = open_database(url)
    outcomes: list[str] = []

    def work(number: int) -> None:
        try:
            database.commit(lambda tx: add(tx, str(number)))
            outcomes.append(str(number))
        except Unavailable:
            outcomes.append("refused")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(20)]
    for thread in threads[:10]:
        thread.start()
    closing = threading.Thread(target=database.close)
    closing.start()
    for thread in threads[10:]:
        thread.start()
    for thread in (*threads, closing):
        thread.join(5)

    again = open_database(url)
    assert sorted(kinds(again)) == sorted(o for o in outcomes if o != "refused")
    assert len(outcomes) == 20
    again.close()


def test_readers_that_are_all_busy_are_not_waited_for_without_end(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.store.sqlite.BUSY_SECONDS", 0.05)
    gate = threading.Event()
    busy = threading.Barrier(READERS + 1)

    def slow(_: Tx) -> None:
        busy.wait(5)
        gate.wait(5)

    threads = [threading.Thread(target=database.read, args=(slow,)) for _ in range(READERS)]
    for thread in threads:
        thread.start()
    busy.wait(5)

    with pytest.raises(Unavailable):
        kinds(database)

    gate.set()
    for thread in threads:
        thread.join()
    assert kinds(database) == []


def test_file_that_is_no_database_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "g.db").write_bytes(b"this is not a database at all, only some text" * 100)

    with pytest.raises(Unavailable):
        open_database(f"sqlite:///{tmp_path}/g.db")


def test_damaged_database_is_unavailable_and_not_a_defect(database: Database) -> None:
    def read_damaged(_: Tx) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    with pytest.raises(Unavailable):
        database.commit(read_damaged)


def test_broken_promise_of_a_table_is_a_defect_of_its_own_work(database: Database) -> None:
    def twice(_: Tx) -> None:
        raise sqlite3.IntegrityError("UNIQUE constraint failed")

    with pytest.raises(sqlite3.IntegrityError):
        database.commit(twice)


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


def test_another_kind_of_database_is_refused_in_words() -> None:
    with pytest.raises(Unavailable) as refused:
        open_database("mysql://x/y")

    assert refused.value.problems[0].values == {"kind": "mysql"}


def test_migrations_make_exactly_the_tables_of_the_program(url: str, tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415  # only here
    from alembic.migration import MigrationContext  # noqa: PLC0415  # only here
    from sqlalchemy import create_engine  # noqa: PLC0415  # only here

    engine = create_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()
    assert not pending(url)
    assert pending(f"sqlite:///{tmp_path}/empty.db")


def test_second_process_is_kept_away_until_the_first_ends(tmp_path: Path) -> None:
    first = Sole(tmp_path / "g.db.lock")

    with pytest.raises(Unavailable):
        Sole(tmp_path / "g.db.lock")

    first.release()
    Sole(tmp_path / "g.db.lock").release()
