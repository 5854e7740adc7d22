"""What goes when a message is purged, and what stays: the one place that knows every table that holds content."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.audit import Event
from gateway.ports import Tx
from gateway.store.leaves import write_leaf
from gateway.store.tables import ATTEMPTS, DELIVERIES, MESSAGES, OUTCOMES
from gateway.store.times import to_micros
from gateway.xml import likeness

from .archive import Kept
from .attachments.links import digests_of, read_links, release_links
from .payloads import Payloads
from .sql import retention as sql

Row = Mapping[str, Any]
NOTHING = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A message about to be purged: what finds its rows, what takes the place of content that no row may lack, and what is archived.

    `imprint` recognises a late repeat; None where the message was refused, for such a one is judged anew.
    """

    message: str
    accepted: bool
    imprint: bytes | None
    keys: tuple[tuple[str, str], ...]
    deliveries: tuple[str, ...]
    body: bytes
    requests: tuple[tuple[str, str, bytes], ...]  # delivery, token, what takes the request's place
    kept: Kept | None


def load(tx: Tx, payloads: Payloads, message: str, *, archived: bool) -> Loaded:
    """Read what is about to go; raises Unavailable where it cannot be decrypted."""
    row = _named(MESSAGES.c, tx.rows(sql.KEPT_MESSAGE, id=message)[0])
    parts = _parts(tx, payloads, message)
    deliveries = [_named(DELIVERIES.c, each) for each in tx.rows(sql.KEPT_DELIVERIES, message=message)]
    tokens = [(d["id"], token) for d in deliveries for (token,) in tx.rows(sql.TOKENS, delivery=d["id"])]
    return Loaded(
        message=message,
        accepted=row["state"] == "accepted",
        imprint=imprint(parts["document"], digests_of(tx, message)) if "document" in parts else None,
        keys=tuple((name, value) for name, value in json.loads(row["keys"] or "[]")),
        deliveries=tuple(d["id"] for d in deliveries),
        body=payloads.lock(message, "body", NOTHING),
        requests=tuple((delivery, token, payloads.lock(delivery, token, NOTHING)) for delivery, token in tokens),
        kept=_kept(tx, payloads, row, deliveries, parts) if archived else None,
    )


def complete(tx: Tx, loaded: Loaded) -> bool:
    """Say whether no attempt was made since a message was loaded; its content would stay, and be in no archive."""
    ids = [row[0] for row in tx.rows(sql.LOCKED, message=loaded.message)]
    tokens = {(delivery, token) for delivery in ids for (token,) in tx.rows(sql.TOKENS, delivery=delivery)}
    return tokens == {(delivery, token) for delivery, token, _ in loaded.requests}


def imprint(document: bytes, beside: list[str]) -> bytes:
    """Digest what a repeat has in common with a message: its envelope as it is kept, and what came beside it."""
    return hashlib.sha256("\n".join([likeness.imprint(document).hex(), *beside]).encode()).digest()


def purge(tx: Tx, loaded: Loaded, *, dossier: str | None, archive: str, now: datetime) -> None:
    """Let content go. What stays are ids, codes, times and digests, and the answer of an accepted message, which is its receipt."""
    of = loaded.message
    if loaded.accepted:
        tx.changed(sql.DROP_CONTENT, of=of, nothing=loaded.body)
    else:
        tx.changed(sql.DROP_PAYLOAD, of=of)  # its answer quotes what it refuses
    tx.changed(sql.DROP_PERSONAL, of=of)
    for name, value in loaded.keys:
        tx.changed(sql.DROP_KEY, name=name, value=value, of=of)
    tx.changed(sql.DROP_REASONS, of=of)
    for delivery, token, nothing in loaded.requests:
        tx.changed(sql.DROP_REQUEST, of=delivery, under=token, nothing=nothing)
    for delivery in loaded.deliveries:
        tx.changed(sql.DROP_REPLIES, of=delivery)
        tx.changed(sql.DROP_ANSWERS, of=delivery)
    release_links(tx, of)
    archived = archive if loaded.kept else None
    tx.changed(sql.NOTE_PURGED, message=of, purged_at=to_micros(now), imprint=loaded.imprint, dossier=dossier, archive=archived)
    write_leaf(tx, Event(kind="message.purged", at=now, message=of, values={"archive": archived or ""}))


def forget(tx: Tx, message: str, *, dossier: str | None, now: datetime) -> None:
    """Let the record go, after which nothing but the ledger knows of the message, and a repeat is a new one."""
    for delivery in [row[0] for row in tx.rows(sql.LOCKED, message=message)]:
        tx.changed(sql.FORGET_ATTEMPTS, of=delivery)
        tx.changed(sql.FORGET_OUTCOMES, of=delivery)
    release_links(tx, message)
    tx.changed(sql.FORGET_DELIVERIES, of=message)
    tx.changed(sql.DROP_PAYLOAD, of=message)
    tx.changed(sql.FORGET_PURGED, of=message)
    if dossier:
        tx.changed(sql.FORGET_DOSSIER, dossier=dossier, of=message)
    tx.changed(sql.FORGET_MESSAGE, of=message)
    write_leaf(tx, Event(kind="message.forgotten", at=now, message=message))


def _parts(tx: Tx, payloads: Payloads, message: str) -> dict[str, bytes]:
    rows = tx.rows(sql.KEPT_PAYLOAD, message=message)
    sealed = zip(("document", "body", "answer"), rows[0] if rows else (None, None, None), strict=True)
    return {name: payloads.unlock(message, name, content) for name, content in sealed if content is not None}


def _kept(tx: Tx, payloads: Payloads, row: Row, deliveries: list[Row], parts: Mapping[str, bytes]) -> Kept:
    """Write a message for its archive: the record in words, every content as a part."""
    message = row["id"]
    attachments = [
        {"name": each.name, "media_type": each.media_type, "size": each.size, "sha256": each.sha256}
        for each in read_links(tx, message, payloads)
    ]
    exchanged, attempts = _exchanged(tx, payloads, [d["id"] for d in deliveries])
    record = {**_told(row), "deliveries": [_told(d) for d in deliveries], "attempts": attempts, "attachments": attachments}
    return Kept(message=message, record=record, parts={**parts, **exchanged})


def _exchanged(tx: Tx, payloads: Payloads, deliveries: list[str]) -> tuple[dict[str, bytes], list[Row]]:
    """Read every request and reply; gives them by name, and what is told of each attempt."""
    contents: dict[str, bytes] = {}
    told: list[Row] = []
    for delivery in deliveries:
        for noted in (_named(ATTEMPTS.c, row) for row in tx.rows(sql.KEPT_ATTEMPTS, delivery=delivery)):
            contents[f"{delivery}/{noted['token']}/request"] = payloads.unlock(delivery, noted["token"], noted["request"])
            told.append(_told(noted))
        for settled in (_named(OUTCOMES.c, row) for row in tx.rows(sql.KEPT_OUTCOMES, delivery=delivery)):
            if settled["reply"] is not None:
                name = f"{settled['token']}/reply"
                contents[f"{delivery}/{name}"] = payloads.unlock(delivery, name, settled["reply"])
            told.append(_told(settled))
    return contents, told


def _named(columns: Any, row: tuple[Any, ...]) -> Row:
    return dict(zip((c.name for c in columns), row, strict=True))


def _told(row: Row) -> Row:
    """Write a row for a manifest: bytes that are digests in hex, contents left to the parts."""
    return {name: _plain(value) for name, value in row.items() if name not in {"request", "reply"}}


def _plain(value: object) -> object:
    return bytes(value).hex() if isinstance(value, bytes | memoryview) else value
