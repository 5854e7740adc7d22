"""What holds when several processes share one PostgreSQL: each is played by an outbox with connections of its own."""

import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar, cast

import pytest
from sqlalchemy import Executable, text

from gateway.lifecycle import Delivered, Failed, State, next_step
from gateway.model import Reply, RetryPolicy
from gateway.outbox import purging
from gateway.outbox.outbox import SqlOutbox
from gateway.outbox.payloads import Payloads
from gateway.outbox.sql import flow
from gateway.ports import Claim, Clock, Database, Tx
from gateway.security.cipher import FileCipher
from gateway.store.engine import open_database
from gateway.store.times import utc
from gateway.testing.entries import BNN, NSW, envelope_text, make_entry

T = TypeVar("T")
Make = Callable[..., SqlOutbox]
WAIT = 20
LOCKED = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")


class Held:
    """A database whose commits wait, everything written and nothing committed, until the gate opens."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.kind = database.kind
        self.written, self.gate = threading.Event(), threading.Event()
        self.read, self.close = database.read, database.close

    def commit(self, work: Callable[[Tx], T]) -> T:
        def slowly(tx: Tx) -> T:
            result = work(tx)
            self.written.set()
            assert self.gate.wait(WAIT)
            return result

        return self._database.commit(slowly)


class Between:
    """A database where something happens in another process just after a message was found to be there already."""

    def __init__(self, database: Database, happens: Callable[[], object]) -> None:
        self._database, self._happens = database, happens
        self.kind, self.read, self.close = database.kind, database.read, database.close

    def commit(self, work: Callable[[Tx], T]) -> T:
        return self._database.commit(lambda tx: work(cast("Tx", _Watched(tx, self._happens))))


class _Watched:
    def __init__(self, tx: Tx, happens: Callable[[], object]) -> None:
        self.changed_in, self.happens = tx.changed, happens
        self.rows, self.write, self.require, self.now = tx.rows, tx.write, tx.require, tx.now

    def changed(self, statement: Executable, **values: object) -> int:
        count = self.changed_in(statement, **values)
        if statement is flow.INSERT_FIRST and count == 0:
            self.happens()
        return count


@pytest.fixture
def databases() -> Iterator[list[Database]]:
    opened: list[Database] = []
    yield opened
    for database in opened:
        database.close()


@pytest.fixture
def process(postgres_url: str, tmp_path: Path, databases: list[Database]) -> Make:
    """Make what stands for a process; `around` may stand between it and its database."""

    def make(clock: Clock = utc, around: Callable[[Database], Database] = lambda database: database) -> SqlOutbox:
        databases.append(open_database(postgres_url))
        payloads = Payloads(cipher=FileCipher(tmp_path / "keys", entropy=os.urandom))
        return SqlOutbox(around(databases[-1]), payloads, clock=clock, entropy=os.urandom)

    return make


def settle(outbox: SqlOutbox, claim: Claim, outcome: Delivered | Failed, now: datetime) -> State:
    step = next_step(claim.state, outcome, attempt=claim.attempt, policy=RetryPolicy(), now=now, key=claim.delivery)
    outbox.settle(claim, step, outcome, Reply(status=200, body=b"reply"))
    return step.to


def together(*runs: Callable[[], object]) -> None:
    threads = [threading.Thread(target=run) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert not any(thread.is_alive() for thread in threads)


def until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_repeats_at_several_processes_at_once_have_one_effect_and_one_answer(process: Make) -> None:
    outboxes = [process() for _ in range(3)]
    answers: list[bytes] = []

    def send(outbox: SqlOutbox, number: int) -> None:
        answers.append(outbox.record(make_entry(body=f"{number}".encode())).body)

    together(*(lambda o=outbox, n=n: send(o, n) for n in range(4) for outbox in outboxes))

    assert len(answers) == 12
    assert len(set(answers)) == 1
    assert len(outboxes[0].claim({BNN: 20})) == 1


def test_identical_bytes_at_several_processes_at_once_have_one_effect(process: Make) -> None:
    outboxes = [process() for _ in range(3)]
    answers: list[bytes] = []

    together(*(lambda o=outbox: answers.append(o.record(make_entry()).body) for outbox in outboxes for _ in range(3)))

    assert (len(answers), len(set(answers))) == (9, 1)


def test_repeat_of_what_retention_forgets_meanwhile_is_a_new_message(process: Make, databases: list[Database]) -> None:
    first, again = make_entry(), make_entry(body=b"again")

    def forget(tx: Tx) -> None:
        tx.changed(text("DELETE FROM business_keys"))
        purging.forget(tx, first.arrival.id, dossier=None, now=utc())

    outbox = process()
    outbox.record(first)
    answer = process(around=lambda database: Between(database, lambda: databases[0].commit(forget))).record(again)

    assert answer == again.answer
    assert [claim.message for claim in outbox.claim({BNN: 20})] == [again.arrival.id]


def test_processes_never_share_a_delivery(process: Make) -> None:
    outboxes = [process() for _ in range(3)]
    for number in range(60):
        outboxes[0].record(make_entry(key=f"{number}".encode(), content=envelope_text(message_id=f"{number}"), reference=f"R{number}"))
    claims: list[Claim] = []

    together(*(lambda o=outbox: claims.extend(o.claim({BNN: 10})) for outbox in outboxes for _ in range(3)))

    assert len({claim.delivery for claim in claims}) == len(claims)
    assert len(claims) + len(outboxes[0].claim({BNN: 60})) == 60


def test_message_that_is_written_later_waits_for_the_earlier_of_its_dossier_to_be_committed(process: Make) -> None:
    held: list[Held] = []

    def hold(database: Database) -> Held:
        held.append(Held(database))
        return held[0]

    slow, quick, looking = process(around=hold), process(), process()
    first, second = (make_entry(key=key, order="dossier") for key in (b"first", b"second"))
    early = threading.Thread(target=slow.record, args=(first,))
    early.start()
    assert held[0].written.wait(WAIT)
    late = threading.Thread(target=quick.record, args=(second,))
    late.start()
    until(lambda: quick._database.read(lambda tx: tx.rows(LOCKED)) == [(1,)])

    assert looking.claim({BNN: 10}) == []

    held[0].gate.set()
    for thread in (early, late):
        thread.join(WAIT)
    assert [claim.message for claim in looking.claim({BNN: 10})] == [first.arrival.id]


def test_messages_of_other_dossiers_do_not_wait(process: Make) -> None:
    held: list[Held] = []

    def hold(database: Database) -> Held:
        held.append(Held(database))
        return held[0]

    slow, quick = process(around=hold), process()
    early = threading.Thread(target=slow.record, args=(make_entry(key=b"first", order="dossier", reference="R1"),))
    early.start()
    assert held[0].written.wait(WAIT)

    quick.record(make_entry(key=b"second", order="dossier", reference="R2"))

    assert len(quick.claim({BNN: 10})) == 1
    held[0].gate.set()
    early.join(WAIT)


def test_dossiers_keep_their_order_whoever_delivers(process: Make) -> None:
    outboxes = [process() for _ in range(3)]
    sent: dict[str, list[str]] = defaultdict(list)
    for number in range(24):
        reference = f"R{number % 3}"
        entry = make_entry(key=f"{number}".encode(), order="dossier", reference=reference, parties=(BNN, NSW))
        outboxes[number % 3].record(entry)
        sent[reference].append(entry.arrival.id)
    dossier_of = {message: reference for reference, messages in sent.items() for message in messages}
    under_way: set[tuple[str, str]] = set()
    delivered: dict[tuple[str, str], list[str]] = defaultdict(list)
    overlaps: list[Claim] = []

    def deliver(outbox: SqlOutbox) -> None:
        while sum(map(len, delivered.values())) < 48:
            claims = outbox.claim({BNN: 4, NSW: 4})
            overlaps.extend(claim for claim in claims if (claim.party, dossier_of[claim.message]) in under_way)
            under_way.update((claim.party, dossier_of[claim.message]) for claim in claims)
            for claim in claims:
                place = (claim.party, dossier_of[claim.message])
                delivered[place].append(claim.message)
                under_way.discard(place)
                settle(outbox, claim, Delivered(), utc())

    together(*(lambda o=outbox: deliver(o) for outbox in outboxes for _ in range(2)))

    assert overlaps == []
    assert dict(delivered) == {(party, reference): messages for party in (BNN, NSW) for reference, messages in sent.items()}


def test_clocks_that_differ_by_an_hour_do_no_harm(process: Make, databases: list[Database]) -> None:
    ahead, behind = process(lambda: utc() + timedelta(hours=1)), process(lambda: utc() - timedelta(hours=1))
    ahead.record(make_entry())

    (claim,) = behind.claim({BNN: 1})
    assert settle(behind, claim, Failed(code="timeout"), utc() - timedelta(hours=1)) is State.RETRYING

    ((due, now),) = databases[0].read(
        lambda tx: tx.rows(text("SELECT due_at, (extract(epoch FROM now()) * 1000000)::bigint FROM deliveries"))
    )
    assert timedelta(0) < timedelta(microseconds=due - now) < timedelta(minutes=1)
    assert ahead.claim({BNN: 1}) == []


def test_lease_is_judged_by_the_databases_time(process: Make) -> None:
    ahead = process(lambda: datetime(2100, 1, 1, tzinfo=UTC))
    ahead.record(make_entry())
    ahead.claim({BNN: 1})

    assert ahead.rescue() == 0
