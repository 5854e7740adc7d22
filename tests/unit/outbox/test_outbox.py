"""An end that meets an absent database: it is written as soon as the database is back, and never against whoever took over."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from gateway.errors import Code, Conflict, Problem, StaleClaim, Unavailable
from gateway.lifecycle import Delivered, State, Step
from gateway.model import Reply
from gateway.outbox.outbox import LEASE, SETTLE_EVERY, SqlOutbox
from gateway.ports import Claim, Database, Tx
from gateway.testing.desk import Desk
from gateway.testing.entries import BNN, make_entry

T = TypeVar("T")
DONE = Step(to=State.DELIVERED, due_at=None, counts=True)
REPLY = Reply(status=200, body=b"taken")


@dataclass
class Away:
    """A database that is away for some commits; `heard` False: they happen, and their answers are lost."""

    database: Database
    commits: int
    heard: bool = True
    kind: str = field(init=False, default="")
    tried: int = 0

    def commit(self, work: Callable[[Tx], T]) -> T:
        """Commit, or be away."""
        self.tried += 1
        if self.tried > self.commits:
            return self.database.commit(work)
        if not self.heard:
            self.database.commit(work)
        raise Unavailable(Code.UNAVAILABLE, Problem(text="store.away"))

    def __getattr__(self, name: str) -> Any:
        """Be the database."""
        return getattr(self.database, name)


@dataclass
class Watched:
    """A database that remembers what works raise in it."""

    database: Database
    raised: list[BaseException]
    kind: str = field(init=False, default="")

    def commit(self, work: Callable[[Tx], T]) -> T:
        """Commit."""

        def watched(tx: Tx) -> T:
            try:
                return work(tx)
            except BaseException as error:
                self.raised.append(error)
                raise

        return self.database.commit(watched)

    def __getattr__(self, name: str) -> Any:
        """Be the database."""
        return getattr(self.database, name)


@dataclass
class Meanwhile:
    """A pause that passes time, and lets something happen in it once."""

    desk: Desk
    happens: Callable[[], object] = lambda: None
    paused: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        """Pause."""
        self.desk.clock.now += timedelta(seconds=seconds)
        if not self.paused:
            self.happens()
        self.paused.append(seconds)


@pytest.fixture
def claim(desk: Desk) -> Claim:
    desk.deliver(None)
    (claim,) = desk.outbox.claim({BNN: 1})
    return claim


def outbox(desk: Desk, away: Away, pause: Meanwhile) -> SqlOutbox:
    return SqlOutbox(away, desk.payloads, clock=desk.clock, entropy=os.urandom, pause=pause)


@pytest.mark.parametrize(("heard", "tries"), [(True, 4), (False, 2)])
def test_end_is_written_once_the_database_is_back(desk: Desk, claim: Claim, *, heard: bool, tries: int) -> None:
    away, pause = Away(desk.database, commits=3, heard=heard), Meanwhile(desk)

    outbox(desk, away, pause).settle(claim, DONE, Delivered(), REPLY)

    assert (desk.row(claim.delivery).state, away.tried, len(pause.paused)) == (State.DELIVERED, tries, tries - 1)
    assert [a.outcome for a in desk.history.attempts(claim.delivery)] == ["delivered"]
    assert [m.kind for m in desk.queries.timeline(claim.message)].count("delivery.settled") == 1


def test_whoever_took_over_meanwhile_wins(desk: Desk, claim: Claim) -> None:
    def taken_over() -> None:
        desk.clock.now += LEASE
        desk.outbox.rescue()

    with pytest.raises(StaleClaim):
        outbox(desk, Away(desk.database, commits=1), Meanwhile(desk, taken_over)).settle(claim, DONE, Delivered(), REPLY)

    assert desk.row(claim.delivery).state == State.QUEUED


def test_database_that_stays_away_is_given_up_with_the_lease(desk: Desk, claim: Claim) -> None:
    away, pause = Away(desk.database, commits=10_000), Meanwhile(desk)

    with pytest.raises(Unavailable):
        outbox(desk, away, pause).settle(claim, DONE, Delivered(), REPLY)

    assert sum(pause.paused) == LEASE.total_seconds()


def test_clock_that_is_set_back_makes_nobody_wait_for_ever(desk: Desk, claim: Claim) -> None:
    def set_back() -> None:
        desk.clock.now -= timedelta(days=1)

    away, pause = Away(desk.database, commits=10_000), Meanwhile(desk, set_back)

    with pytest.raises(Unavailable):
        outbox(desk, away, pause).settle(claim, DONE, Delivered(), REPLY)

    assert away.tried == LEASE // SETTLE_EVERY + 1


def test_fetcher_is_told_at_once(desk: Desk) -> None:
    desk.deliver(None)
    (claim,) = desk.outbox.claim({BNN: 1}, lease=timedelta(minutes=5))
    handed = desk.outbox.handed(claim.delivery, claim.token)
    assert handed is not None
    assert handed.claim is not None

    for held in (claim, handed.claim):
        away = Away(desk.database, commits=10_000)
        with pytest.raises(Unavailable):
            outbox(desk, away, Meanwhile(desk)).settle(held, DONE, Delivered(), None)
        assert away.tried == 1


def test_repeat_key_that_is_taken_is_told_of_without_undoing_what_shares_the_commit(desk: Desk) -> None:
    raised: list[BaseException] = []
    outbox = SqlOutbox(Watched(desk.database, raised), desk.payloads, clock=desk.clock, entropy=os.urandom)
    outbox.record(make_entry(repeat_key="K"))

    with pytest.raises(Conflict):
        outbox.record(make_entry(key=b"k2", repeat_key="K"))

    assert raised == []
