"""A process is cut off from the database at a moment that matters: what it did stands or never was, and nobody does it twice."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from gateway.errors import StaleClaim, Unavailable
from gateway.lifecycle import Delivered, State, next_step
from gateway.model import Reply, Request, RetryPolicy
from gateway.outbox.outbox import SqlOutbox
from gateway.outbox.payloads import Payloads
from gateway.ports import Claim
from gateway.security.cipher import FileCipher
from gateway.store.engine import open_database
from gateway.store.times import utc
from gateway.testing.entries import BNN, make_entry
from gateway.testing.proxy import Line, Proxy
from gateway.testing.world import until

COMMITTED = b"COMMIT\0"  # what PostgreSQL answers to a commit
SHORT = timedelta(seconds=0.5)
STATES = text("SELECT state FROM deliveries")
MESSAGES = text("SELECT id FROM messages")
SENDING, ENDED = [(State.SENDING.value,)], [(State.DELIVERED.value,)]


class Node:
    """What stands for a process: an outbox with connections of its own, over a network of its own."""

    def __init__(self, url: str, keys: Path) -> None:
        """Connect."""
        self.database = open_database(url)
        self.outbox = SqlOutbox(self.database, Payloads(cipher=FileCipher(keys, entropy=os.urandom)), clock=utc, entropy=os.urandom)

    def sees(self, statement: Any, rows: list[Any]) -> bool:
        """Say whether the database holds just this."""
        return self.database.read(lambda tx: tx.rows(statement)) == rows

    def settle(self, claim: Claim) -> None:
        """Write that the partner has it."""
        step = next_step(claim.state, Delivered(), attempt=claim.attempt, policy=RetryPolicy(), now=utc(), key=claim.delivery)
        self.outbox.settle(claim, step, Delivered(), Reply(status=200, body=b"reply"))


@pytest.fixture
def line(postgres_url: str) -> Iterator[Proxy]:
    with Proxy(urlsplit(postgres_url).port or 5432) as proxy:
        yield proxy


@pytest.fixture
def far(postgres_url: str, line: Proxy, tmp_path: Path) -> Iterator[Node]:
    """A process on the other side of the line."""
    node = Node(postgres_url.replace(f":{urlsplit(postgres_url).port}/", f":{line.port}/"), tmp_path)
    yield node
    line.be(Line.CUT)
    node.database.close()


@pytest.fixture
def near(postgres_url: str, tmp_path: Path) -> Iterator[Node]:
    """A process that keeps its database."""
    node = Node(postgres_url, tmp_path)
    yield node
    node.database.close()


def cut_after(line: Proxy, act: Callable[[], object]) -> None:
    """Act, and cut the line after the commit and before whoever acts hears of it."""
    line.cut_before(COMMITTED)
    with pytest.raises(Unavailable):
        act()
    line.be(Line.UP)


def test_message_whose_commit_was_not_heard_of_is_kept_once(line: Proxy, far: Node, near: Node) -> None:
    entry = make_entry()

    cut_after(line, lambda: far.outbox.record(entry))
    assert near.sees(MESSAGES, [(entry.arrival.id,)])

    assert near.outbox.record(make_entry()) == far.outbox.record(make_entry()) == entry.answer
    assert near.sees(MESSAGES, [(entry.arrival.id,)])


def test_claim_that_was_not_heard_of_is_sent_by_nobody_until_its_lease_ends(line: Proxy, far: Node, near: Node) -> None:
    near.outbox.record(make_entry())

    cut_after(line, lambda: far.outbox.claim({BNN: 1}, lease=SHORT))
    assert near.sees(STATES, SENDING)

    assert near.outbox.claim({BNN: 1}) == []
    until(near.outbox.rescue, "the end of the lease")
    assert len(near.outbox.claim({BNN: 1})) == 1


def test_settle_that_was_not_heard_of_stands(line: Proxy, far: Node, near: Node) -> None:
    near.outbox.record(make_entry())
    [claim] = far.outbox.claim({BNN: 1})
    claim = replace(claim, patience=SHORT)  # for which its settling waits, with the line cut

    cut_after(line, lambda: far.settle(claim))
    assert near.sees(STATES, ENDED)

    assert near.outbox.rescue() == 0
    with pytest.raises(StaleClaim):
        far.settle(claim)
    assert near.sees(STATES, ENDED)


def test_late_settle_of_whoever_was_cut_off_is_refused(line: Proxy, far: Node, near: Node) -> None:
    near.outbox.record(make_entry())
    [claim] = far.outbox.claim({BNN: 1}, lease=SHORT)
    line.be(Line.STALLED)
    with ThreadPoolExecutor() as threads:
        settling = threads.submit(far.settle, claim)
        until(near.outbox.rescue, "the end of the lease")
        [again] = near.outbox.claim({BNN: 1})
        line.be(Line.UP)
        with pytest.raises(StaleClaim):
            settling.result()

    assert (again.delivery, again.message) == (claim.delivery, claim.message)
    near.settle(again)
    assert near.sees(STATES, ENDED)


def test_whoever_lost_its_claim_while_cut_off_sends_nothing(line: Proxy, far: Node, near: Node) -> None:
    near.outbox.record(make_entry())
    [claim] = far.outbox.claim({BNN: 1}, lease=SHORT)
    line.be(Line.CUT)
    until(near.outbox.rescue, "the end of the lease")
    line.be(Line.UP)

    with pytest.raises(StaleClaim):
        far.outbox.note(claim, Request(endpoint="http://127.0.0.1:9/", action="", body=b"<a/>", headers={}))
