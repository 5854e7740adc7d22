"""The release before and this one run side by side on the tables of this one: each finishes what the other began."""

import os
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Inspector, create_engine, inspect, text

from gateway.errors import StaleClaim
from gateway.lifecycle import Delivered, State, next_step
from gateway.model import Reply, Request, RetryPolicy
from gateway.outbox.outbox import SqlOutbox
from gateway.outbox.payloads import Payloads
from gateway.outbox.rows import accepted_row, answer_row, dossier, message_row
from gateway.ports import Claim, Database, Entry
from gateway.security.cipher import FileCipher
from gateway.store.engine import open_database
from gateway.store.migrate import FOLDER, PRE, upgrade
from gateway.store.times import to_micros, utc
from gateway.testing.entries import BNN, make_entry

RELEASE = Path(__file__).parents[1] / "unit" / "store" / "releases" / "0001.toml"
REQUEST = Request(endpoint="http://127.0.0.1:9/", action="", body=b"<a/>")
REPLY = Reply(status=200, body=b"reply")
ENDED = {"to": "delivered", "still_open": None, "due": None, "why": "", "refund": 0, "partner_reference": ""}


class Before:
    """A process of the first release: its statements, and the values that it writes by them."""

    def __init__(self, database: Database, payloads: Payloads) -> None:
        """Learn its statements."""
        self._database = database
        self._payloads = payloads
        self._statements = {name: text(sql) for name, sql in tomllib.loads(RELEASE.read_text("utf-8")).items()}

    def record(self, entry: Entry) -> None:
        """Take a message in."""
        now, message = to_micros(utc()), entry.arrival.id
        row = message_row(entry.arrival) | accepted_row(entry) | answer_row(entry.answer) | {"request_digest": os.urandom(32)}
        parts = {"answer": entry.answer.body, "document": entry.envelope.document.content, "body": entry.arrival.body}
        with_content = {name: self._payloads.lock(message, name, content) for name, content in parts.items()}
        [delivery], [route] = entry.receipt.deliveries, entry.routes
        waiting = {"state": "queued", "open": 1, "due_at": now, "attempt": 0, "reference": "", "cause": ""}
        placed = {"id": delivery, "message": message, "party": route.party.code, "route": route.name, "dossier": dossier(entry)}
        self._tell("OPEN_DOSSIER", id=dossier(entry), state=None, message=message, updated_at=now)
        self._tell("INSERT_MESSAGE", **row | {"warnings": "[]"})
        self._tell("INSERT_PAYLOAD", message=message, **with_content)
        self._tell("INSERT_DELIVERY", **waiting, **placed, created_at=now, updated_at=now)
        self._tell("LEAF", at=now, kind="message.accepted", message=message, delivery=None, leaf="{}")

    def due(self) -> list[tuple[Any, ...]]:
        """Say what it would claim."""
        return self._ask("DUE", party=BNN, now=to_micros(utc()) + 1, limit=10)

    def claim(self, token: str, *, lease: timedelta = timedelta(seconds=20)) -> str:
        """Claim the one that is due; gives the delivery."""
        now = utc()
        [(position, _, _, state)] = self.due()
        values = {"at": position, "from": state, "new_token": token, "lease": to_micros(now + lease), "now": to_micros(now)}
        [(delivery, *_)] = self._ask("CLAIM", **values)
        return str(delivery)

    def settle(self, delivery: str, token: str) -> bool:
        """Note and settle; says whether it still held it."""
        now = to_micros(utc())
        noted = {"delivery": delivery, "token": token, "number": 1, "noted_at": now, "request_sha256": "", "request": b""}
        self._tell("INSERT_ATTEMPT", **noted)
        return self._tell("SETTLE", delivery=delivery, held=token, now=now, **ENDED) == 1

    def rescue(self) -> None:
        """Return the one whose lease ended."""
        now = to_micros(utc())
        [(position, _, _, state, token, _)] = self._ask("LOST", now=now)
        self._tell("RESCUE", at=position, held=token, to=state, now=now)

    def _ask(self, name: str, **values: object) -> list[tuple[Any, ...]]:
        return self._database.commit(lambda tx: tx.rows(self._statements[name], **values))

    def _tell(self, name: str, **values: object) -> int:
        return self._database.commit(lambda tx: tx.changed(self._statements[name], **values))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give a database with the first half of this release."""
    url = request.getfixturevalue("empty_postgres_url") if request.param == "postgresql" else f"sqlite:///{tmp_path}/g.db"
    upgrade(url, PRE)
    return str(url)


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = open_database(url)
    yield database
    database.close()


@pytest.fixture
def payloads(tmp_path: Path) -> Payloads:
    return Payloads(cipher=FileCipher(tmp_path / "keys", entropy=os.urandom))


@pytest.fixture
def now(database: Database, payloads: Payloads) -> SqlOutbox:
    """A process of this release."""
    return SqlOutbox(database, payloads, clock=utc, entropy=os.urandom)


@pytest.fixture
def before(database: Database, payloads: Payloads) -> Before:
    return Before(database, payloads)


def settle(outbox: SqlOutbox, claim: Claim) -> State:
    outbox.note(claim, REQUEST)
    step = next_step(claim.state, Delivered(), attempt=claim.attempt, policy=RetryPolicy(), now=utc(), key=claim.delivery)
    outbox.settle(claim, step, Delivered(), REPLY)
    return step.to


def test_what_the_release_before_took_in_this_one_answers_again_and_delivers(before: Before, now: SqlOutbox) -> None:
    entry = make_entry()
    before.record(entry)

    assert now.record(make_entry()) == entry.answer
    [claim] = now.claim({BNN: 5})
    assert now.load(claim).document.content == entry.envelope.document.content
    assert settle(now, claim) is State.DELIVERED


def test_what_this_release_took_in_the_one_before_delivers(before: Before, now: SqlOutbox) -> None:
    entry = make_entry()
    now.record(entry)

    delivery = before.claim("t1")

    assert [delivery] == list(entry.receipt.deliveries)
    assert now.claim({BNN: 5}) == []
    assert before.settle(delivery, "t1")
    assert now.claim({BNN: 5}) == []
    assert before.due() == []


def test_what_the_release_before_held_when_it_died_this_one_delivers(before: Before, now: SqlOutbox) -> None:
    before.record(make_entry())
    delivery = before.claim("t1", lease=-timedelta(seconds=1))

    assert now.rescue() == 1
    [claim] = now.claim({BNN: 5})
    assert not before.settle(delivery, "t1")
    assert settle(now, claim) is State.DELIVERED


def test_what_this_release_held_when_it_died_the_one_before_delivers(before: Before, now: SqlOutbox) -> None:
    now.record(make_entry())
    [claim] = now.claim({BNN: 5}, lease=-timedelta(seconds=1))
    before.rescue()

    delivery = before.claim("t2")

    with pytest.raises(StaleClaim):
        settle(now, claim)
    assert before.settle(delivery, "t2")


# --- the first half only adds ----------------------------------------------------------------------------------------


def columns(inspector: Inspector) -> dict[tuple[str, str], str]:
    """Give each column of each table, with its type."""
    return {(t, c["name"]): repr(c["type"]) for t in inspector.get_table_names() for c in inspector.get_columns(t)}


def demands(inspector: Inspector) -> set[tuple[str, str, tuple[str | None, ...]]]:
    """Say what the tables ask of whoever writes: what must be given, be unique, or refer to something, each with its columns."""
    return {(table, *demand) for table in inspector.get_table_names() for demand in _demands(inspector, table)}


def _demands(inspector: Inspector, table: str) -> Iterator[tuple[str, tuple[str | None, ...]]]:
    yield from (("given", (c["name"],)) for c in inspector.get_columns(table) if not c["nullable"] and c["default"] is None)
    yield from (("unique", tuple(each["column_names"])) for each in inspector.get_indexes(table) if each["unique"])
    yield from (("unique", tuple(each["column_names"])) for each in inspector.get_unique_constraints(table))
    yield from (("refers", tuple(each["constrained_columns"])) for each in inspector.get_foreign_keys(table))
    yield from (("checked", ()) for _ in inspector.get_check_constraints(table))


def test_each_migration_of_the_first_half_leaves_the_release_before_all_it_uses(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/steps.db")
    with engine.begin() as connection:
        config = Config()
        for name, value in {"script_location": FOLDER, "version_locations": FOLDER / PRE.folder, "path_separator": "os"}.items():
            config.set_main_option(name, str(value))
        config.attributes.update(connection=connection, version_table=PRE.table)
        revisions = [each.revision for each in ScriptDirectory.from_config(config).walk_revisions()][::-1]
        command.upgrade(config, revisions[0])
        for revision in revisions[1:]:
            old = inspect(connection)
            known, asked = columns(old), demands(old)
            command.upgrade(config, revision)
            new = inspect(connection)

            assert known.items() <= columns(new).items(), revision
            of_old_tables = {d for d in demands(new) - asked if d[0] in {table for table, _ in known}}
            # What is unique together with a new column is unique by itself: who does not know the column leaves it empty.
            assert {d for d in of_old_tables if d[1] == "given" or all((d[0], c) in known for c in d[2])} == set(), revision
    engine.dispose()
