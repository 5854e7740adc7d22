"""Removes what no message refers to: uploads that were never finished, and contents whose last message is gone.

Every object a store holds is named in the database before it exists and until it is gone, so nothing has to be searched for.
"""

from dataclasses import dataclass
from datetime import timedelta

from gateway.errors import GatewayError
from gateway.outbox.sql import attachments as sql
from gateway.ports import Tx, Watch
from gateway.store.times import to_micros

from .keeping import Attachments, condemned

GRACE = timedelta(hours=24)  # longer than the slowest upload takes; what is refused is taken back at once
MOST = 500  # of each kind in one run: the next one goes on
COLLECT_SECONDS = 600.0  # between two runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What one run did: uploads and contents that were removed, and what could not be."""

    removed: int = 0
    failed: int = 0


def collect(keeping: Attachments, *, older_than: timedelta = GRACE) -> Collected:
    """Remove what nobody has referred to for so long; raises Unavailable where the database is away. May run in many processes at once."""
    database = keeping.database

    def condemn(tx: Tx) -> None:
        before = to_micros(tx.now() - older_than)
        tx.changed(sql.CONDEMN_ABANDONED, before=before)
        tx.changed(sql.FASTEN_LINKED, before=before)
        for digest, upload, store in tx.rows(sql.LOOSE, before=before, limit=MOST):
            condemned(tx, digest, upload, store, before=before)

    database.commit(condemn)
    waiting = database.read(lambda tx: tx.rows(sql.CONDEMNED, limit=MOST))
    removed = sum(_removed(keeping, *row) for row in waiting)
    return Collected(removed=removed, failed=len(waiting) - removed)


def tidy(keeping: Attachments, watch: Watch) -> None:
    """Collect once, and tell where there was something; raises Unavailable. Every process may do it from time to time."""
    found = collect(keeping)
    if found.removed or found.failed:
        watch("attachments.collected", {"removed": found.removed, "failed": found.failed})


def _removed(keeping: Attachments, upload: str, store: str, digest: str) -> bool:
    """Remove one; a store that is away must not keep the others from being emptied."""
    try:
        keeping.remove(store, upload, digest)
    except GatewayError:
        return False
    return True
