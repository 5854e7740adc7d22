"""What staff do to one delivery, inside a transaction: each act is one guarded update, what follows from it, and a ledger entry."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from gateway.audit import Event
from gateway.errors import Code, Conflict, NotValid, Problem
from gateway.lifecycle import ENDED, State, revived
from gateway.model import DeliveryId, Header, MessageId, PartyCode, Route, uuid7
from gateway.ports import Directory, Entropy, Tx
from gateway.store.leaves import write_leaf
from gateway.store.times import to_micros

from .corrections import check_corrections, check_receiver
from .orders import ELSEWHERE, POSSIBLE, Act, Order
from .payloads import Payloads
from .records import read_header
from .rows import dossier_of, notice_row
from .sql import flow
from .sql import mending as sql

NOTICE_ROUTE = "return"
KINDS: Mapping[Act, str] = {
    Act.REPLAY: "staff.replayed",
    Act.CANCEL: "staff.cancelled",
    Act.REDIRECT: "staff.redirected",
    Act.RETURN: "staff.returned",
    Act.CORRECT: "staff.corrected",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Undelivered:
    """What a notice to a sender has to say; `id` is the notice's own."""

    id: MessageId
    at: datetime
    header: Header  # of the message that was not delivered
    sender: PartyCode
    party: PartyCode  # who did not get it
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A message that the gateway writes itself, as it is kept and delivered."""

    header: Header
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """What acts need to know of rules and protocols: who is who, which routes there are, and how a notice is written."""

    directory: Callable[[], Directory]
    route: Callable[[str, str], Route]  # party and route's name, either may be empty; raises NotValid
    notice: Callable[[Undelivered], Notice]  # raises NotValid where the sender cannot be told


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A delivery as an act finds it."""

    position: int
    id: DeliveryId
    message: MessageId
    party: PartyCode
    route: str
    state: State
    reference: str
    cause: str
    dossier: str | None
    corrections: str | None
    perhaps_taken: int  # 1 where the party may have it: it left, and nothing came back that says no


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """On whose word an act is done: whoever ordered it, and the job it belongs to."""

    order: Order
    by: str
    job: str = ""


def read_row(row: tuple[Any, ...]) -> Row:
    """Read what the statements choose."""
    read = Row(**dict(zip(Row.__slots__, row, strict=True)))
    return replace(read, state=State(read.state))


def hindrance(order: Order, state: State, perhaps_taken: int) -> str:
    """Name what keeps an order from a delivery that stands so; empty where nothing does. Pure."""
    if state not in POSSIBLE[order.act]:
        return "mending.wrong-state"
    doubled = order.act in ELSEWHERE and perhaps_taken and not order.accept_duplicate
    return "mending.perhaps-taken" if doubled else ""


class Acts:
    """Does what is ordered; nothing is written before everything that can be refused was."""

    def __init__(self, payloads: Payloads, ways: Ways, *, entropy: Entropy) -> None:
        self._payloads = payloads
        self._ways = ways
        self._entropy = entropy
        self._follows: Mapping[Act, Callable[[Tx, Row, Word], Mapping[str, str]]] = {
            Act.REPLAY: self._replay,
            Act.CANCEL: self._cancel,
            Act.REDIRECT: self._redirect,
            Act.RETURN: self._return,
            Act.CORRECT: self._correct,
        }

    def check(self, order: Order) -> None:
        """Refuse an order that nobody could carry out; raises NotValid."""
        order.check()
        check_corrections(order.corrections)
        if order.act is Act.REDIRECT or order.route:
            self._ways.route(order.party, order.route)

    def perform(self, tx: Tx, row: Row, word: Word) -> None:
        """Do it. Raises Conflict where the delivery's state does not allow it, NotValid where something else does not."""
        act = word.order.act
        if text := hindrance(word.order, row.state, row.perhaps_taken):
            raise _hindered(row, act, text)
        doubled = act in ELSEWHERE and bool(row.perhaps_taken)
        told = self._follows[act](tx, row, word)
        values = {"by": word.by, "job": word.job, "reason": self._digest(word.order.reason), **told}
        values["duplicate"] = "accepted" if doubled else ""
        given = {name: value for name, value in values.items() if value}
        write_leaf(tx, Event(kind=KINDS[act], at=tx.now(), message=row.message, delivery=row.id, values=given))

    # --- what follows from each act --------------------------------------------------------------------------------

    def _replay(self, tx: Tx, row: Row, _word: Word) -> Mapping[str, str]:
        return _move(tx, row, revived(row.state, reference=row.reference, cause=row.cause), act=Act.REPLAY)

    def _cancel(self, tx: Tx, row: Row, word: Word) -> Mapping[str, str]:
        return _move(tx, row, State.CANCELLED, act=Act.CANCEL, cause=word.order.reason)

    def _redirect(self, tx: Tx, row: Row, word: Word) -> Mapping[str, str]:
        """End a delivery and create its successor; a party that has the message already, or will, does not get it twice."""
        header, _ = self._header(tx, row)
        route = self._ways.route(word.order.party, word.order.route)
        party = route.party.code
        if tx.rows(sql.SERVED, message=row.message, party=party):
            raise Conflict(Code.CONFLICT, Problem(text="mending.served", values={"message": row.message, "party": party}))
        kept = (row.dossier or dossier_of(header.subject)) if route.order == "dossier" else None
        told = _move(tx, row, State.CANCELLED, act=Act.REDIRECT, cause=f"redirected: {word.order.reason}")
        successor = self._new_delivery(tx, row.message, party=party, route=route.name, dossier=kept)
        created = {"by": word.by, "job": word.job, "party": party, "predecessor": row.id}
        values = {name: value for name, value in created.items() if value}
        write_leaf(tx, Event(kind="delivery.created", at=tx.now(), message=row.message, delivery=successor, values=values))
        return {**told, "to": party, "successor": successor}

    def _return(self, tx: Tx, row: Row, word: Word) -> Mapping[str, str]:
        """End a delivery and tell the message's sender, by a message of the gateway's own."""
        header, sender = self._header(tx, row)
        number = MessageId(uuid7(tx.now(), self._entropy(10)))
        notice = self._ways.notice(
            Undelivered(id=number, at=tx.now(), header=header, sender=sender, party=row.party, reason=word.order.reason)
        )
        told = _move(tx, row, State.CANCELLED, act=Act.RETURN, cause=f"returned: {word.order.reason}")
        digest = hashlib.sha256(notice.content).hexdigest()
        lock = self._payloads.lock
        sealed = {part: lock(number, part, content) for part, content in (("document", notice.content), ("body", notice.content))}
        own = self._ways.directory().own.code
        tx.changed(flow.INSERT_MESSAGE, **notice_row(number, notice.header, sender=own, at=tx.now(), sha256=digest))
        tx.changed(flow.INSERT_PAYLOAD, message=number, answer=lock(number, "answer", b""), **sealed)
        delivery = self._new_delivery(tx, number, party=sender, route=NOTICE_ROUTE, dossier=None)
        values = {"about": row.message, "sha256": digest, "deliveries": delivery, "sender": own}
        write_leaf(tx, Event(kind="message.written", at=tx.now(), message=number, values=values))
        return {**told, "notice": number}

    def _correct(self, tx: Tx, row: Row, word: Word) -> Mapping[str, str]:
        """Change the header that the gateway writes, or the route to the same party; the delivery stays where it stands."""
        route, corrections = word.order.route or row.route, dict(word.order.corrections)
        if word.order.route and self._ways.route(row.party, word.order.route).party.code != row.party:
            raise NotValid(Code.NOT_ALLOWED, Problem(text="mending.other-party", values={"route": route, "party": row.party}))
        party = self._ways.directory().party(row.party)
        if "receiver" in corrections and party is not None:
            check_receiver(corrections["receiver"], party)
        kept = json.loads(row.corrections or "{}") | corrections
        values = {"from": row.state.value, "to_route": route, "corrected": json.dumps(kept, sort_keys=True) if kept else None}
        if not tx.changed(sql.CORRECT, delivery=row.id, now=to_micros(tx.now()), **values):
            raise _hindered(row, Act.CORRECT)
        changed = {"route": route} if word.order.route else {}
        return {**changed, **corrections}

    # --- what they share -------------------------------------------------------------------------------------------

    def _header(self, tx: Tx, row: Row) -> tuple[Header, PartyCode]:
        """Read who sent what, and hold it until the commit; raises NotValid where the message was purged."""
        found = tx.rows(sql.HEADER, id=row.message)
        if not found or found[0][0] is None:
            raise NotValid(Code.NOT_FOUND, Problem(text="outbox.purged", values={"message": row.message}))
        return read_header(found[0][0]), PartyCode(found[0][1])

    def _new_delivery(self, tx: Tx, message: MessageId, *, party: PartyCode, route: str, dossier: str | None) -> DeliveryId:
        number = DeliveryId(uuid7(tx.now(), self._entropy(10)))
        now = to_micros(tx.now())
        tx.changed(
            flow.INSERT_DELIVERY,
            id=number, message=message, party=party, route=route, state=State.QUEUED.value, open=1, due_at=now, attempt=0, reference="",
            cause="", dossier=dossier, created_at=now, updated_at=now,
        )  # fmt: skip
        return number

    def _digest(self, reason: str) -> str:
        """Stand for a reason in the ledger, which holds no words: a keyed digest, because reasons are short."""
        return self._payloads.cipher.fingerprint(reason.encode()).hex() if reason else ""


def _move(tx: Tx, row: Row, to: State, *, act: Act, cause: str = "") -> Mapping[str, str]:
    ended = to in ENDED
    now = to_micros(tx.now())
    values = {"from": row.state.value, "to": to.value, "still_open": None if ended else 1, "due": None if ended else now, "attempts": 0}
    if not tx.changed(flow.MOVE, delivery=row.id, now=now, why=cause, **values):
        raise _hindered(row, act)
    return {"state": to.value}


def _hindered(row: Row, act: Act, text: str = "mending.wrong-state") -> Conflict:
    possible = ", ".join(sorted(POSSIBLE[act]))
    values = {"delivery": row.id, "party": row.party, "state": row.state, "act": act, "possible": possible}
    return Conflict(Code.CONFLICT, Problem(text=text, values=values))
