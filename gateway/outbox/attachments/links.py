"""A message's references to contents: written in its own commit, read where it leaves, let go when it is purged."""

import json
from collections.abc import Sequence
from typing import Any

from gateway.errors import Code, Problem, Unavailable
from gateway.model import Attachment
from gateway.outbox.payloads import Payloads
from gateway.outbox.sql import attachments as sql
from gateway.ports import Tx
from gateway.store.times import to_micros

Rows = Sequence[dict[str, object]]


def link_rows(message: str, attachments: Sequence[Attachment], payloads: Payloads) -> Rows:
    """Write a message's references as rows; names are content, and encrypted."""
    return [
        {
            "message": message,
            "number": number,
            "digest": each.id,
            "sha256": each.sha256,
            "size": each.size,
            "label": payloads.lock(message, label_part(number), json.dumps([each.name, each.media_type]).encode()),
        }
        for number, each in enumerate(attachments, start=1)
    ]


def write_links(tx: Tx, rows: Rows) -> None:
    """Link a message to its contents, in its own commit; raises Unavailable where one was collected in the meantime."""
    for digest in sorted({str(row["digest"]) for row in rows}):  # in one order, so that two messages never wait for each other
        if not tx.changed(sql.FASTEN, content=digest):
            raise Unavailable(Code.UNAVAILABLE, Problem(text="attachments.given-up"))
    for row in rows:
        tx.changed(sql.LINK, **row)


def read_links(tx: Tx, message: str, payloads: Payloads) -> tuple[Attachment, ...]:
    """Read what a message has beside it, as it came."""
    return tuple(_attachment(row, message, payloads) for row in tx.rows(sql.LINKED, message=message))


def digests_of(tx: Tx, message: str) -> list[str]:
    """Name the contents a message has beside it, in their order."""
    return [row[1] for row in tx.rows(sql.LINKED, message=message)]


def release_links(tx: Tx, message: str) -> None:
    """Let go of a message's contents, in the commit that purges it; they are collected after a while unless another refers to them."""
    tx.changed(sql.RELEASE, of=message, now=to_micros(tx.now()))
    tx.changed(sql.UNLINK, message=message)


def label_part(number: int) -> str:
    """Say what an attachment's name is bound to, beside its message."""
    return f"attachment/{number}"


def _attachment(row: tuple[Any, ...], message: str, payloads: Payloads) -> Attachment:
    number, digest, sha256, size, label = row
    name, media_type = json.loads(payloads.unlock(message, label_part(number), bytes(label)))
    return Attachment(name=name, media_type=media_type, size=size, sha256=sha256, id=digest)
