"""Encrypts anew what is under an old key, in bounded steps beside the flow, so that the key can go."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Table

from gateway.audit import Event
from gateway.errors import Code, Conflict, Problem
from gateway.ports import Tx
from gateway.store.leaves import write_leaf
from gateway.store.tables import ATTEMPTS, LINKS, OUTCOMES, PAYLOADS
from gateway.store.times import from_micros, to_micros

from .attachments.keeping import Attachments
from .attachments.links import label_part
from .attachments.resealing import resealed
from .sql import rekeying as sql

STEP_ROWS, STEP_BYTES = 100, 8_388_608  # of one commit: enough to get on, little enough that intake does not wait
REST = timedelta(seconds=60)  # after a rotation, what was encrypted before it is in the database, or never will be


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A column of encrypted content: `context` says from a row's key what a value is bound to."""

    table: Table
    column: str
    context: Callable[..., str]


SEALED = (
    Sealed(table=PAYLOADS, column="answer", context=lambda message: f"{message}/answer"),
    Sealed(table=PAYLOADS, column="document", context=lambda message: f"{message}/document"),
    Sealed(table=PAYLOADS, column="body", context=lambda message: f"{message}/body"),
    Sealed(table=ATTEMPTS, column="request", context=lambda delivery, token: f"{delivery}/{token}"),
    Sealed(table=OUTCOMES, column="reply", context=lambda delivery, token: f"{delivery}/{token}/reply"),
    Sealed(table=LINKS, column="label", context=lambda message, number: f"{message}/{label_part(number)}"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rekeying:
    """Moves content from an old key to the present one; may be broken off at any time and begun again."""

    keeping: Attachments

    def run(self, key: str) -> Iterator[tuple[str, int]]:
        """Encrypt everything anew that is under a key; gives, step by step, what was and how many. Raises Unavailable."""
        for sealed in SEALED:
            yield from ((f"{sealed.table.name}.{sealed.column}", count) for count in self._steps(sealed, key))
        yield from (("contents", 1) for _ in resealed(self.keeping, key))

    def check_rested(self, key: str, *, since: datetime, now: datetime) -> None:
        """Make sure that nothing can still come under a key that was left at `since`; raises Conflict until then.

        A file that is being sent may hold chunks under it, and archives are not encrypted anew: they end by themselves.
        """
        until = since + REST
        coming, archived, kept_until = self.keeping.database.read(lambda tx: _remaining(tx, key, before=until))
        if now < until or coming:
            raise Conflict(Code.CONFLICT, Problem(text="cipher.not-rested", values={"key": key, "coming": str(coming)}))
        if archived:
            day = from_micros(kept_until).date().isoformat()
            raise Conflict(Code.CONFLICT, Problem(text="cipher.archived", values={"key": key, "archives": str(archived), "day": day}))

    def left(self, key: str) -> bool:
        """Say whether anything is under a key."""
        return any(self._found(sealed, key, _before(sealed)) for sealed in SEALED) or bool(list(self.keeping.under(key)))

    def note(self, kind: str, key: str, *, by: str) -> None:
        """Tell the ledger what a person did with a key: its name, never the key."""
        self.keeping.database.commit(lambda tx: write_leaf(tx, Event(kind=kind, at=tx.now(), values={"key": key, "by": by})))

    def _steps(self, sealed: Sealed, key: str) -> Iterator[int]:
        after = _before(sealed)
        while rows := self._found(sealed, key, after):
            chosen = _some(rows)
            self._reseal_all(sealed, key, chosen)
            after = chosen[-1]
            yield len(chosen)

    def _found(self, sealed: Sealed, key: str, after: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        values = _key_values(key) | _named(sealed, "after", after) | {"most": STEP_ROWS}
        return self.keeping.database.read(lambda tx: tx.rows(sql.found(sealed.table, sealed.column), **values))

    def _reseal_all(self, sealed: Sealed, key: str, rows: list[tuple[Any, ...]]) -> None:
        def work(tx: Tx) -> None:
            for row in rows:
                self._reseal(tx, sealed, key, row)

        self.keeping.database.commit(work)

    def _reseal(self, tx: Tx, sealed: Sealed, key: str, row: tuple[Any, ...]) -> None:
        cipher, context = self.keeping.cipher, sealed.context(*row)
        values = _key_values(key) | _named(sealed, "at", row)
        for (content,) in tx.rows(sql.content(sealed.table, sealed.column), **values):
            plain = cipher.decrypt(bytes(content), context=context)
            tx.changed(sql.write(sealed.table, sealed.column), **values, resealed=cipher.encrypt(plain, context=context))


def _some(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Take the first rows that together are not too large, at least one."""
    chosen: list[tuple[Any, ...]] = []
    size = 0
    for *ids, length in rows:
        size += length
        if chosen and size > STEP_BYTES:
            break
        chosen.append(tuple(ids))
    return chosen


def _before(sealed: Sealed) -> tuple[Any, ...]:
    """Give a key before every row's."""
    return tuple(key.type.python_type() for key in sealed.table.primary_key)  # "" and 0: ids are not empty, numbers begin at 1


def _named(sealed: Sealed, prefix: str, row: tuple[Any, ...]) -> dict[str, object]:
    return {f"{prefix}_{key.name}": value for key, value in zip(sealed.table.primary_key, row, strict=True)}


def _key_values(key: str) -> dict[str, object]:
    name = bytes((len(key),)) + key.encode("ascii")
    return {"name": name, "length": len(name)}


def _remaining(tx: Tx, key: str, *, before: datetime) -> tuple[int, int, int]:
    ((coming,),) = tx.rows(sql.COMING, before=to_micros(before))
    ((archived, kept_until),) = tx.rows(sql.ARCHIVED, key=key)
    return coming, archived, kept_until or 0
