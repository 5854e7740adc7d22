from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any, TypeVar

import pytest
from sqlalchemy import func, select

from gateway.errors import Unavailable
from gateway.ports import Tx
from gateway.store.engine import open_database
from gateway.store.migrate import upgrade
from gateway.store.probe import FRESH, Probe
from gateway.store.sharing import away
from gateway.store.tables import DOSSIERS

T = TypeVar("T")


class Away:
    """A database that counts commits, and can do none while `cause` says why."""

    kind = "sqlite"

    def __init__(self) -> None:
        self.cause = "SQLITE_FULL"
        self.asked = 0

    def commit(self, _work: Callable[[Tx], T]) -> Any:
        self.asked += 1
        if self.cause:
            raise away(self.cause)

    def read(self, _work: Callable[[Tx], T]) -> Any:
        raise AssertionError("reading proves nothing")

    def close(self) -> None:
        """Hold nothing."""


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_database_that_takes_writes_has_no_problems_and_keeps_nothing_of_the_look(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/g.db"
    upgrade(url)
    database = open_database(url)

    assert Probe(database, entropy=bytes).problems() == ()
    assert database.read(lambda tx: tx.rows(select(func.count()).select_from(DOSSIERS))) == [(0,)]
    database.close()


def test_a_database_on_postgresql_is_looked_at_the_same_way(postgres_url: str) -> None:
    database = open_database(postgres_url)

    assert Probe(database, entropy=bytes).problems() == ()
    database.close()


def test_it_says_why_nothing_can_be_written_and_then_that_it_can_again() -> None:
    database, time = Away(), Time()
    probe = Probe(database, entropy=bytes, elapsed=time)

    [problem] = probe.problems()
    database.cause = ""
    time.now += FRESH

    assert (problem.text, problem.values["cause"]) == ("store.away", "SQLITE_FULL")
    assert probe.problems() == ()


def test_whoever_asks_often_costs_a_commit_a_second() -> None:
    database, time = Away(), Time()
    probe = Probe(database, entropy=bytes, elapsed=time)

    for _ in range(10):
        probe.problems()

    assert database.asked == 1


def test_while_one_look_waits_for_the_database_others_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting, release = Event(), Event()

    class Slow(Away):
        def commit(self, _work: Callable[[Tx], T]) -> Any:
            waiting.set()
            release.wait()

    monkeypatch.setattr("gateway.store.probe.PATIENCE", 0.01)
    probe = Probe(Slow(), entropy=bytes)
    looking = Thread(target=probe.problems)
    looking.start()
    waiting.wait()

    [problem] = probe.problems()
    release.set()
    looking.join()

    assert problem.values["cause"] == "busy"


def test_a_closed_database_is_a_problem_and_no_exception(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/g.db"
    upgrade(url)
    database = open_database(url)
    database.close()

    with pytest.raises(Unavailable):
        database.commit(lambda _: None)
    assert [p.values["cause"] for p in Probe(database, entropy=bytes).problems()] == ["closed"]
