"""What an outbox promises about messages with attachments, in memory and in a database."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gateway.errors import Conflict
from gateway.model import Attachment, MessageId
from gateway.outbox.attachments.folder import FolderStore
from gateway.outbox.attachments.keeping import Attachments
from gateway.outbox.memory import MemoryOutbox
from gateway.outbox.outbox import SqlOutbox
from gateway.outbox.payloads import Payloads
from gateway.ports import Outbox
from gateway.security.cipher import FileCipher
from gateway.store.engine import open_database
from gateway.store.migrate import upgrade
from gateway.testing.entries import BNN, START, envelope_text, make_entry

Take = Callable[[bytes], Attachment]


@dataclass(frozen=True)
class Desk:
    """An outbox, and what takes contents in."""

    outbox: Outbox
    take: Take


@pytest.fixture(params=["memory", "sqlite"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    url = f"sqlite:///{tmp_path}/gateway.db"
    upgrade(url)
    database = open_database(url, clock=lambda: START)
    cipher = FileCipher(tmp_path / "keys", entropy=os.urandom)
    keeping = Attachments(database, cipher, stores=[FolderStore(tmp_path / "attachments")], entropy=os.urandom)

    def take(content: bytes) -> Attachment:
        upload = keeping.upload(name="a.pdf", media_type="application/pdf")
        upload.write(content)
        return upload.finish()

    sql = SqlOutbox(database, Payloads(cipher=cipher), clock=lambda: START, entropy=os.urandom)
    yield Desk(MemoryOutbox(clock=lambda: START, entropy=os.urandom) if request.param == "memory" else sql, take)
    database.close()


def test_same_parts_in_another_wrapping_are_answered_from_store(desk: Desk) -> None:
    entry = make_entry(attachments=(desk.take(b"one"),))
    first = replace(entry, arrival=replace(entry.arrival, media_type="multipart/form-data; boundary=a"))
    desk.outbox.record(first)

    again = replace(first.arrival, id=MessageId("other"), media_type="multipart/form-data; boundary=b")

    assert desk.outbox.answered(again) == entry.answer


def test_other_missing_and_reordered_attachments_are_not_answered_from_store(desk: Desk) -> None:
    one, two = desk.take(b"one"), desk.take(b"two")
    entry = make_entry(attachments=(one, two))
    desk.outbox.record(entry)

    for beside in ((), (one,), (two, one), (one, two, two), (one, replace(two, name="b.pdf")), (one, replace(two, media_type="x/y"))):
        assert desk.outbox.answered(replace(entry.arrival, id=MessageId("other"), attachments=beside)) is None


def test_repeat_signed_again_with_the_same_attachments_gets_the_first_answer(desk: Desk) -> None:
    one = desk.take(b"one")
    first = make_entry(attachments=(one,))
    desk.outbox.record(first)

    again = desk.outbox.record(
        make_entry(content=envelope_text(sent="2026-11-21 09:30:00"), body=b"again", attachments=(desk.take(b"one"),))
    )

    assert again == first.answer
    assert len(desk.outbox.claim({BNN: 10})) == 1


@pytest.mark.parametrize("other", [b"two", None])
def test_same_key_with_other_attachments_is_refused(desk: Desk, other: bytes | None) -> None:
    desk.outbox.record(make_entry(attachments=(desk.take(b"one"),)))

    with pytest.raises(Conflict):
        desk.outbox.record(make_entry(body=b"again", attachments=(desk.take(other),) if other else ()))


def test_claim_gives_the_message_with_what_came_beside_it(desk: Desk) -> None:
    entry = make_entry(attachments=(desk.take(b"one"), desk.take(b"")))
    desk.outbox.record(entry)

    (claim,) = desk.outbox.claim({BNN: 1})

    assert desk.outbox.load(claim) == entry.envelope
