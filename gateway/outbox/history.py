"""What was exchanged with a partner about one delivery: its attempts for all who may see it, contents only for those who answer for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from gateway.audit import Event
from gateway.errors import Code, NotValid, Problem
from gateway.model import DeliveryId
from gateway.ports import Database, Tx
from gateway.store.leaves import write_leaf
from gateway.store.queries import DeliveryRow, MessageRow, Queries
from gateway.store.times import from_micros

from .payloads import Payloads
from .sql import mending as sql

MAX_ATTEMPTS = 50  # the latest; a partner that is away for days is asked hundreds of times
ExchangePart = Literal["request", "reply"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt: `number` and `sent_at` are None where nothing left, `ended_at` and `outcome` where the process died on the way."""

    number: int | None
    sent_at: datetime | None
    ended_at: datetime | None
    outcome: str | None
    code: str | None
    status: int | None
    request_digest: str | None


class History:
    """Reads what was kept of attempts; every method raises Unavailable where the database is away."""

    def __init__(self, database: Database, payloads: Payloads) -> None:
        """Take the database itself, never a standby of it: whoever acted must see what came of it."""
        self._database = database
        self._payloads = payloads
        self._queries = Queries(database, payloads.unlock)

    def delivery(self, delivery: str) -> DeliveryRow | None:
        """Find a delivery as it stands now."""
        return self._queries.delivery(delivery)

    def message(self, message: str) -> MessageRow | None:
        """Find a delivery's message."""
        return self._queries.message(message)

    def attempts(self, delivery: str) -> tuple[Attempt, ...]:
        """Give the latest attempts, the earliest of them first."""

        def work(tx: Tx) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
            wanted = {"delivery": delivery, "rows": MAX_ATTEMPTS}
            return tx.rows(sql.NOTED, **wanted), tx.rows(sql.SETTLED, **wanted)

        noted, settled = self._database.read(work)
        sent = {token: rest for token, *rest in noted}
        ended = {token: rest for token, *rest in settled}
        begun = {token: at for token, (at, *_) in ended.items()} | {token: at for token, (_, at, _) in sent.items()}
        order = sorted(begun, key=begun.__getitem__)[-MAX_ATTEMPTS:]
        return tuple(_attempt(sent.get(token), ended.get(token)) for token in order)

    def exchanged(self, delivery: DeliveryId, part: ExchangePart, *, by: str, number: int | None = None) -> bytes:
        """Give the request that left or the reply that came, decrypted; the ledger is told first who looked.

        The last attempt's unless a number is given. Raises NotValid where nothing is kept, Unavailable where it cannot be decrypted.
        """
        row = self._database.read(lambda tx: _kept(tx, delivery, part, number))
        if row is None:
            text = "mending.no-exchange" if part == "request" else "mending.no-reply"
            raise NotValid(Code.NOT_FOUND, Problem(text=text, values={"delivery": delivery}))
        message, found, name, sealed = row
        content = self._payloads.unlock(delivery, name, sealed)
        values = {"by": by, "part": part, "attempt": str(found)}
        self._database.commit(
            lambda tx: write_leaf(tx, Event(kind="staff.looked", at=tx.now(), message=message, delivery=delivery, values=values))
        )
        return content

    def record_look(self, message: str, part: str, *, by: str) -> None:
        """Tell the ledger who of the staff reads a message's content, before it is given."""
        values = {"by": by, "part": part}
        self._database.commit(lambda tx: write_leaf(tx, Event(kind="staff.read", at=tx.now(), message=message, values=values)))


def _attempt(sent: list[Any] | None, ended: list[Any] | None) -> Attempt:
    number, sent_at, digest = sent or (None, None, None)
    ended_at, outcome, code, status = ended or (None, None, None, None)
    return Attempt(
        number=number,
        sent_at=None if sent_at is None else from_micros(sent_at),
        ended_at=None if ended_at is None else from_micros(ended_at),
        outcome=outcome,
        code=code,
        status=status,
        request_digest=digest,
    )


def _kept(tx: Tx, delivery: str, part: ExchangePart, number: int | None) -> tuple[str, int, str, bytes] | None:
    """Find an attempt's message, number, the name under which a part of it is sealed, and its sealed bytes; None where nothing is kept."""
    owner = tx.rows(sql.CHOSEN_ONE, id=delivery)
    asked: Mapping[str, object] = {} if number is None else {"number": number}
    found = tx.rows(sql.REQUESTS if number is None else sql.REQUEST_OF, delivery=delivery, **asked)
    if not owner or not found:
        return None
    token, at, request = found[0]
    if part == "request":
        return owner[0][2], at, token, request
    replies = tx.rows(sql.REPLY_OF, delivery=delivery, token=token)
    return None if not replies or replies[0][0] is None else (owner[0][2], at, f"{token}/reply", replies[0][0])
