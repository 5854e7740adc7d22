"""How a database will grow: what came in the last weeks goes on coming, and what is old enough goes.

An estimate: a message weighs what messages weigh now, and periods that single parties ask for are left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Literal

from gateway.model import Periods, Schedule, uuid7
from gateway.ports import Database, Tx
from gateway.store.times import EPOCH

from .sql import forecast as sql

WEEKS = 4  # looked back on: long enough for a month's end, short enough to follow a change
DAY = timedelta(days=1)
Kind = Literal["content", "record", "ledger", "other"]
Stage = Literal["content", "record"]
KINDS: Mapping[str, Kind] = {
    "payloads": "content", "attempts": "content", "outcomes": "content", "business_keys": "content",
    "attachments": "content", "contents": "content", "chunks": "content", "uploads": "content",
    "messages": "record", "deliveries": "record", "dossiers": "record", "purged": "record",
    "ledger": "ledger", "ledger_tiles": "ledger", "ledger_heads": "ledger", "ledger_stamps": "ledger",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What came in the last weeks: messages a week, the latest last, and bytes a day; `days` is how many days there were."""

    days: int
    messages: tuple[int, ...]
    messages_per_day: float
    bytes_per_day: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """How large it will be at a moment; `kept` without retention. An SQLite file keeps its largest size and reuses what is freed."""

    at: datetime
    bytes: int
    kept: int
    purged: int  # messages whose content goes until then
    archives: int
    archive_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weight:
    """Bytes of one message, by what they are."""

    content: float
    record: float
    ledger: float

    @property
    def all(self) -> float:
        return self.content + self.record + self.ledger


def kind_of(table: str) -> Kind:
    """Say what a table holds mostly."""
    return KINDS.get(table, "other")


def growth(database: Database, sizes: Mapping[str, int]) -> Growth:
    """Look back on the last weeks; `sizes` are bytes by table."""

    def work(tx: Tx) -> Growth:
        now, days = tx.now(), _days(tx)
        edges = [now - timedelta(weeks=week) for week in range(WEEKS, -1, -1)]
        weeks = tuple(tx.rows(sql.CAME, first=_id(a), before=_id(b))[0][0] for a, b in pairwise(edges))
        rate = sum(weeks) / days
        return Growth(days=days, messages=weeks, messages_per_day=rate, bytes_per_day=round(rate * _weight(tx, sizes).all))

    return database.read(work)


def forecast(database: Database, sizes: Mapping[str, int], schedule: Schedule, *, ahead: timedelta) -> Forecast:
    """Say how large a database will be after a time."""

    def work(tx: Tx) -> Forecast:
        now, weight = tx.now(), _weight(tx, sizes)
        first, days = now - timedelta(weeks=WEEKS), _days(tx)
        rates = {procedure or "": count / days for procedure, count in tx.rows(sql.CAME_BY_PROCEDURE, first=_id(first), before=_id(now))}
        kept = sum(sizes.values()) + sum(rates.values()) * (ahead / DAY) * weight.all
        contents = _going(tx, schedule, rates, now=now, ahead=ahead, stage="content")
        records = _going(tx, schedule, rates, now=now, ahead=ahead, stage="record")
        ((archives, archived),) = tx.rows(sql.ARCHIVES_KEPT)
        left = kept - contents * weight.content - records * weight.record
        return Forecast(
            at=now + ahead,
            bytes=max(0, round(left)),
            kept=round(kept),
            purged=round(contents),
            archives=archives,
            archive_bytes=int(archived),
        )

    return database.read(work)


def _going(tx: Tx, schedule: Schedule, rates: Mapping[str, float], *, now: datetime, ahead: timedelta, stage: Stage) -> float:
    """Count the messages that go until then: of those here, and of those that come and are already old enough."""
    count = 0.0
    for period in {_of(known, stage) for known in (*schedule.procedures.values(), schedule.otherwise) if known}:
        here = tx.rows(sql.HERE[stage], before=_id(_before(now, ahead - period)))
        count += sum(number for procedure, number in here if _period(schedule, procedure or "", stage) == period)
        coming = max(timedelta(0), ahead - period) / DAY
        count += sum(rate * coming for procedure, rate in rates.items() if _period(schedule, procedure, stage) == period)
    return count


def _period(schedule: Schedule, procedure: str, stage: Stage) -> timedelta | None:
    found = schedule.of(procedure, ())
    return None if found is None else _of(found, stage)


def _of(periods: Periods, stage: Stage) -> timedelta:
    return periods.content if stage == "content" else periods.record


def _weight(tx: Tx, sizes: Mapping[str, int]) -> _Weight:
    """Share what the tables take out among the messages that are in them."""
    ((messages,),), ((purged,),) = tx.rows(sql.MESSAGES_KEPT), tx.rows(sql.MESSAGES_PURGED)
    of = {kind: sum(size for table, size in sizes.items() if kind_of(table) == kind) for kind in ("content", "record", "ledger")}
    every = max(messages, 1)
    return _Weight(content=of["content"] / max(messages - purged, 1), record=of["record"] / every, ledger=of["ledger"] / every)


def _days(tx: Tx) -> int:
    """Count the days there are to look back on: no more than the weeks, and no more than the database is old."""
    ((oldest,),) = tx.rows(sql.OLDEST)
    if oldest is None:
        return WEEKS * 7
    came = EPOCH + timedelta(milliseconds=int(oldest.replace("-", "")[:12], 16))
    return max(1, min(WEEKS * 7, -((came - tx.now()) // DAY)))


def _before(now: datetime, distance: timedelta) -> datetime:
    """Move a moment, but not before the beginning of time, nor past the present: what has not come yet is counted by its rate."""
    return now + max(EPOCH - now, min(distance, timedelta(0)))


def _id(moment: datetime) -> str:
    return uuid7(max(moment, EPOCH), bytes(10))
