"""Keeps time-stamps over the ledger's heads: which head is due, who asks for it, what came, and since when one is missing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gateway.errors import NotProven, Problem, Unavailable
from gateway.ports import Clock, Database, Tx
from gateway.security.certificates import Certificate
from gateway.store.times import from_micros, to_micros

from . import sql
from .heads import Head, write_head
from .ledger import signed_head
from .timestamps import Authorities, Stamp, verify_stamp

AGAIN = timedelta(seconds=30)  # between two questions while no authority answers
PAGE = 500  # stamps read at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """That a time-stamp is missing: since when it has been asked for, and why none was given the last time."""

    since: datetime
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamped:
    """How far time-stamps reach: the size of the last head with one and the time it states, and the gap where one is missing."""

    size: int
    until: datetime | None
    gap: Gap | None


class Stamps:
    """The time-stamps of one ledger; every method may be called from any thread and raises Unavailable where the database is away."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def renew(self, authorities: Authorities, *, every: timedelta) -> bool:
        """Have the newest head stamped where that is due; says whether it was. Of all processes one asks, and no transaction waits for it.

        Raises Unavailable where no authority stamps it: the head that is newest then is asked for again after AGAIN.
        """
        head = self._database.commit(lambda tx: self._due(tx, every))
        if head is None:
            return False
        try:
            stamp = authorities.stamp(write_head(head))
        except Unavailable as error:
            why = error.problems[0].values.get("cause", error.problems[0].text)
            self._database.commit(lambda tx: tx.changed(sql.NOT_STAMPED, of=head.size, why=why))
            raise
        values = {"stated": to_micros(stamp.at), "by": stamp.authority, "value": stamp.token}
        return self._database.commit(lambda tx: tx.changed(sql.STAMPED, of=head.size, **values)) == 1

    def standing(self) -> Stamped:
        """Say how far time-stamps reach."""

        def work(tx: Tx) -> Stamped:
            last, asked = tx.rows(sql.LAST_STAMP), tx.rows(sql.ASKED)
            return Stamped(
                size=last[0][0] if last else 0,
                until=from_micros(last[0][1]) if last else None,
                gap=next((Gap(since=from_micros(begun), cause=cause) for _, begun, _, cause in asked if cause), None),
            )

        return self._database.read(work)

    def notices(self) -> list[Problem]:
        """Say that a time-stamp is missing, and since when; empty where none is."""
        gap = self.standing().gap
        if gap is None:
            return []
        return [Problem(text="ledger.unstamped", values={"since": gap.since.isoformat(" ", "seconds"), "cause": gap.cause})]

    def over(self, position: int) -> tuple[int, Stamp] | None:
        """Give the first stamp over a head that covers a leaf's position, with the head's size; None where there is none yet."""
        rows = self._database.read(lambda tx: tx.rows(sql.STAMP_OVER, position=position))
        return _stamp(rows[0]) if rows else None

    def last(self) -> tuple[int, Stamp] | None:
        """Give the last stamp with its head's size; None where there is none yet."""
        rows = self._database.read(lambda tx: tx.rows(sql.LAST_STAMP))
        return _stamp(rows[0]) if rows else None

    def check(self, anchors: Sequence[Certificate]) -> Iterator[Problem]:
        """Verify every stamp over the head it was asked for; tells of each that does not hold. (7) in LEDGER.md."""
        after = 0
        while rows := self._database.read(lambda tx, begin=after: tx.rows(sql.STAMPS, after=begin, most=PAGE)):  # type: ignore[misc]
            for row in rows:
                yield from self._wrong(*_stamp(row), anchors)
            after = rows[-1][0]

    def _wrong(self, size: int, stamp: Stamp, anchors: Sequence[Certificate]) -> Iterator[Problem]:
        head = self._database.read(lambda tx: _head(tx, size))
        values = {"check": "7", "size": str(size), "authority": stamp.authority}
        try:
            if head is None or verify_stamp(stamp.token, write_head(head), anchors) != stamp.at:
                yield Problem(text="ledger.stamp", values=values | {"cause": "stamping.other-head"})
        except NotProven as refused:
            yield Problem(text="ledger.stamp", values=values | {"cause": refused.problems[0].text})

    def _due(self, tx: Tx, every: timedelta) -> Head | None:
        """Say which head this process is to have stamped; None where nothing is due, or another process asks."""
        newest, last, asked = tx.rows(sql.LAST_SIGNED), tx.rows(sql.LAST_STAMP), tx.rows(sql.ASKED)
        if not newest:
            return None
        size, now = newest[0][0], to_micros(self._clock())
        if asked:
            of, _, before, _ = asked[0]
            due = not 0 <= now - before < AGAIN // _MICROSECOND  # nor does it wait for a clock that was ahead
            won = due and tx.changed(sql.ASK_AGAIN, of=of, before=before, to=max(size, of), now=now)
        else:
            due = not last or (size > last[0][0] and now - last[0][1] >= every // _MICROSECOND)
            won = due and tx.changed(sql.ASK, of=size, now=now)
        return signed_head(newest[0]).head if won else None


_MICROSECOND = timedelta(microseconds=1)


def _head(tx: Tx, size: int) -> Head | None:
    rows = tx.rows(sql.HEAD_OF, size=size)
    return signed_head(rows[0]).head if rows else None


def _stamp(row: tuple[Any, ...]) -> tuple[int, Stamp]:
    size, at, authority, token = row
    return size, Stamp(token=bytes(token), at=from_micros(at), authority=authority)
