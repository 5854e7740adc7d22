"""Chunks as rows of the database: what several nodes share without anything beside it."""

from collections.abc import Iterator
from typing import Any

from gateway.outbox.sql import attachments as sql
from gateway.ports import Database, Tx
from gateway.store.times import to_micros

from .keeping import given_up, missing

BATCH = 16  # rows removed in one commit, so that a large content does not hold the others up


class RowStore:
    """Implements ports.ChunkStore; a chunk is durable when add() returns."""

    name = "database"

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, upload: str, number: int, sealed: bytes) -> None:
        """Take the next chunk; raises Unavailable where there is no room, or the upload was given up."""

        def work(tx: Tx) -> None:
            if not tx.changed(sql.TOUCH_UPLOAD, upload=upload, now=to_micros(tx.now())):
                raise given_up()
            tx.changed(sql.ADD_CHUNK, upload=upload, number=number, sealed=sealed)

        self._database.commit(work)

    def keep(self, upload: str, digest: str) -> None:
        """Do nothing: every chunk is where it will be found."""

    def chunks(self, upload: str, digest: str, count: int) -> Iterator[bytes]:
        """Give the chunks in their order; raises Unavailable where one is missing."""
        for number in range(count):
            rows = self._rows(upload, number)
            if not rows:
                raise missing(f"{self.name}:{digest[:12]}/{number}")
            yield bytes(rows[0][0])

    def remove(self, upload: str, digest: str) -> None:  # noqa: ARG002  # the port's; rows lie under their upload
        """Remove whatever is there; nothing is fine too."""
        while self._database.commit(lambda tx: tx.changed(sql.REMOVE_CHUNKS, bringer=upload, limit=BATCH)):
            pass

    def _rows(self, upload: str, number: int) -> list[tuple[Any, ...]]:
        return self._database.read(lambda tx: tx.rows(sql.CHUNK, upload=upload, number=number))
