"""Encrypts attachments anew: each as a new upload that takes the old one's place in one commit."""

from collections.abc import Iterator

from gateway.errors import Unavailable
from gateway.outbox.sql import attachments as sql
from gateway.ports import Tx
from gateway.store.times import to_micros

from .keeping import Attachments, Kept, chunk_context, given_up


def resealed(keeping: Attachments, key: str) -> Iterator[str]:
    """Move every content that is under a key to the present one, one after the other; gives its digest. Raises Unavailable."""
    for kept in keeping.under(key):
        if _reseal(keeping, kept):
            yield kept.digest


def _reseal(keeping: Attachments, kept: Kept) -> bool:
    """Write a content again and let the old writing go; says no where another command did, or nobody needs it any more."""
    upload = keeping.new_id()

    def begin(tx: Tx) -> None:
        tx.changed(sql.BEGIN, id=upload, store=keeping.into.name, digest=kept.digest, now=to_micros(tx.now()))

    keeping.database.commit(begin)
    try:
        key = _copy(keeping, kept, upload)
    except Unavailable:
        if keeping.lies(kept):
            raise
        key = None
    values = {"content": kept.digest, "bringer": kept.upload, "successor": upload, "into": keeping.into.name, "under": key}

    def take_over(tx: Tx) -> bool:
        if key is None or not tx.changed(sql.MOVE, **values):
            tx.changed(sql.CONDEMN_UPLOAD, upload=upload)
            return False
        if not tx.changed(sql.PUBLISH_UPLOAD, upload=upload):
            raise given_up()
        tx.changed(sql.CONDEMN, id=kept.upload, store=kept.store, digest=kept.digest)
        return True

    moved = keeping.database.commit(take_over)
    keeping.remove(*(kept.store, kept.upload) if moved else (keeping.into.name, upload), kept.digest)
    return moved


def _copy(keeping: Attachments, kept: Kept, upload: str) -> str:
    """Encrypt chunk after chunk under the present key, and name the key; empty where it changed meanwhile."""
    keys = set[str]()
    for number, (plain, last) in enumerate(keeping.opened(kept)):
        sealed = keeping.cipher.encrypt(plain, context=chunk_context(upload, number, last=last))
        keeping.into.add(upload, number, sealed)
        keys.add(keeping.cipher.key_of(sealed))
    keeping.into.keep(upload, kept.digest)
    return keys.pop() if len(keys) == 1 else ""
