"""Twenty thousand dead deliveries are replayed by one order; the process that does it is killed in the middle, another goes on."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import bindparam, func, select

from gateway.lifecycle import State
from gateway.outbox.mending import LEASE
from gateway.outbox.orders import Job, JobState
from gateway.routing.rules import load
from gateway.store.engine import open_database
from gateway.store.migrate import upgrade
from gateway.store.tables import DELIVERIES, LEDGER
from gateway.testing.desk import Desk, Time
from gateway.testing.world import until
from gateway.xml.shipped import shipped

pytestmark = pytest.mark.slow

MANY = 20_000
COUNT = select(func.count()).select_from(DELIVERIES).where(DELIVERIES.c.state == bindparam("state"))
TOLD = select(func.count(), func.count(LEDGER.c.delivery.distinct())).where(LEDGER.c.kind == "staff.replayed")


@dataclass
class Ahead(Time):
    """A clock that may run ahead of the world's, so that a lease ends without waiting for it."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(request.getfixturevalue("postgres_url")) if request.param == "postgresql" else f"sqlite:///{tmp_path}/gateway.db"


@pytest.fixture
def clock() -> Ahead:
    return Ahead()


@pytest.fixture
def desk(url: str, tmp_path: Path, clock: Ahead) -> Iterator[Desk]:
    upgrade(url)
    database = open_database(url, clock=clock)
    made = Desk(database=database, rules=load((shipped("routing_rules"),)), clock=clock, keys=tmp_path / "keys")
    made.fill(MANY - 1)
    yield made
    database.close()


def command(url: str, home: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8", "NSW_HOME": str(home), "NSW_DATABASE_URL": url}
    line = [sys.executable, "-m", "gateway.cli", "deliveries", *arguments]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def test_death_in_the_middle_loses_nothing_and_repeats_nothing(desk: Desk, clock: Ahead, url: str, tmp_path: Path) -> None:
    def begun() -> Job | None:
        return next((job for job in desk.mending.jobs().items if job.done >= MANY // 10), None)

    first = command(url, tmp_path, "replay", "--party", "BNN", "--json")
    job = until(begun, "a job under way", seconds=120)
    first.kill()
    first.communicate()
    half = desk.mending.job(job.id)
    assert (half.state, half.total) == (JobState.RUNNING, MANY)
    assert 0 < half.done < MANY
    assert desk.database.read(lambda tx: tx.rows(COUNT, state=State.QUEUED.value)) == [(half.done,)]
    assert desk.mending.take() is None

    clock.ahead = LEASE
    desk.run()

    done = desk.mending.job(job.id)
    assert (done.state, done.done, done.skipped) == (JobState.DONE, MANY, 0)
    assert desk.database.read(lambda tx: tx.rows(COUNT, state=State.QUEUED.value)) == [(MANY,)]
    assert desk.database.read(lambda tx: tx.rows(TOLD)) == [(MANY, MANY)]

    again = command(url, tmp_path, "replay", "--party", "BNN", "--json")
    output, _ = again.communicate(timeout=120)

    assert {name: json.loads(output)[name] for name in ("state", "total", "done")} == {"state": "done", "total": 0, "done": 0}
    assert desk.database.read(lambda tx: tx.rows(TOLD)) == [(MANY, MANY)]
