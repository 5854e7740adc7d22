"""Removes what no message refers to: uploads that were never finished, and contents whose last message is gone.

Every object a store holds is named in the database before it exists and until it is gone, so nothing has to be searched for.
"""

import threading
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


class Collector(threading.Thread):
    """Collects from time to time; every process may have one."""

    def __init__(self, keeping: Attachments, *, watch: Watch, every: float = COLLECT_SECONDS) -> None:
        super().__init__(name="attachments", daemon=True)
        self._keeping = keeping
        self._watch = watch
        self._every = every
        self._stopping = threading.Event()

    def run(self) -> None:
        """Collect until stopped; what goes wrong is told, and the next run tries again."""
        while not self._stopping.wait(self._every):
            try:
                found = collect(self._keeping)
            except GatewayError as error:
                self._watch("attachments.paused", {"code": error.code})
            except Exception as error:  # noqa: BLE001  # a defect must not end the thread, and is seen in the metrics
                self._watch("attachments.defect", {"defect": type(error).__name__})
            else:
                self._tell(found)

    def stop(self) -> None:
        """Stop collecting, after the run that is under way."""
        self._stopping.set()
        if self.is_alive():
            self.join()

    def _tell(self, found: Collected) -> None:
        if found.removed or found.failed:
            self._watch("attachments.collected", {"removed": found.removed, "failed": found.failed})


def _removed(keeping: Attachments, upload: str, store: str, digest: str) -> bool:
    """Remove one; a store that is away must not keep the others from being emptied."""
    try:
        keeping.remove(store, upload, digest)
    except GatewayError:
        return False
    return True
