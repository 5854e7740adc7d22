"""What PostgreSQL does where servers restart, hang or lose their standby, and where transactions are in each other's way."""

import threading
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import bindparam, insert, select, text

from gateway.errors import Unavailable
from gateway.ports import Database, Tx
from gateway.store.engine import open_database, open_standby
from gateway.store.migrate import upgrade
from gateway.store.postgres import Connection, PostgresDatabase
from gateway.store.tables import LEDGER
from gateway.testing.postgres import Server

pytestmark = pytest.mark.slow

WAIT = 20
INSERT = insert(LEDGER).values({c: bindparam(c) for c in ("at", "kind", "leaf")})
KINDS = select(LEDGER.c.kind).order_by(LEDGER.c.kind)
DOSSIER = text("INSERT INTO dossiers (id, message, updated_at) VALUES (:id, 'm', 0)")
TOUCH = text("UPDATE dossiers SET updated_at = updated_at + 1 WHERE id = :id")
TOUCHED = text("SELECT updated_at FROM dossiers ORDER BY id")
SAME = text("SELECT id FROM dossiers WHERE id = :id")


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    database = open_database(postgres_url)
    yield database
    database.close()


@pytest.fixture
def other(postgres_url: str) -> Iterator[Database]:
    """The same database, as another process sees it."""
    database = open_database(postgres_url)
    yield database
    database.close()


@pytest.fixture
def lonely(postgres_alone: Server) -> Iterator[Database]:
    """A database whose server the test may stop."""
    upgrade(postgres_alone.url)
    database = open_database(postgres_alone.url)
    yield database
    database.close()


def add(tx: Tx, kind: str) -> None:
    tx.changed(INSERT, at=1, kind=kind, leaf="{}")


def kinds(database: Database) -> list[str]:
    return [row[0] for row in database.read(lambda tx: tx.rows(KINDS))]


def at_once(*runs: Callable[[], object]) -> list[threading.Thread]:
    threads = [threading.Thread(target=run) for run in runs]
    for thread in threads:
        thread.start()
    return threads


def joined(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(WAIT)
    assert not any(thread.is_alive() for thread in threads)


# --- the server goes away ------------------------------------------------------------------------------------------


def test_server_that_is_away_is_unavailable_and_serves_again_when_it_is_back(lonely: Database, postgres_alone: Server) -> None:
    lonely.commit(lambda tx: add(tx, "before"))
    postgres_alone.stop()

    with pytest.raises(Unavailable) as refused:
        lonely.commit(lambda tx: add(tx, "lost"))
    with pytest.raises(Unavailable):
        kinds(lonely)
    postgres_alone.start()

    lonely.commit(lambda tx: add(tx, "later"))
    assert kinds(lonely) == ["before", "later"]
    assert refused.value.problems[0].text == "store.away"


def test_restart_between_two_calls_is_not_noticed(lonely: Database, postgres_alone: Server) -> None:
    lonely.commit(lambda tx: add(tx, "before"))
    kinds(lonely)
    postgres_alone.stop()
    postgres_alone.start()

    lonely.commit(lambda tx: add(tx, "after"))

    assert kinds(lonely) == ["after", "before"]


def test_crash_in_the_middle_of_a_work_undoes_it(lonely: Database, postgres_alone: Server) -> None:
    def crash(tx: Tx) -> None:
        add(tx, "lost")
        postgres_alone.kill()
        add(tx, "lost too")

    with pytest.raises(Unavailable):
        lonely.commit(crash)
    postgres_alone.start()

    assert kinds(lonely) == []


def test_server_that_hangs_is_given_up(lonely: Database, postgres_alone: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "patience", 0.3)
    lonely.commit(lambda tx: add(tx, "before"))
    postgres_alone.pause()
    try:
        with pytest.raises(Unavailable):
            lonely.commit(lambda tx: add(tx, "lost"))
    finally:
        postgres_alone.resume()
    monkeypatch.undo()

    lonely.commit(lambda tx: add(tx, "later"))
    assert "later" in kinds(lonely)


def test_address_without_a_server_is_unavailable_at_once() -> None:
    with pytest.raises(Unavailable):
        open_database("postgresql://nobody@127.0.0.1:1/none")


def test_of_several_hosts_the_one_that_serves_is_found(postgres_url: str) -> None:
    place = postgres_url.partition("@")[2]
    if "?" in postgres_url or postgres_url.count("@") != 1:
        pytest.skip("the server's address has parameters of its own")
    database = open_database(f"postgresql://nsw@127.0.0.1:1,{place}")

    database.commit(lambda tx: add(tx, "a"))

    assert kinds(database) == ["a"]
    database.close()


def test_standby_that_is_away_does_not_keep_anything_from_starting(postgres_url: str, database: Database) -> None:
    database.commit(lambda tx: add(tx, "a"))
    away, there = open_standby("postgresql://nobody@127.0.0.1:1/none"), open_standby(postgres_url)

    with pytest.raises(Unavailable):
        kinds(away)

    assert kinds(there) == ["a"]
    away.close()
    there.close()


# --- what a commit promises ----------------------------------------------------------------------------------------


def test_commit_that_no_standby_confirms_is_not_promised(lonely: Database, postgres_alone: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.store.postgres.COMMIT_SECONDS", 0.5)
    _set(postgres_alone, "synchronous_standby_names", "nobody")
    try:
        with pytest.raises(Unavailable):
            lonely.commit(lambda tx: add(tx, "unknown"))
        assert kinds(lonely) == []  # nobody is told of what a standby may still lack
    finally:
        _set(postgres_alone, "synchronous_standby_names", "")

    lonely.commit(lambda tx: add(tx, "confirmed"))
    assert "confirmed" in kinds(lonely)


def test_commit_whose_wait_was_cancelled_is_not_promised(lonely: Database, postgres_alone: Server) -> None:
    _set(postgres_alone, "synchronous_standby_names", "nobody")
    failures: list[Exception] = []

    def commit() -> None:
        try:
            lonely.commit(lambda tx: add(tx, "unknown"))
        except Unavailable as error:
            failures.append(error)

    threads = at_once(commit)
    with psycopg.connect(postgres_alone.url, autocommit=True) as connection:
        _until(lambda: connection.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").rowcount == 1)
    joined(threads)
    _set(postgres_alone, "synchronous_standby_names", "")

    assert len(failures) == 1


def test_synchronous_commit_that_was_turned_off_is_turned_on(lonely: Database, postgres_alone: Server) -> None:
    _set(postgres_alone, "synchronous_commit", "off")
    database = open_database(postgres_alone.url)

    assert database.commit(lambda tx: tx.rows(text("SHOW synchronous_commit"))) == [("on",)]
    assert lonely.kind == database.kind
    database.close()


def test_work_that_hides_a_failed_statement_is_not_promised(database: Database) -> None:
    def hide(tx: Tx) -> None:
        add(tx, "lost")
        try:
            tx.rows(text("SELECT nonsense"))
        except psycopg.Error:
            return

    with pytest.raises(Unavailable):
        database.commit(hide)

    assert kinds(database) == []


# --- transactions in each other's way ------------------------------------------------------------------------------


def test_row_that_another_process_wrote_first_is_seen_by_the_work_that_lost(database: Database, other: Database) -> None:
    first, gate = threading.Event(), threading.Event()
    seen: list[str] = []

    def open_or_find(tx: Tx, name: str) -> None:
        found = tx.rows(SAME, id="d")
        if not found:
            tx.changed(DOSSIER, id="d")
        seen.append(f"{name} {'found' if found else 'opened'}")

    def slow(tx: Tx) -> None:
        open_or_find(tx, "first")
        first.set()
        assert gate.wait(WAIT)

    threads = at_once(lambda: database.commit(slow))
    assert first.wait(WAIT)
    threads += at_once(lambda: other.commit(lambda tx: open_or_find(tx, "second")))
    _until(lambda: _waiting_for_locks(database) == 1)
    gate.set()
    joined(threads)

    assert seen == ["first opened", "second found"]


def test_works_that_wait_for_each_other_are_both_done(database: Database, other: Database) -> None:
    meeting = threading.Barrier(2)
    once = {"database": True, "other": True}
    database.commit(lambda tx: [tx.changed(DOSSIER, id=each) for each in ("a", "b")])

    def cross(name: str, *ids: str) -> Callable[[Tx], None]:
        def work(tx: Tx) -> None:
            tx.changed(TOUCH, id=ids[0])
            if once.pop(name, False):
                meeting.wait(WAIT)
            tx.changed(TOUCH, id=ids[1])

        return work

    joined(at_once(lambda: database.commit(cross("database", "a", "b")), lambda: other.commit(cross("other", "b", "a"))))

    assert database.read(lambda tx: tx.rows(TOUCHED)) == [(2,), (2,)]


def test_row_that_stays_held_is_unavailable_to_its_own_work_only(
    database: Database, other: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.postgres.LONE_LOCK_MS", 50)
    held, gate = threading.Event(), threading.Event()
    database.commit(lambda tx: tx.changed(DOSSIER, id="d"))

    def hold(tx: Tx) -> None:
        tx.changed(TOUCH, id="d")
        held.set()
        assert gate.wait(WAIT)

    threads = at_once(lambda: database.commit(hold))
    assert held.wait(WAIT)
    with pytest.raises(Unavailable):
        other.commit(lambda tx: tx.changed(TOUCH, id="d"))
    other.commit(lambda tx: add(tx, "free"))
    gate.set()
    joined(threads)

    assert kinds(other) == ["free"]


def test_batch_whose_rows_are_held_is_done_one_by_one(postgres_url: str, other: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.store.postgres.WRITERS", 1)
    monkeypatch.setattr("gateway.store.postgres.SHARED_LOCK_MS", 20)
    database = PostgresDatabase(postgres_url)
    database.commit(lambda tx: tx.changed(DOSSIER, id="d"))
    held, gate, first, go = (threading.Event() for _ in range(4))

    def hold(tx: Tx) -> None:
        tx.changed(TOUCH, id="d")
        held.set()
        assert gate.wait(WAIT)

    def begin(_: Tx) -> None:
        first.set()
        assert go.wait(WAIT)

    threads = at_once(lambda: other.commit(hold), lambda: database.commit(begin))
    assert held.wait(WAIT)
    assert first.wait(WAIT)
    threads += at_once(*(lambda n=n: database.commit(lambda tx: add(tx, f"{n}")) for n in range(5)))
    threads += at_once(lambda: database.commit(lambda tx: tx.changed(TOUCH, id="d")))
    go.set()
    _until(lambda: kinds(database) == ["0", "1", "2", "3", "4"])  # though the sixth of them still waits
    gate.set()
    joined(threads)

    assert database.read(lambda tx: tx.rows(TOUCHED)) == [(2,)]
    database.close()


# --- values --------------------------------------------------------------------------------------------------------


def test_text_with_a_nul_is_kept_and_looked_for_without_it(database: Database) -> None:
    database.commit(lambda tx: add(tx, "a\0b"))

    found = database.read(lambda tx: tx.rows(select(LEDGER.c.kind).where(LEDGER.c.kind == bindparam("kind")), kind="a\0b"))

    assert found == [("a\ufffdb",)]


def test_bytes_come_back_as_they_were(database: Database) -> None:
    content = bytes(range(256)) * 100

    assert database.read(lambda tx: tx.rows(text("SELECT CAST(:content AS bytea)"), content=content)) == [(content,)]


def _set(server: Server, name: str, value: str) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
        connection.execute("SELECT pg_reload_conf()")
        _until(lambda: connection.execute(sql.SQL("SHOW {}").format(sql.Identifier(name))).fetchone() == (value,))


def _waiting_for_locks(database: Database) -> int:
    ((count,),) = database.read(
        lambda tx: tx.rows(text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"))
    )
    return int(count)


def _until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_connection_that_is_lost_after_an_answer_is_no_reason_to_run_the_work_again(database: Database) -> None:
    runs: list[object] = []

    def work(tx: Tx) -> None:
        runs.append(tx.rows(text("SELECT pg_backend_pid()")))
        if len(runs) > 1:
            tx.rows(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    database.commit(work)
    with pytest.raises(Unavailable):
        database.commit(work)

    assert len(runs) == 2
