"""Every statement of the two stories: each is built once, and a line says which index serves it."""

from functools import cache
from typing import Any

from sqlalchemy import (
    Insert,
    Integer,
    Table,
    Text,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert  # SQLite writes it in the same words
from sqlalchemy.sql.dml import ReturningUpdate

from gateway.lifecycle import State
from gateway.store.tables import ATTEMPTS, DELIVERIES, DOSSIERS, KEYS, MESSAGES, OUTCOMES, PAYLOADS

D = DELIVERIES.c
M = MESSAGES.c


def _insert(table: Table, *without: str) -> Insert:
    return insert(table).values({c.name: bindparam(c.name) for c in table.c if c.name not in without})


INSERT_MESSAGE = _insert(MESSAGES)
# messages_by_key; nothing where the key is there already: only then is it asked which message that was
INSERT_FIRST = upsert(MESSAGES).values({c.name: bindparam(c.name) for c in M}).on_conflict_do_nothing(index_elements=["message_key"])
SET_WARNINGS = update(MESSAGES).where(M.id == bindparam("message")).values(warnings=bindparam("warnings"))  # messages' primary key
INSERT_PAYLOAD = _insert(PAYLOADS)
INSERT_DELIVERY = _insert(DELIVERIES, "position", "claimed_from", "token", "lease_until", "corrections", "unsettled", "perhaps_taken")
INSERT_OUTCOME = _insert(OUTCOMES)

# messages_by_request
ANSWERED = select(M.id, M.answer_status, M.answer_headers).where(M.request_digest == bindparam("digest"))
# messages_by_repeat_key
REPEATED = select(M.id).where(M.channel == bindparam("channel"), M.repeat_key == bindparam("repeat_key"), M.repeat_key.is_not(None))
# messages' primary key; a message keeps the first key under which its own channel sends it
KEEP_KEY = (
    update(MESSAGES)
    .where(M.id == bindparam("message"), M.channel == bindparam("by"), M.repeat_key.is_(None))
    .values(repeat_key=bindparam("under"))
)
# messages_by_key
SAME_KEY = select(M.id, M.answer_status, M.answer_headers, M.way, M.received_at, M.sha256).where(M.message_key == bindparam("key"))
# deliveries_by_message
DELIVERIES_OF = select(D.id).where(D.message == bindparam("message")).order_by(D.position)
# payloads' primary key
ANSWER = select(PAYLOADS.c.answer).where(PAYLOADS.c.message == bindparam("message"))
DOCUMENT = select(PAYLOADS.c.document).where(PAYLOADS.c.message == bindparam("message"))

# dossiers' primary key. Opens a dossier or finds it as it is, and holds it until the commit: deliveries of one dossier get their
# positions in the order in which they are committed, and none is judged by a state that another message is about to change.
TAKE_DOSSIER = text(
    "INSERT INTO dossiers (id, state, message, updated_at) VALUES (:id, :state, :message, :updated_at)"
    " ON CONFLICT (id) DO UPDATE SET updated_at = excluded.updated_at RETURNING state, message"
)
MOVE_DOSSIER = (
    update(DOSSIERS)
    .where(DOSSIERS.c.id == bindparam("key"))
    .values(state=bindparam("state"), message=bindparam("message"), updated_at=bindparam("updated_at"))
)

KEYS_AT_ONCE = 20  # more than nearly every message has; a document may have one for each line of goods


@cache
def insert_keys(count: int) -> Insert:
    """Keep so many business keys in one statement."""
    return insert(KEYS).values([{c.name: bindparam(f"{c.name}{n}") for c in KEYS.c} for n in range(count)])


_EARLIER = DELIVERIES.alias("earlier")
_IN_ORDER = or_(
    D.dossier.is_(None),
    ~select(literal(1))  # deliveries_in_order
    .where(_EARLIER.c.party == D.party, _EARLIER.c.dossier == D.dossier, _EARLIER.c.position < D.position, text("earlier.open = 1"))
    .exists(),
)
_WAITING = select(D.position, D.id, D.message, D.state).where(D.party == bindparam("party"), text("due_at IS NOT NULL"), _IN_ORDER)
# deliveries_due
DUE = _WAITING.where(D.due_at <= bindparam("now")).order_by(D.due_at, D.position).limit(bindparam("limit"))
NEXT_DUE = select(func.min(D.due_at)).where(D.party == bindparam("party"), text("due_at IS NOT NULL"), D.due_at > bindparam("now"))
# deliveries_due; a probe never polls early: the partner said when to ask
PROBE = _WAITING.where(or_(D.due_at <= bindparam("now"), D.state != State.AWAITING_REPLY)).order_by(D.due_at, D.position).limit(1)
# On PostgreSQL whoever claims holds the rows meanwhile, and passes over those that another holds; on SQLite it is alone.
DUE_HELD, PROBE_HELD = DUE.with_for_update(skip_locked=True), PROBE.with_for_update(skip_locked=True)


@cache
def claim(count: int) -> ReturningUpdate[Any]:
    """Take so many deliveries, at0, at1 and on, in one statement; each gets a token of its own, of which none is part of another."""
    return (
        update(DELIVERIES)
        .where(D.position.in_([bindparam(f"at{n}") for n in range(count)]), D.state != State.SENDING.value)
        .values(
            state=literal(State.SENDING.value),
            claimed_from=D.state,
            token=bindparam("new_token", type_=Text()) + literal(".") + cast(D.position, Text) + literal("."),
            lease_until=bindparam("lease"),
            due_at=null(),
            attempt=D.attempt + 1,
            unsettled=D.unsettled + bindparam("counts"),
            updated_at=bindparam("now"),
        )
        .returning(D.position, D.id, D.token, D.claimed_from, D.attempt, D.party, D.route, D.reference, D.message, D.corrections)
    )


MESSAGE = (  # messages' and payloads' primary keys
    select(M.header, M.sender, M.schema, M.slots, M.sha256, M.signers, M.received_at, M.attachments, PAYLOADS.c.document)
    .join_from(MESSAGES, PAYLOADS, PAYLOADS.c.message == M.id)
    .where(M.id == bindparam("id"))
)

_HELD = and_(D.id == bindparam("delivery"), D.token == bindparam("held"), D.state == State.SENDING.value)
INSERT_ATTEMPT = insert(ATTEMPTS).from_select(  # only by whoever holds the delivery
    [c.name for c in ATTEMPTS.c],
    select(*(bindparam(c.name, type_=c.type) for c in ATTEMPTS.c)).where(select(literal(1)).where(_HELD).exists()),
)
_NOTED = select(literal(1)).where(ATTEMPTS.c.delivery == D.id, ATTEMPTS.c.token == D.token).exists()  # attempts' primary key
_TAKEN = bindparam("taken", type_=Integer())  # 1 perhaps, if it left at all; 0 no; null as before
SETTLE = (
    update(DELIVERIES)
    .where(_HELD)
    .values(
        state=bindparam("to"),
        open=bindparam("still_open"),
        due_at=bindparam("due"),
        reference=bindparam("partner_reference"),
        cause=bindparam("why"),
        attempt=D.attempt - bindparam("refund"),
        unsettled=0,
        perhaps_taken=case((_TAKEN == 0, 0), (and_(_TAKEN == 1, _NOTED), 1), else_=D.perhaps_taken),
        token=null(),
        lease_until=null(),
        claimed_from=null(),
        updated_at=bindparam("now"),
    )
)

# Outcomes', attempts' and deliveries' unique keys. An attempt that cost nothing and brought nothing makes room for the next of its number:
# a partner that is away for days is asked after every few seconds, each time with the whole request.
SILENT = "deferred"  # what its outcome is kept as; one with a reply is kept for good
CAUSE = select(D.cause).where(D.id == bindparam("id"))
_OTHERS = select(literal(1)).where(ATTEMPTS.c.delivery == OUTCOMES.c.delivery, ATTEMPTS.c.token == OUTCOMES.c.token)
FORGET_OUTCOME = (
    delete(OUTCOMES)
    .where(OUTCOMES.c.delivery == bindparam("of"), OUTCOMES.c.outcome == SILENT, OUTCOMES.c.reply.is_(None))
    .where(~_OTHERS.where(ATTEMPTS.c.number != bindparam("attempt")).exists())
    .returning(OUTCOMES.c.token, OUTCOMES.c.code)
)
FORGET_ATTEMPT = delete(ATTEMPTS).where(ATTEMPTS.c.delivery == bindparam("of"), ATTEMPTS.c.token == bindparam("forgotten"))

# deliveries_leased; a poll goes back to be polled, anything else to be sent, unless it died too often
LOST = (
    select(D.position, D.id, D.message, D.claimed_from, D.token, D.attempt, D.unsettled, D.cause, D.party)
    .where(text("lease_until IS NOT NULL"), D.lease_until <= bindparam("now"))
    .with_for_update(skip_locked=True)
)
RESCUE = (
    update(DELIVERIES)
    .where(D.position == bindparam("at"), D.token == bindparam("held"), D.state == State.SENDING.value)
    .values(
        state=bindparam("to"),
        open=bindparam("still_open"),
        due_at=bindparam("due"),
        cause=bindparam("why"),
        perhaps_taken=case((_NOTED, 1), else_=D.perhaps_taken),
        token=null(),
        lease_until=null(),
        claimed_from=null(),
        updated_at=bindparam("now"),
    )
)

# deliveries_leased; `held` are the tokens of one process, and what it took a moment ago can wait for the next time
LENGTHEN = (
    update(DELIVERIES)
    .where(
        text("lease_until IS NOT NULL"),
        D.lease_until < bindparam("before"),
        D.state == State.SENDING.value,
        bindparam("held", type_=Text()).contains(D.token),
    )
    .values(lease_until=bindparam("lease"))
)

# deliveries' unique id; what is sent again gets a new number from the partner, and is never asked about under the old one
MOVE = (
    update(DELIVERIES)
    .where(D.id == bindparam("delivery"), D.state == bindparam("from"))
    .values(
        state=bindparam("to"),
        open=bindparam("still_open"),
        due_at=bindparam("due"),
        attempt=bindparam("attempts"),
        unsettled=0,
        reference=case((bindparam("to", type_=Text()) == State.QUEUED.value, ""), else_=D.reference),
        cause=bindparam("why"),
        updated_at=bindparam("now"),
    )
)
# deliveries_due: what waits for a partner that answers again, in the order in which it came
HURRY = (
    update(DELIVERIES)
    .where(D.party == bindparam("of"), text("due_at IS NOT NULL"), D.state == State.RETRYING.value)
    .values(due_at=D.created_at, updated_at=bindparam("now"))
)
# deliveries_due: what was made to wait by a clock that was ahead
CATCH_UP = (
    update(DELIVERIES)
    .where(text("due_at IS NOT NULL"), D.due_at > bindparam("now"), D.updated_at > bindparam("now"))
    .values(due_at=bindparam("now"), updated_at=bindparam("now"))
)
