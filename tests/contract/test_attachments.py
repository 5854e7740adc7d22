"""What every store of attachments promises; run over each implementation, on both databases."""

import itertools
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from gateway.errors import Unavailable
from gateway.model import Attachment, Request
from gateway.outbox.attachments.collecting import GRACE, collect
from gateway.outbox.attachments.folder import FolderStore
from gateway.outbox.attachments.keeping import CHUNK, Attachments
from gateway.outbox.attachments.links import release_links
from gateway.outbox.attachments.objects import ObjectStore
from gateway.outbox.attachments.rows import RowStore
from gateway.outbox.outbox import SqlOutbox
from gateway.outbox.payloads import Payloads
from gateway.outbox.sql import attachments as sql
from gateway.ports import ChunkStore, Database
from gateway.security.cipher import FileCipher
from gateway.store.engine import open_database
from gateway.store.migrate import upgrade
from gateway.store.tables import CHUNKS, CONTENTS, UPLOADS
from gateway.testing.dying import Dying, DyingDatabase, DyingStore, Killed
from gateway.testing.entries import BNN, START, envelope_text, make_entry
from gateway.testing.storage import BUCKET, KEYS, PATIENCE, serving_s3
from gateway.transport.http import HttpTransport

NOW = timedelta(seconds=-1)  # older than this is everything
PLACES = [
    "folder-sqlite",
    "database-postgresql",
    pytest.param("database-sqlite", marks=pytest.mark.slow),  # the same statements as on PostgreSQL
    pytest.param("s3-sqlite", marks=pytest.mark.slow),  # a server of its own
]


@dataclass
class Time:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now


@dataclass(kw_only=True)
class Place:
    """One store on one database, with what is needed to look behind it."""

    keeping: Attachments
    outbox: SqlOutbox
    store: ChunkStore
    database: Database
    time: Time
    objects: Callable[[], list[str]]  # what the store holds, outside the database

    def take_in(self, *pieces: bytes, name: str = "ảnh chụp.pdf") -> Attachment:
        upload = self.keeping.upload(name=name, media_type="application/pdf")
        for piece in pieces:
            upload.write(piece)
        return upload.finish()

    def record(self, *attachments: Attachment, key: bytes = b"k1") -> str:
        entry = make_entry(key=key, content=envelope_text(message_id=key.hex()), attachments=attachments)
        self.outbox.record(entry)
        return entry.arrival.id

    def read(self, attachment: Attachment) -> bytes:
        return b"".join(self.keeping.read(attachment))

    def left(self) -> int:
        """Count everything that is there of attachments, in the database and outside."""
        counts = self.database.read(lambda tx: [len(tx.rows(table.select())) for table in (UPLOADS, CONTENTS, CHUNKS)])
        return sum(counts) + len(self.objects())


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving_s3(tmp_path_factory.mktemp("s3")) as address:
        yield address


@pytest.fixture(scope="module")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("empty") / "gateway.db"
    upgrade(f"sqlite:///{file}")
    return file


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path, empty_sqlite: Path) -> Iterator[Place]:
    kind, _, engine = request.param.partition("-")
    shutil.copy(empty_sqlite, tmp_path / "gateway.db")
    url = request.getfixturevalue("postgres_url") if engine == "postgresql" else f"sqlite:///{tmp_path}/gateway.db"
    time = Time()
    database = open_database(url, clock=time)
    cipher = FileCipher(tmp_path / "keys", entropy=os.urandom)
    address = request.getfixturevalue("s3") if kind == "s3" else ""
    with HttpTransport(signing=KEYS) as transport:
        store, objects = _store(kind, database, tmp_path, f"{address}/{BUCKET}", transport)
        yield Place(
            keeping=Attachments(database, cipher, stores=[store], entropy=os.urandom),
            outbox=SqlOutbox(database, Payloads(cipher=cipher), clock=time, entropy=os.urandom),
            store=store,
            database=database,
            time=time,
            objects=objects,
        )
    database.close()


def _store(
    kind: str, database: Database, folder: Path, bucket: str, transport: HttpTransport
) -> tuple[ChunkStore, Callable[[], list[str]]]:
    match kind:
        case "folder":
            kept = FolderStore(folder / "attachments")
            return kept, lambda: [str(p) for p in (folder / "attachments").rglob("*") if p.is_file()]
        case "s3":
            prefix = folder.name
            objects = ObjectStore(lambda request: transport.send(request, timeout=PATIENCE), bucket=bucket, prefix=prefix)
            listing = Request(endpoint=f"{bucket}?list-type=2&prefix={prefix}%2F", action="", body=b"", method="GET")
            return objects, lambda: transport.send(listing, timeout=PATIENCE).body.decode().split("<Key>")[1:]
    return RowStore(database), list


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 77])
def test_what_was_taken_in_is_given_out(place: Place, size: int) -> None:
    content = os.urandom(size)

    taken = place.take_in(content[:1000], content[1000:])
    place.record(taken)

    assert (taken.size, place.read(taken)) == (size, content)
    chunks = list(place.keeping.read(taken))
    assert max(map(len, chunks)) <= CHUNK


def test_content_lies_encrypted_and_its_name_too(place: Place, tmp_path: Path) -> None:
    marker = b"M\xc3\xa3 s\xe1\xbb\x91 thu\xe1\xba\xbf 0100109106 " * 50
    taken = place.take_in(marker, name="CCCD 001085012345.pdf")
    place.record(taken)

    sealed = b"".join(place.store.chunks(*_upload_of(place, taken), 1))
    rows = place.database.read(lambda tx: tx.rows(sql.LINKED, message=_message(place)))
    files = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert marker[:30] not in sealed
    assert marker[:30] not in files
    assert b"001085012345" not in files + bytes(rows[0][-1])


def test_message_says_what_it_has_beside_it(place: Place) -> None:
    first, second = place.take_in(b"one", name="một.pdf"), place.take_in(b"two", name="../../etc/passwd")
    place.record(first, second)

    (claim,) = place.outbox.claim({BNN: 1})

    assert place.outbox.load(claim).attachments == (first, second)


def test_equal_content_is_kept_once_and_named_by_each_message(place: Place) -> None:
    content = os.urandom(CHUNK + 5)
    first = place.take_in(content, name="a.pdf")
    before = place.left()
    second = place.take_in(content, name="b.pdf")
    place.record(first, key=b"k1")
    place.record(second, key=b"k2")

    assert (first.id, second.name, place.left()) == (second.id, "b.pdf", before)
    assert place.read(second) == content


def test_digest_that_recognises_content_is_keyed(place: Place, tmp_path: Path) -> None:
    taken = place.take_in(b"guess me")
    other = FileCipher(tmp_path / "other", entropy=os.urandom)

    assert taken.id != taken.sha256
    assert other.fingerprint(b"attachment", bytes.fromhex(taken.sha256)).hex() != taken.id


def test_chunks_out_of_order_are_refused(place: Place) -> None:
    taken = place.take_in(os.urandom(3 * CHUNK))
    upload, digest = _upload_of(place, taken)
    chunks = list(place.store.chunks(upload, digest, 3))

    for wrong in ([chunks[1], chunks[0], chunks[2]], [chunks[0], chunks[0], chunks[2]], [chunks[0], chunks[2], chunks[1]]):
        with pytest.raises(Unavailable):
            list(_reading(place, wrong).read(taken))


def test_shortened_content_is_refused_before_its_end_is_given(place: Place) -> None:
    taken = place.take_in(os.urandom(3 * CHUNK))
    chunks = list(place.store.chunks(*_upload_of(place, taken), 3))
    given: list[bytes] = []

    with pytest.raises(Unavailable):
        given.extend(_reading(place, chunks[:2]).read(taken))

    assert len(given) < 3


def test_other_content_in_its_place_is_refused(place: Place) -> None:
    taken, other = place.take_in(b"the contract"), place.take_in(b"another one!")
    (foreign,) = place.store.chunks(*_upload_of(place, other), 1)

    with pytest.raises(Unavailable):
        list(_reading(place, [foreign]).read(taken))


def test_missing_chunk_is_named_unavailable(place: Place) -> None:
    taken = place.take_in(b"x")
    place.store.remove(*_upload_of(place, taken))

    with pytest.raises(Unavailable) as refused:
        place.read(taken)

    assert refused.value.problems[0].text == "attachments.missing"


def test_removing_twice_does_no_harm(place: Place) -> None:
    upload, digest = _upload_of(place, place.take_in(os.urandom(2 * CHUNK)))
    assert place.left() > 1

    place.store.remove(upload, "")
    place.store.remove(upload, digest)
    place.store.remove(upload, digest)

    assert place.left() == 1  # the row that says where it was


def test_discarded_upload_leaves_nothing(place: Place) -> None:
    before = place.keeping.upload(name="a", media_type="")
    before.write(os.urandom(2 * CHUNK))
    before.discard()
    after = place.keeping.upload(name="b", media_type="")
    after.write(b"x")
    after.finish()
    after.discard()

    assert place.left() == 0


def test_discarding_keeps_what_a_message_refers_to(place: Place) -> None:
    upload = place.keeping.upload(name="a", media_type="")
    upload.write(b"content")
    taken = upload.finish()
    place.record(taken)

    upload.discard()

    assert place.read(taken) == b"content"


def test_discarding_keeps_what_another_upload_has_recognised_meanwhile(place: Place) -> None:
    first = place.keeping.upload(name="a", media_type="")
    first.write(b"content")
    first.finish()
    place.time.now += timedelta(seconds=1)
    second = place.take_in(b"content")

    first.discard()
    place.record(second)

    assert place.read(second) == b"content"


def test_what_nobody_refers_to_is_collected_after_a_while(place: Place) -> None:
    place.take_in(os.urandom(CHUNK + 1))
    unfinished = place.keeping.upload(name="a", media_type="")
    unfinished.write(os.urandom(2 * CHUNK))
    before = place.left()

    collect(place.keeping)
    assert place.left() == before

    place.time.now += GRACE + timedelta(seconds=1)
    collected = collect(place.keeping)
    assert (collected.removed, collected.failed, place.left()) == (2, 0, 0)


def test_collected_upload_cannot_go_on(place: Place) -> None:
    upload = place.keeping.upload(name="a", media_type="")
    upload.write(os.urandom(2 * CHUNK))
    collect(place.keeping, older_than=NOW)

    def go_on() -> None:
        upload.write(os.urandom(CHUNK))
        upload.finish()

    with pytest.raises(Unavailable):
        go_on()
    upload.discard()
    collect(place.keeping, older_than=NOW)

    assert place.left() == 0


def test_content_that_was_collected_before_its_message_came_is_not_linked(place: Place) -> None:
    taken = place.take_in(b"x")
    collect(place.keeping, older_than=NOW)

    with pytest.raises(Unavailable):
        place.record(taken)

    assert place.outbox.claim({BNN: 9}) == []


def test_referenced_content_is_never_collected(place: Place) -> None:
    taken = place.take_in(b"kept")
    place.record(taken)
    place.time.now += timedelta(days=3650)

    collected = collect(place.keeping)

    assert (collected.removed, place.read(taken)) == (0, b"kept")


def test_content_goes_with_its_last_message(place: Place) -> None:
    content = os.urandom(10)
    messages = [place.record(place.take_in(content), key=key) for key in (b"k1", b"k2")]
    taken = place.take_in(content)
    for message, left in zip(messages, (True, False), strict=True):
        place.database.commit(lambda tx, m=message: release_links(tx, m))  # type: ignore[misc]
        place.time.now += GRACE + timedelta(seconds=1)
        collect(place.keeping)

        assert bool(place.left()) is left

    with pytest.raises(Unavailable):
        place.read(taken)


def dying_place(place: Place, dying: Dying) -> Place:
    database, store = DyingDatabase(place.database, dying), DyingStore(place.store, dying)
    cipher = place.keeping.cipher
    return Place(
        keeping=Attachments(database, cipher, stores=[store], entropy=os.urandom),
        outbox=SqlOutbox(database, Payloads(cipher=cipher), clock=place.time, entropy=os.urandom),
        store=store,
        database=database,
        time=place.time,
        objects=place.objects,
    )


def _deaths(act: Callable[[Dying], None], *, after: bool) -> Iterator[bool]:
    """Run an act again and again, dying one step later each time; says whether it died, and ends where it lived."""
    for steps in itertools.count():
        try:
            act(Dying(steps=steps, after=after))
        except Killed:
            yield True
        else:
            yield False
            return


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_death_at_any_step_of_taking_in_leaves_a_whole_message_or_nothing(place: Place, after: bool) -> None:  # noqa: FBT001  # parametrized
    content, keys = os.urandom(2 * CHUNK + 1), (f"k{n}".encode() for n in itertools.count())
    deaths = 0

    def act(dying: Dying) -> None:
        mortal = dying_place(place, dying)
        mortal.record(mortal.take_in(content), key=next(keys))

    for died in _deaths(act, after=after):
        deaths += died
        collect(place.keeping, older_than=NOW)
        claims = place.outbox.claim({BNN: 9})
        for claim in claims:
            (taken,) = place.outbox.load(claim).attachments
            assert place.read(taken) == content
            place.database.commit(lambda tx, m=claim.message: release_links(tx, m))  # type: ignore[misc]
        collect(place.keeping, older_than=NOW)
        assert place.left() == 0
        assert len(claims) == (not died) or (died and after)

    assert deaths >= 7  # begin, two chunks, name, the last chunk, keep, publish, the message


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_death_at_any_step_of_collecting_is_made_good_by_the_next_run(place: Place, after: bool) -> None:  # noqa: FBT001  # parametrized
    kept = place.take_in(b"kept")
    place.record(kept)
    only = place.left()

    def act(dying: Dying) -> None:
        place.take_in(os.urandom(CHUNK + 1))
        unfinished = place.keeping.upload(name="a", media_type="")
        unfinished.write(os.urandom(2 * CHUNK))
        collect(dying_place(place, dying).keeping, older_than=NOW)

    for _ in _deaths(act, after=after):
        collect(place.keeping, older_than=NOW)
        assert place.left() == only
        assert place.read(kept) == b"kept"


def test_nothing_referenced_is_deleted_while_others_send_the_same_and_collectors_run(place: Place) -> None:
    contents = [os.urandom(100) for _ in range(2)]
    recorded: list[Attachment] = []
    stopping = threading.Event()
    problems: list[BaseException] = []

    def sending(sender: int) -> None:
        for n in range(12):
            key = f"{sender}-{n}".encode()
            try:
                taken = place.take_in(contents[n % 2])
                place.record(taken, key=key)
            except Unavailable:  # collected between the two; the sender would come again
                continue
            recorded.append(taken)

    def collecting() -> None:
        while not stopping.is_set():
            try:
                collect(place.keeping, older_than=NOW)
            except BaseException as error:  # noqa: BLE001  # told in the main thread
                problems.append(error)
                return

    collector = threading.Thread(target=collecting)
    senders = [threading.Thread(target=sending, args=(n,)) for n in range(4)]
    for thread in (collector, *senders):
        thread.start()
    for thread in senders:
        thread.join()
    stopping.set()
    collector.join()

    assert problems == []
    assert recorded
    assert {place.read(taken) for taken in recorded} <= set(contents)


def _reading(place: Place, chunks: list[bytes]) -> Attachments:
    """Read through a store that gives these chunks, whatever is asked."""

    class Lying(DyingStore):
        def chunks(self, upload: str, digest: str, count: int) -> Iterator[bytes]:  # noqa: ARG002  # as the port has it
            return iter(chunks)

    lying = Lying(place.store, Dying(steps=0, after=False))
    return Attachments(place.database, place.keeping.cipher, stores=[lying], entropy=os.urandom)


def _upload_of(place: Place, taken: Attachment) -> tuple[str, str]:
    ((upload, _, _),) = place.database.read(lambda tx: tx.rows(sql.CONTENT, digest=taken.id))
    return upload, taken.id


def _message(place: Place) -> str:
    (claim,) = place.outbox.claim({BNN: 1})
    return claim.message
