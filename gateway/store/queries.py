"""What web and command line ask the database: search, timelines, counts; all reading."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, and_, bindparam, func, literal, or_, select, text, true

from gateway.errors import Code, NotValid, Problem
from gateway.lifecycle import State
from gateway.model import uuid7
from gateway.ports import Database, Tx

from .sharing import away
from .tables import ATTEMPTS, DELIVERIES, DOSSIERS, KEYS, LEDGER, MESSAGES, PAYLOADS, SET_ASIDE
from .times import from_micros, to_micros

T = TypeVar("T")
MAX_PAGE = 500  # rows in one answer
SEARCHES = 2  # at once: half of a database's readers, so that whoever takes in and delivers never waits for those who search
BUSY_SECONDS = 5  # how long a search waits for its turn
MAX_DIGITS = 18  # what a 64-bit integer surely holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """A page of rows, newest first; `next_cursor` asks for the page after it, None at the end."""

    items: tuple[T, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRow:
    """One arrival, accepted or refused; `cause` and `warnings` are text keys and places, without document content."""

    id: str
    state: str
    received_at: datetime
    door: str
    channel: str
    sender: str | None
    receiver: str | None
    message_id: str | None
    procedure: str | None
    type: str | None
    function: str | None
    reference: str | None
    year: str | None
    previous: str | None
    sha256: str
    schema: str | None
    proof: str | None
    signers: tuple[Mapping[str, Any], ...]
    schema_pack: str | None
    rule_set: str | None
    procedure_version: str | None
    code: str | None
    cause: tuple[Mapping[str, Any], ...]
    warnings: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """One delivery as it stands."""

    id: str
    message: str
    party: str
    route: str
    state: str
    attempt: int
    due_at: datetime | None
    reference: str
    cause: str
    created_at: datetime
    updated_at: datetime
    perhaps_taken: bool | None = None  # its party may have it though it is not delivered; None where that is not for who looks
    concerns: bool = True  # its party: not where it was cancelled before anything left


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One event of a timeline."""

    at: datetime
    kind: str
    delivery: str | None
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How much there is: messages by state, deliveries that are not done by party and state, and when the oldest was due."""

    messages: Mapping[str, int]
    deliveries: Mapping[tuple[str, str], int]
    oldest_due: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What a party is owed: what waits, what is under way, and when the first of those that wait is or was due."""

    waiting: int = 0
    under_way: int = 0
    oldest_due: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """How much a party has to collect: what waits, what is handed out, what was set aside, and since when the oldest waits."""

    waiting: int
    held: int
    set_aside: int
    oldest: datetime | None


_M = MESSAGES.c
_D = DELIVERIES.c
_MESSAGE_COLUMNS = tuple(MessageRow.__slots__)
_DELIVERY_COLUMNS = tuple(DeliveryRow.__slots__)
_MESSAGES = select(*(_M[name] for name in _MESSAGE_COLUMNS))
_CONCERNS = or_(  # attempts' primary key
    _D.state != State.CANCELLED.value, select(literal(1)).where(ATTEMPTS.c.delivery == _D.id).correlate(DELIVERIES).exists()
)
_DELIVERIES = select(_D.position, *(_CONCERNS if name == "concerns" else _D[name] for name in _DELIVERY_COLUMNS))
_MESSAGE = _MESSAGES.where(_M.id == bindparam("id"))
_DELIVERY = _DELIVERIES.where(_D.id == bindparam("id"))

# Which filter asks what. Reference, key and refused have indexes; the others follow the newest first until a page is full.
_FILTERS: Mapping[str, ColumnElement[bool]] = {
    "party": or_(_M.sender == bindparam("party"), _M.id.in_(select(_D.message).where(_D.party == bindparam("party")))),
    "own": or_(
        _M.sender == bindparam("party"),
        select(literal(1)).where(_D.message == _M.id, _D.party == bindparam("party"), _CONCERNS).correlate(MESSAGES).exists(),
    ),
    "procedure": _M.procedure == bindparam("procedure"),
    "reference": or_(_M.reference == bindparam("reference"), _M.previous == bindparam("reference")),
    "key": _M.id.in_(select(KEYS.c.message).where(KEYS.c.value == bindparam("key"))),
    "state": _M.state == bindparam("state"),
    "message_id": _M.message_id == bindparam("message_id"),
    "since": and_(_M.id >= bindparam("since_id"), _M.received_at >= bindparam("since")),
    "until": and_(_M.id < bindparam("until_id"), _M.received_at < bindparam("until")),
    "before": _M.id < bindparam("before"),
}
_CAUSE = bindparam("cause", type_=Text())
DELIVERY_FILTERS: Mapping[str, ColumnElement[bool]] = {
    "message": _D.message == bindparam("message"),
    "party": _D.party == bindparam("party"),
    "own": _CONCERNS,
    "state": _D.state == bindparam("state"),
    "route": _D.route == bindparam("route"),
    "cause": func.substr(_D.cause, 1, func.length(_CAUSE)) == _CAUSE,  # a partner's code stands before its words
    "procedure": select(literal(1)).where(_M.id == _D.message, _M.procedure == bindparam("procedure")).exists(),
    "since": _D.created_at >= bindparam("since"),
    "until": _D.created_at < bindparam("until"),
    "before": _D.position < bindparam("before"),
}

# ledger_by_message
_TIMELINE = (
    select(LEDGER.c.at, LEDGER.c.kind, LEDGER.c.delivery, LEDGER.c.leaf)
    .where(LEDGER.c.message == bindparam("message"))
    .order_by(LEDGER.c.id)
)
_PAYLOADS: Mapping[str, Select[Any]] = {
    part: select(PAYLOADS.c[part]).where(PAYLOADS.c.message == bindparam("message")) for part in ("document", "body", "answer")
}
_ALL_MESSAGES = select(func.count()).select_from(MESSAGES)
_REFUSED_MESSAGES = _ALL_MESSAGES.where(text("state = 'refused'"))  # messages_refused
_OPEN_DELIVERIES = select(_D.party, _D.state, func.count()).where(text("open = 1")).group_by(_D.party, _D.state)  # deliveries_in_order
_SET_ASIDE = select(_D.party, _D.state, func.count()).where(text(SET_ASIDE)).group_by(_D.party, _D.state)  # deliveries_set_aside
_BACKLOGS = (  # deliveries_in_order
    select(_D.party, func.count(_D.due_at), func.count(_D.token), func.min(_D.due_at)).where(text("open = 1")).group_by(_D.party)
)
_OLDEST_DUE = select(func.min(_D.due_at)).where(text("open = 1"))
_OPEN_OF = (  # deliveries_in_order
    select(_D.state, func.count(), func.min(_D.created_at)).where(_D.party == bindparam("party"), text("open = 1")).group_by(_D.state)
)
_DEAD_OF = select(func.count()).where(_D.state == State.DEAD.value, _D.party == bindparam("party"), text(SET_ASIDE))  # deliveries_set_aside
_DOSSIER = select(DOSSIERS.c.state).where(DOSSIERS.c.id == bindparam("id"))
_PING = select(literal(1))


class Queries:
    """Reads of one database; every method may be called from any thread and raises Unavailable where the database is away."""

    def __init__(self, database: Database, unlock: Callable[[str, str, bytes], bytes]) -> None:
        """Take the database, and what decrypts (owner, part, content)."""
        self._database = database
        self._unlock = unlock
        self._turns = threading.BoundedSemaphore(SEARCHES)

    def messages(  # noqa: PLR0913  # one parameter a filter, each by name
        self,
        *,
        party: str | None = None,
        own: bool = False,
        procedure: str | None = None,
        reference: str | None = None,
        key: str | None = None,
        state: str | None = None,
        message_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[MessageRow]:
        """Search arrivals, newest first; for the party's `own` eyes only what concerns it still.

        Raises NotValid where the cursor is not one that was given out.
        """
        asked = {
            "party": party, "own": own or None, "procedure": procedure, "reference": reference, "key": key, "state": state,
            "message_id": message_id, "since": since and to_micros(since), "until": until and to_micros(until),
            "before": cursor and _message_cursor(cursor),
        }  # fmt: skip
        values: dict[str, object] = {name: value for name, value in asked.items() if value is not None}
        bounds = {f"{name}_id": uuid7(moment, bytes(10)) for name, moment in (("since", since), ("until", until)) if moment}
        rows, more = self._page(_search(frozenset(values)), values | bounds, limit)
        items = tuple(_message(row) for row in rows)
        return Page(items=items, next_cursor=items[-1].id if more else None)

    def message(self, message: str) -> MessageRow | None:
        """Find an arrival by the gateway's id."""
        rows = self._rows(_MESSAGE, id=message)
        return _message(rows[0]) if rows else None

    def timeline(self, message: str) -> tuple[Moment, ...]:
        """Tell everything that happened to a message and its deliveries, in order."""
        return tuple(_moment(row) for row in self._rows(_TIMELINE, message=message))

    def deliveries(  # noqa: PLR0913  # one parameter a filter, each by name
        self,
        *,
        message: str | None = None,
        party: str | None = None,
        own: bool = False,
        state: str | None = None,
        route: str | None = None,
        cause: str | None = None,
        procedure: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[DeliveryRow]:
        """List deliveries, newest first; `cause` is how it begins, `own` as for messages.

        Raises NotValid where the cursor is not one that was given out.
        """
        asked = {
            "message": message, "party": party, "own": own or None, "state": state, "route": route, "cause": cause, "procedure": procedure,
            "since": since and to_micros(since), "until": until and to_micros(until), "before": _number(cursor) if cursor else None,
        }  # fmt: skip
        values: dict[str, object] = {name: value for name, value in asked.items() if value is not None}
        rows, more = self._page(_search_deliveries(frozenset(values)), values, limit)
        return Page(items=tuple(_delivery(row[1:]) for row in rows), next_cursor=str(rows[-1][0]) if more else None)

    def delivery(self, delivery: str) -> DeliveryRow | None:
        """Find a delivery."""
        rows = self._rows(_DELIVERY, id=delivery)
        return _delivery(rows[0][1:]) if rows else None

    def content(self, message: str, part: str = "document") -> bytes | None:
        """Give a message's "document", its "body" as received or the "answer"; None where there is none."""
        rows = self._rows(_PAYLOADS[part], message=message)
        return self._unlock(message, part, rows[0][0]) if rows and rows[0][0] is not None else None

    def dossier(self, procedure: str, reference: str, year: str) -> str | None:
        """Say in which state a dossier is; None where it is unknown."""
        rows = self._rows(_DOSSIER, id=f"{procedure}/{reference}/{year}")
        return rows[0][0] if rows else None

    def counts(self) -> Counts:
        """Count messages and deliveries."""

        def work(tx: Tx) -> Counts:
            every, refused, oldest = (tx.rows(q)[0][0] for q in (_ALL_MESSAGES, _REFUSED_MESSAGES, _OLDEST_DUE))
            rows = tx.rows(_OPEN_DELIVERIES) + tx.rows(_SET_ASIDE)
            return Counts(
                messages={"accepted": every - refused, "refused": refused},
                deliveries={(party, state): n for party, state, n in rows},
                oldest_due=None if oldest is None else from_micros(oldest),
            )

        return self._read(work)

    def mailbox(self, party: str) -> Mailbox:
        """Count what a party has to collect."""

        def work(tx: Tx) -> Mailbox:
            rows = tx.rows(_OPEN_OF, party=party)
            held = sum(n for state, n, _ in rows if state == State.SENDING)
            oldest = min((since for _, _, since in rows), default=None)
            return Mailbox(
                waiting=sum(n for _, n, _ in rows) - held,
                held=held,
                set_aside=tx.rows(_DEAD_OF, party=party)[0][0],
                oldest=None if oldest is None else from_micros(oldest),
            )

        return self._read(work)

    def backlogs(self) -> Mapping[str, Backlog]:
        """Say what each party is owed; a party that is owed nothing is left out."""
        rows = self._rows(_BACKLOGS)
        return {
            party: Backlog(waiting=waiting, under_way=held, oldest_due=None if due is None else from_micros(due))
            for party, waiting, held, due in rows
        }

    def ping(self) -> None:
        """Ask the database whether it is there; raises Unavailable."""
        self._rows(_PING)

    def _read(self, work: Callable[[Tx], T]) -> T:
        if not self._turns.acquire(timeout=BUSY_SECONDS):
            raise away("busy")
        try:
            return self._database.read(work)
        finally:
            self._turns.release()

    def _rows(self, statement: Select[Any], **values: object) -> list[tuple[Any, ...]]:
        return self._read(lambda tx: tx.rows(statement, **values))

    def _page(self, statement: Select[Any], values: Mapping[str, object], limit: int) -> tuple[list[tuple[Any, ...]], bool]:
        """Give at most so many rows, and whether there are more."""
        most = min(max(limit, 1), MAX_PAGE)
        rows = self._rows(statement, **values, rows=most + 1)
        return rows[:most], len(rows) > most


@cache
def _search(names: frozenset[str]) -> Select[Any]:
    """Build the search with these filters; there are few combinations, and each is compiled once."""
    conditions = (_FILTERS[name] for name in sorted(names) if name in _FILTERS)
    return _MESSAGES.where(true(), *conditions).order_by(_M.id.desc()).limit(bindparam("rows"))


@cache
def _search_deliveries(names: frozenset[str]) -> Select[Any]:
    conditions = (DELIVERY_FILTERS[name] for name in sorted(names))
    return _DELIVERIES.where(true(), *conditions).order_by(_D.position.desc()).limit(bindparam("rows"))


def _message(row: tuple[Any, ...]) -> MessageRow:
    values = dict(zip(_MESSAGE_COLUMNS, row, strict=True))
    values["received_at"] = from_micros(values["received_at"])
    for name in ("signers", "cause", "warnings"):
        values[name] = tuple(json.loads(values[name] or "[]"))
    return MessageRow(**values)


def _delivery(row: tuple[Any, ...]) -> DeliveryRow:
    values = dict(zip(_DELIVERY_COLUMNS, row, strict=True))
    for name in ("due_at", "created_at", "updated_at"):
        values[name] = None if values[name] is None else from_micros(values[name])
    values["perhaps_taken"] = bool(values["perhaps_taken"]) and values["state"] != State.DELIVERED
    values["concerns"] = bool(values["concerns"])
    return DeliveryRow(**values)


def _moment(row: tuple[Any, ...]) -> Moment:
    at, kind, delivery, leaf = row
    values = {name: value for name, value in json.loads(leaf).items() if name not in {"at", "kind", "message", "delivery"}}
    return Moment(at=from_micros(at), kind=kind, delivery=delivery, values=values)


def _message_cursor(cursor: str) -> str:
    """Take a cursor that is an id; raises NotValid for anything else."""
    try:
        return str(UUID(cursor))
    except ValueError:
        raise NotValid(Code.NOT_FOUND, Problem(text="store.cursor")) from None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS):
        raise NotValid(Code.NOT_FOUND, Problem(text="store.cursor"))
    return int(text)
