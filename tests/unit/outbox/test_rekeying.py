import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import LargeBinary

from gateway.errors import Conflict
from gateway.lifecycle import Delivered, State, Step
from gateway.model import Attachment, Reply, Request
from gateway.outbox import rekeying
from gateway.outbox.attachments.folder import FolderStore
from gateway.outbox.attachments.keeping import CHUNK, Attachments
from gateway.outbox.attachments.rows import RowStore
from gateway.outbox.outbox import SqlOutbox
from gateway.outbox.payloads import Payloads
from gateway.outbox.rekeying import REST, SEALED, Rekeying
from gateway.ports import ChunkStore, Database
from gateway.security import keyring
from gateway.security.cipher import FileCipher
from gateway.store.engine import open_database
from gateway.store.migrate import upgrade
from gateway.store.queries import Queries
from gateway.store.tables import LEDGER, METADATA
from gateway.testing.entries import BNN, START, envelope_text, make_entry

OLD = "content-1"
NOT_SEALED = {"request_digest", "message_key", "imprint", "hashes", "root", "signature", "token"}  # digests, and what is made of them
LATER = START + REST


class Place:
    """A gateway's content under one key, and the next key in force."""

    def __init__(self, database: Database, store: ChunkStore, keys: Path) -> None:
        self.keys = keys
        self.cipher = FileCipher(keys, entropy=os.urandom)
        self.payloads = Payloads(cipher=self.cipher)
        self.database = database
        self.keeping = Attachments(database, self.cipher, stores=[store], entropy=os.urandom)
        self.outbox = SqlOutbox(database, self.payloads, clock=lambda: START, entropy=os.urandom)
        self.rekeying = Rekeying(keeping=self.keeping)

    def fill(self, count: int) -> list[tuple[str, Attachment]]:
        """Record, deliver and settle so many messages, each with an attachment."""
        filled: list[tuple[str, Attachment]] = []
        for n in range(count):
            upload = self.keeping.upload(name=f"tệp {n}.pdf", media_type="application/pdf")
            upload.write(n.to_bytes(4) + os.urandom(CHUNK))
            taken = upload.finish()
            entry = make_entry(key=bytes((n,)), content=envelope_text(message_id=f"m-{n}"), attachments=(taken,))
            self.outbox.record(entry)
            (claim,) = self.outbox.claim({BNN: 1})
            self.outbox.note(claim, Request(endpoint="", action="", body=b"request"))
            self.outbox.settle(claim, Step(to=State.DELIVERED, due_at=None, counts=True), Delivered(), Reply(status=200, body=b"reply"))
            filled.append((entry.arrival.id, taken))
        return filled

    def rotate(self) -> None:
        keyring.rotate(self.keys, entropy=os.urandom)
        self.cipher._looked = -1e9  # as if half a second had passed

    def retire(self) -> int:
        count = sum(n for _, n in self.rekeying.run(OLD))
        self.rekeying.check_rested(OLD, since=START, now=LATER)
        assert not self.rekeying.left(OLD)
        keyring.forget(self.keys, OLD)
        return count

    def readable(self, filled: list[tuple[str, Attachment]]) -> bool:
        """Read everything with nothing but the keys that are left."""
        fresh = FileCipher(self.keys, entropy=os.urandom)
        queries = Queries(self.database, Payloads(cipher=fresh).unlock)
        keeping = Attachments(self.database, fresh, stores=[self.keeping.into], entropy=os.urandom)
        parts = [queries.content(message, part) for message, _ in filled for part in ("document", "body", "answer")]
        beside = [keeping.of(message) == (taken,) and sum(map(len, keeping.read(taken))) == taken.size for message, taken in filled]
        return all(parts) and all(beside)


@pytest.fixture(params=["folder-sqlite", "database-sqlite", "database-postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    kind, _, engine = request.param.partition("-")
    url = request.getfixturevalue("postgres_url") if engine == "postgresql" else f"sqlite:///{tmp_path}/gateway.db"
    upgrade(url)
    database = open_database(url, clock=lambda: START)
    yield Place(database, FolderStore(tmp_path / "attachments") if kind == "folder" else RowStore(database), tmp_path / "keys")
    database.close()


def test_everything_is_readable_after_the_old_key_has_gone(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rekeying, "STEP_ROWS", 2)
    filled = place.fill(3)
    place.rotate()

    count = place.retire()

    assert keyring.key_names(place.keys) == ["content-2"]
    assert count == 3 * (len(SEALED) + 1)
    assert place.readable(filled)


def test_requests_and_replies_are_encrypted_anew_too(place: Place) -> None:
    place.fill(1)
    place.rotate()
    place.retire()

    names = {
        place.cipher.key_of(bytes(value))
        for sealed in SEALED
        for (value,) in place.database.read(lambda tx, s=sealed: tx.rows(s.table.select().with_only_columns(s.table.c[s.column])))  # type: ignore[misc]
    }

    assert names == {"content-2"}


def test_broken_off_it_goes_on_where_it_was(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rekeying, "STEP_ROWS", 1)
    filled = place.fill(2)
    place.rotate()
    steps = place.rekeying.run(OLD)
    first = [next(steps) for _ in range(5)]
    del steps
    assert place.readable(filled)

    count = place.retire()

    assert count == 2 * (len(SEALED) + 1) - len(first)
    assert place.readable(filled)


def test_steps_are_bounded_by_size_too(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rekeying, "STEP_BYTES", 1)
    place.fill(2)
    place.rotate()

    assert {n for _, n in place.rekeying.run(OLD)} == {1}


def test_second_command_at_once_does_no_harm(place: Place) -> None:
    filled = place.fill(2)
    place.rotate()
    first, second = place.rekeying.run(OLD), Rekeying(keeping=place.keeping).run(OLD)

    for _ in zip(first, second, strict=False):
        pass
    list(first)
    list(second)

    assert not place.rekeying.left(OLD)
    assert place.readable(filled)


def test_key_stays_until_what_was_under_way_must_have_come(place: Place) -> None:
    place.rotate()

    with pytest.raises(Conflict) as refused:
        place.rekeying.check_rested(OLD, since=START, now=START + REST - timedelta(seconds=1))

    assert refused.value.problems[0].text == "cipher.not-rested"
    place.rekeying.check_rested(OLD, since=START, now=LATER)


def test_key_stays_while_a_file_that_began_under_it_is_coming_in(place: Place) -> None:
    upload = place.keeping.upload(name="a", media_type="")
    upload.write(os.urandom(CHUNK + 1))
    place.rotate()

    with pytest.raises(Conflict):
        place.rekeying.check_rested(OLD, since=START, now=LATER)

    taken = upload.finish()
    assert place.rekeying.left(OLD)
    place.retire()
    assert sum(map(len, place.keeping.read(taken))) == CHUNK + 1


def test_acts_are_in_the_ledger_by_name_only(place: Place) -> None:
    place.rekeying.note("key.rotated", "content-2", by="cli:an")

    ((leaf,),) = place.database.read(lambda tx: tx.rows(LEDGER.select().with_only_columns(LEDGER.c.leaf)))

    assert '"key":"content-2"' in leaf


def test_no_column_with_content_is_forgotten() -> None:
    columns = {(t.name, c.name) for t in METADATA.tables.values() for c in t.c if isinstance(c.type, LargeBinary)}
    known = {(sealed.table.name, sealed.column) for sealed in SEALED} | {("chunks", "sealed")}

    assert {(table, column) for table, column in columns - known if column not in NOT_SEALED} == set()
