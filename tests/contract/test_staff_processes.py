"""What staff do at one process while another works on the same message, on PostgreSQL."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from gateway.errors import GatewayError
from gateway.lifecycle import Failed, State, Step
from gateway.model import DeliveryId, Request
from gateway.outbox import mending
from gateway.outbox.acts import Acts
from gateway.outbox.orders import Act, Choice, Order
from gateway.outbox.payloads import Payloads
from gateway.outbox.purging import purge
from gateway.ports import Database
from gateway.routing.rules import load
from gateway.security.cipher import FileCipher
from gateway.store.engine import open_database
from gateway.testing.aging import CONTENT, Aging
from gateway.testing.desk import Desk, Time
from gateway.testing.entries import BNN, NSW, make_entry
from gateway.xml.shipped import shipped

WAIT = 20
LOCKED = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
ELSEWHERE = Order(act=Act.REDIRECT, party="TCHQ", reason="x")


class Halt:
    """Stops whoever comes first after what it did, before its commit, until it is let go."""

    def __init__(self, work: Callable[..., Any]) -> None:
        self._work = work
        self._first = threading.Lock()
        self.came, self.gate = threading.Event(), threading.Event()

    def __call__(self, *given: Any, **named: Any) -> Any:
        result = self._work(*given, **named)
        if self._first.acquire(blocking=False):
            self.came.set()
            assert self.gate.wait(WAIT)
        return result


class Run(threading.Thread):
    """Something done at a process; `ended` by what it raised, empty where nothing."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__()
        self._work = work
        self.ended: str | None = None
        self.start()

    def run(self) -> None:
        try:
            self._work()
        except GatewayError as error:
            self.ended = error.problems[0].text
        else:
            self.ended = ""


@dataclass
class Two:
    """Two processes over one database: staff's desks, and what ages at the first."""

    desks: list[Desk]
    aging: Aging

    def behind(self, halt: Halt, work: Callable[[], object]) -> Run:
        """Do something while the other is halted, let it wait or end, and let the other go on."""
        assert halt.came.wait(WAIT)
        run = Run(work)
        end = time.monotonic() + WAIT
        while run.ended is None and not self.aging.database.read(lambda tx: tx.rows(LOCKED))[0][0]:
            assert time.monotonic() < end
            time.sleep(0.005)
        halt.gate.set()
        run.join(WAIT)
        return run


@pytest.fixture
def two(postgres_url: str, tmp_path: Path) -> Iterator[Two]:
    clock = Time()
    databases: list[Database] = [open_database(postgres_url, clock=clock) for _ in range(2)]
    rules = load((shipped("routing_rules"),))
    desks = [Desk(database=database, rules=rules, clock=clock, keys=tmp_path / "keys") for database in databases]
    payloads = Payloads(cipher=FileCipher(tmp_path / "keys", entropy=os.urandom))
    yield Two(desks=desks, aging=Aging(database=databases[0], payloads=payloads, folder=tmp_path / "archive", clock=clock))
    for database in databases:
        database.close()


def redirect(desk: Desk, delivery: DeliveryId) -> None:
    desk.mending.once(ELSEWHERE, delivery, by="key:lan")


def test_party_gets_a_message_once_though_two_redirect_it_at_once(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = make_entry(parties=(BNN, NSW))
    two.desks[0].outbox.record(entry)
    first, second = entry.receipt.deliveries
    halt = Halt(Acts.perform)
    monkeypatch.setattr(Acts, "perform", lambda *given: halt(*given))  # noqa: PLW0108  # a method, which only a function becomes
    before = Run(lambda: redirect(two.desks[0], first))

    behind = two.behind(halt, lambda: redirect(two.desks[1], second))
    before.join(WAIT)

    assert (before.ended, behind.ended) == ("", "mending.served")
    rows = two.desks[0].queries.deliveries(message=entry.arrival.id).items
    assert sorted(row.party for row in rows) == ["BNN", "NSW", "TCHQ"]


@pytest.mark.parametrize("many", [False, True])
def test_what_leaves_at_the_same_moment_is_not_redirected(two: Two, monkeypatch: pytest.MonkeyPatch, *, many: bool) -> None:
    staff, worker = two.desks
    delivery = staff.deliver(None)
    attempt(worker, Failed(code="refused"))  # nothing left, and it waits
    reading = "_batch" if many else "_one"
    halt = Halt(getattr(mending, reading))
    monkeypatch.setattr(mending, reading, halt)

    def order() -> None:
        if many:
            staff.mending.order(ELSEWHERE, Choice(party="BNN", state="retrying"), by="key:lan")
            staff.run()
        else:
            redirect(staff, delivery)

    before = Run(order)
    behind = two.behind(halt, lambda: attempt(worker, Failed(code="timeout")))
    before.join(WAIT)

    assert (before.ended, behind.ended) == ("", "")
    assert (staff.row(delivery).state, staff.row(delivery).perhaps_taken) == (State.CANCELLED, False)


def attempt(desk: Desk, outcome: Failed) -> None:
    """Claim the one delivery there is, if nobody holds it, send it, and let it wait."""
    for claim in desk.outbox.claim({BNN: 1}):
        desk.outbox.note(claim, Request(endpoint="http://x", action="", body=b"asked"))
        desk.outbox.settle(claim, Step(to=State.RETRYING, due_at=desk.clock(), counts=True, reason=outcome.code), outcome, None)


def test_message_that_is_redirected_is_not_purged_at_the_same_moment(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = two.aging.accept()
    two.aging.end(Failed(code="timeout"))
    two.aging.pass_(CONTENT + timedelta(days=1))
    halt = Halt(Acts.perform)
    monkeypatch.setattr(Acts, "perform", lambda *given: halt(*given))  # noqa: PLW0108  # a method, which only a function becomes
    before = Run(lambda: redirect(two.desks[1], entry.receipt.deliveries[0]))

    behind = two.behind(halt, two.aging.run)
    before.join(WAIT)

    assert (before.ended, behind.ended) == ("", "")
    assert not two.aging.purged(entry)


def test_message_that_is_purged_is_not_redirected_at_the_same_moment(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = two.aging.accept()
    two.aging.end(Failed(code="timeout"))
    two.aging.pass_(CONTENT + timedelta(days=1))
    halt = Halt(purge)
    monkeypatch.setattr("gateway.outbox.retention.purge", halt)
    before = Run(two.aging.run)

    behind = two.behind(halt, lambda: redirect(two.desks[1], entry.receipt.deliveries[0]))
    before.join(WAIT)

    assert (before.ended, behind.ended) == ("", "outbox.purged")
    assert [row.party for row in two.desks[0].queries.deliveries(message=entry.arrival.id).items] == ["BNN"]


def test_what_is_there_when_a_hold_is_placed_stays(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = two.aging.done()
    two.aging.pass_(CONTENT + timedelta(days=1))
    halt = Halt(purge)
    monkeypatch.setattr("gateway.outbox.retention.purge", halt)
    gone: list[bool] = []
    holds = Aging(database=two.desks[1].database, payloads=two.aging.payloads, folder=two.aging.folder, clock=two.aging.clock).holds

    def place() -> None:
        holds.place("message", entry.arrival.id, by="cli:lan", reason="thanh tra")
        gone.append(two.aging.purged(entry))

    before = Run(two.aging.run)
    behind = two.behind(halt, place)
    before.join(WAIT)

    assert (before.ended, behind.ended) == ("", "")
    assert gone == [two.aging.purged(entry)]
