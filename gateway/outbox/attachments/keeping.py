"""Keeps attachments: sealed chunk by chunk while they come, recognised by their content, opened chunk by chunk when they leave.

A content passes five steps, each a commit or a durable write, so that a death between any two leaves nothing that is not either
referred to or found by the collector:

1 begin    the upload is named in the database before its first byte is stored
2 add      a sealed chunk
3 name     its digest is known: a content that is there already is taken instead, otherwise the upload says where it will lie
4 keep     the store makes it durable
5 publish  it becomes a content, loose until a message's own commit links it
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import Code, GatewayError, Problem, Unavailable
from gateway.model import Attachment
from gateway.outbox.payloads import Payloads
from gateway.outbox.sql import attachments as sql
from gateway.ports import ChunkStore, Cipher, Database, Entropy, Tx
from gateway.store.times import to_micros

from .links import read_links

CHUNK = 1_048_576  # bytes sealed at once: what one upload or one reader holds, and what PostgreSQL takes well in one value
LOT = 100  # contents looked for at once
TOUCH_EVERY = 64  # chunks between two signs of life


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Where a content lies: the upload that brought it, in which store, and how large it is."""

    digest: str
    upload: str
    store: str
    size: int


class Attachments:
    """Takes contents in and gives them out; every method may be called from any thread."""

    def __init__(self, database: Database, cipher: Cipher, *, stores: Sequence[ChunkStore], entropy: Entropy) -> None:
        """Write into the first of the stores, and read from all of them."""
        self.database = database
        self.cipher = cipher
        self.into = stores[0]
        self._stores: Mapping[str, ChunkStore] = {store.name: store for store in stores}
        self._payloads = Payloads(cipher=cipher)
        self._entropy = entropy

    def upload(self, *, name: str, media_type: str) -> "Upload":
        """Begin to take a content in; stores nothing yet."""
        return Upload(name=name, media_type=media_type, _id=self.new_id(), _store=self.into, _keeping=self)

    def read(self, attachment: Attachment) -> Iterator[bytes]:
        """Give a content in chunks; the last one only where the whole is what was taken in.

        Raises Unavailable where it is missing, was changed, or its store is away.
        """
        kept, digest = self._kept(attachment.id), hashlib.sha256()
        for plain, last in self.opened(kept):
            digest.update(plain)
            if last and digest.hexdigest() != attachment.sha256:
                raise Unavailable(Code.UNAVAILABLE, Problem(text="cipher.changed", values={"row": f"attachment/{kept.upload}"}))
            yield plain

    def opened(self, kept: Kept) -> Iterator[tuple[bytes, bool]]:
        """Decrypt chunk after chunk, and say with each whether it is the last; raises what read() raises."""
        left = chunk_count(kept.size)
        for number, sealed in enumerate(self._store(kept.store).chunks(kept.upload, kept.digest, left)):
            left -= 1
            yield self.cipher.decrypt(sealed, context=chunk_context(kept.upload, number, last=not left)), not left
        if left:
            raise missing(f"{kept.store}:{kept.digest[:12]}")

    def of(self, message: str) -> tuple[Attachment, ...]:
        """Say what a message has beside it, in its order; raises Unavailable where a name cannot be decrypted."""
        return self.database.read(lambda tx: read_links(tx, message, self._payloads))

    def under(self, key: str) -> Iterator[Kept]:
        """Find every content of which a chunk may be under a key, in small lots."""
        after = ""
        while rows := self._under(key, after):
            for digest, upload, store, size in rows:
                yield Kept(digest=digest, upload=upload, store=store, size=size)
            after = rows[-1][0]

    def lies(self, kept: Kept) -> bool:
        """Say whether a content still lies there."""
        rows = self.database.read(lambda tx: tx.rows(sql.CONTENT, digest=kept.digest))
        return bool(rows) and rows[0][0] == kept.upload

    def remove(self, store: str, upload: str, digest: str) -> None:
        """Remove what a condemned upload stored, then the upload; raises Unavailable where its store is away."""
        self._store(store).remove(upload, digest)
        self.database.commit(lambda tx: tx.changed(sql.END_UPLOAD, upload=upload))

    def new_id(self) -> str:
        """Name an upload."""
        return self._entropy(16).hex()

    def _store(self, name: str) -> ChunkStore:
        """Find a store; raises Unavailable where the settings do not name it any more."""
        if name not in self._stores:
            raise Unavailable(Code.UNAVAILABLE, Problem(text="attachments.no-store", values={"store": name}))
        return self._stores[name]

    def _kept(self, digest: str) -> Kept:
        rows = self.database.read(lambda tx: tx.rows(sql.CONTENT, digest=digest))
        if not rows:
            raise missing(digest)
        upload, store, size = rows[0]
        return Kept(digest=digest, upload=upload, store=store, size=size)

    def _under(self, key: str, after: str) -> list[tuple[Any, ...]]:
        return self.database.read(lambda tx: tx.rows(sql.UNDER_KEY, key=key, after=after, limit=LOT))


@dataclass(slots=True, kw_only=True)
class Upload:
    """One content on its way in; used by one thread at a time."""

    name: str
    media_type: str
    size: int = 0
    _id: str
    _store: ChunkStore
    _keeping: Attachments
    _begun: bool = False
    _digest: str = ""
    _published: int | None = None
    _chunks: int = 0
    _keys: set[str] = field(default_factory=set)
    _waiting: bytearray = field(default_factory=bytearray)
    _hash: Any = field(default_factory=hashlib.sha256)

    def write(self, data: bytes) -> None:
        """Take the next bytes; raises Unavailable where they cannot be stored."""
        self._hash.update(data)
        self.size += len(data)
        self._waiting += data
        while len(self._waiting) > CHUNK:  # the last chunk is known by nothing coming after it
            self._go_on()
            self._seal(bytes(self._waiting[:CHUNK]), last=False)
            del self._waiting[:CHUNK]

    def finish(self) -> Attachment:
        """Keep what came and say what it is; durable when it returns. Raises Unavailable, and then discard() is due."""
        found = Attachment(
            name=self.name,
            media_type=self.media_type,
            size=self.size,
            sha256=self._hash.hexdigest(),
            id=content_digest(self._keeping.cipher, self._hash.digest()),
        )
        self._digest = found.id
        rest, self._waiting = bytes(self._waiting), bytearray()  # a request keeps its uploads to its end, and may have dozens
        if not self._recognised():
            self._seal(rest, last=True)
            self._store.keep(self._id, found.id)
            self._published = self._keeping.database.commit(self._publish)
        if self._published is None:
            self.discard()  # the content was there already
        return found

    def discard(self) -> None:
        """Take back what this upload brought, unless a message refers to it; what cannot be removed now is collected later."""
        if not self._begun:
            return
        with suppress(GatewayError):
            if self._keeping.database.commit(self._take_back):
                self._keeping.remove(self._store.name, self._id, self._digest)

    def _go_on(self) -> None:
        """Begin, and from time to time say that the upload lives; raises Unavailable where it was given up."""
        if not self._begun:
            self._keeping.database.commit(self._write_begin)
            self._begun = True
        elif self._chunks % TOUCH_EVERY == 0:
            self._keeping.database.commit(self._touch)

    def _touch(self, tx: Tx) -> None:
        if not tx.changed(sql.TOUCH_UPLOAD, upload=self._id, now=to_micros(tx.now())):
            raise given_up()

    def _write_begin(self, tx: Tx) -> None:
        tx.changed(sql.BEGIN, id=self._id, store=self._store.name, digest=self._digest, now=to_micros(tx.now()))

    def _recognised(self) -> bool:
        """Say whether the content is there already; where it is not, name where it will lie."""
        found = self._keeping.database.commit(self._recognise)
        self._begun = self._begun or not found
        return found

    def _recognise(self, tx: Tx) -> bool:
        now = to_micros(tx.now())
        if tx.changed(sql.TOUCH, content=self._digest, now=now):
            return True
        if not self._begun:
            self._write_begin(tx)
        elif not tx.changed(sql.NAME_UPLOAD, upload=self._id, content=self._digest, now=now):
            raise given_up()
        return False

    def _publish(self, tx: Tx) -> int | None:
        """Turn the upload into a content and say when; None where another upload brought the same in the meantime."""
        now = to_micros(tx.now())
        key = next(iter(self._keys)) if len(self._keys) == 1 else ""
        row = {"digest": self._digest, "upload": self._id, "store": self._store.name, "size": self.size, "key": key, "loose_at": now}
        if not tx.changed(sql.KEEP, **row):
            tx.changed(sql.TOUCH, content=self._digest, now=now)
            return None
        if not tx.changed(sql.PUBLISH_UPLOAD, upload=self._id):
            raise given_up()
        return now

    def _take_back(self, tx: Tx) -> bool:
        """Make sure that nobody can refer to it any more; says no where somebody may."""
        if self._published is None:
            return self._condemn(tx)
        return condemned(tx, self._digest, self._id, self._store.name, before=self._published + 1)

    def _condemn(self, tx: Tx) -> bool:
        if tx.changed(sql.CONDEMN_UPLOAD, upload=self._id) or tx.rows(sql.UPLOAD, id=self._id):
            return True
        found = tx.rows(sql.CONTENT, digest=self._digest)
        if found and found[0][0] == self._id:
            return False  # it was published, and the answer lost; the collector knows it as loose
        tx.changed(sql.CONDEMN, id=self._id, store=self._store.name, digest=self._digest)  # collected, but it went on
        return True

    def _seal(self, plain: bytes, *, last: bool) -> None:
        cipher = self._keeping.cipher
        sealed = cipher.encrypt(plain, context=chunk_context(self._id, self._chunks, last=last))
        self._store.add(self._id, self._chunks, sealed)
        self._keys.add(cipher.key_of(sealed))
        self._chunks += 1


def condemned(tx: Tx, digest: str, upload: str, store: str, *, before: int) -> bool:
    """Turn a content that is loose since before a time back into an upload, to be removed; says no where it is referred to."""
    if not tx.changed(sql.REMOVE, content=digest, bringer=upload, before=before):
        return False
    tx.changed(sql.CONDEMN, id=upload, store=store, digest=digest)
    return True


def chunk_count(size: int) -> int:
    """Say in how many chunks a content lies; an empty one has one."""
    return max(1, -(-size // CHUNK))


def chunk_context(upload: str, number: int, *, last: bool) -> str:
    """Say what a chunk is bound to, so that none can be dropped, swapped or put into another content."""
    return f"attachment/{upload}/{number}/{'last' if last else 'more'}"


def content_digest(cipher: Cipher, sha256: bytes) -> str:
    """Name a content: keyed, so that equal contents are recognised and none can be guessed."""
    return cipher.fingerprint(b"attachment", sha256).hex()


def missing(place: str) -> Unavailable:
    """Say that a content, or a part of it, is not where it should be."""
    return Unavailable(Code.UNAVAILABLE, Problem(text="attachments.missing", values={"place": place}))


def given_up() -> Unavailable:
    """Say that an upload took so long that it was collected."""
    return Unavailable(Code.UNAVAILABLE, Problem(text="attachments.given-up"))
