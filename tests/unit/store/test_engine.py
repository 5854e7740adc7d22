"""What every database promises: a commit is durable and shared, a failure is the failing work's own, a close is final."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import bindparam, insert, select, text

from gateway.errors import Unavailable
from gateway.ports import Database, Tx
from gateway.store.engine import open_database
from gateway.store.migrate import upgrade
from gateway.store.tables import LEDGER

INSERT = insert(LEDGER).values({c: bindparam(c) for c in ("at", "kind", "leaf")})
KINDS = select(LEDGER.c.kind).order_by(LEDGER.c.id)
MODULES = {"sqlite": "sqlite", "postgresql": "postgres"}
MOST_READERS = 4
NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    upgrade(f"sqlite:///{tmp_path}/g.db")
    return f"sqlite:///{tmp_path}/g.db"


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
    monkeypatch.setattr(f"gateway.store.{MODULES[database.kind]}.BUSY_SECONDS", 0.05)
    gate = threading.Event()
    busy = threading.Barrier(MOST_READERS + 1)

    def slow(_: Tx) -> None:
        busy.wait(5)
        gate.wait(5)

    threads = [threading.Thread(target=database.read, args=(slow,)) for _ in range(MOST_READERS)]
    for thread in threads:
        thread.start()
    busy.wait(5)

    with pytest.raises(Unavailable):
        kinds(database)

    gate.set()
    for thread in threads:
        thread.join()
    assert kinds(database) == []


def test_a_work_that_fails_alone_leaves_nothing(database: Database) -> None:
    def fail(tx: Tx) -> None:
        add(tx, "bad")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        database.commit(fail)

    assert kinds(database) == []


def test_a_row_that_breaks_a_promise_of_its_table_is_a_defect_of_its_own_work(database: Database) -> None:
    def twice(tx: Tx) -> None:
        for _ in range(2):
            tx.changed(text("INSERT INTO dossiers (id, message, updated_at) VALUES ('d', 'm', 1)"))

    with pytest.raises(Exception, match=r"(?i)unique"):
        database.commit(twice)

    database.commit(lambda tx: add(tx, "after"))
    assert kinds(database) == ["after"]


def test_a_commit_gives_what_its_work_gives(database: Database) -> None:
    assert database.commit(lambda tx: tx.rows(select(LEDGER.c.kind))) == []
    assert database.commit(lambda tx: tx.changed(INSERT, at=1, kind="a", leaf="{}")) == 1


def test_time_stands_still_within_a_transaction(database: Database) -> None:
    first, second = database.commit(lambda tx: (tx.now(), tx.now()))

    assert first == second
    assert first.tzinfo is UTC
    assert database.read(lambda tx: tx.now()) >= first


def test_a_given_clock_stands_in_for_the_databases_own(url: str) -> None:
    database = open_database(url, clock=lambda: NOW)

    assert database.commit(lambda tx: tx.now()) == database.read(lambda tx: tx.now()) == NOW
    database.close()


def test_a_database_says_what_it_is(database: Database, url: str) -> None:
    assert url.startswith(database.kind)


@pytest.mark.parametrize(("url", "kind"), [("mysql://x/y", "mysql"), ("sqlite://", "?"), ("nonsense", "?"), ("", "?")])
def test_another_kind_of_database_is_refused_in_words(url: str, kind: str) -> None:
    with pytest.raises(Unavailable) as refused:
        open_database(url)

    assert refused.value.problems[0].values == {"kind": kind}


def test_what_is_only_written_is_there_for_the_next_question_and_after_the_commit(database: Database) -> None:
    def work(tx: Tx) -> list[tuple[str]]:
        for kind in ("a", "b", "c"):
            tx.write(INSERT, at=1, kind=kind, leaf="{}")
        seen = tx.rows(KINDS)
        tx.write(INSERT, at=1, kind="d", leaf="{}")
        return seen

    assert database.commit(work) == [("a",), ("b",), ("c",)]
    assert kinds(database) == ["a", "b", "c", "d"]


def test_what_is_only_written_and_breaks_a_promise_undoes_its_own_work(database: Database) -> None:
    def work(tx: Tx) -> None:
        add(tx, "bad")
        for _ in range(3):
            tx.write(text("INSERT INTO dossiers (id, message, updated_at) VALUES ('d', 'm', 1)"))

    with pytest.raises(Exception, match=r"(?i)unique"):
        database.commit(work)

    database.commit(lambda tx: add(tx, "after"))
    assert kinds(database) == ["after"]


def test_what_failed_again_and_again_may_be_written_when_it_is_right(database: Database) -> None:
    def open_dossiers(tx: Tx, *ids: str) -> None:
        for each in ids:
            tx.write(text("INSERT INTO dossiers (id, message, updated_at) VALUES (:id, 'm', 1)"), id=each)

    for _ in range(4):
        with pytest.raises(Exception, match=r"(?i)unique"):
            database.commit(lambda tx: open_dossiers(tx, "d", "d", "d"))
    database.commit(lambda tx: open_dossiers(tx, "a", "b"))

    assert database.read(lambda tx: tx.rows(text("SELECT count(*) FROM dossiers"))) == [(2,)]
