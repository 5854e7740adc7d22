"""The statements of retention: what is old enough, what is purged, holds, archives, and how far a run came."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, Executable, Select, Table, and_, bindparam, delete, func, insert, literal, null, or_, select, text, update

from gateway.store.tables import (
    ARCHIVES,
    ATTEMPTS,
    DELIVERIES,
    DOSSIERS,
    HOLDS,
    JOBS,
    KEYS,
    MARKS,
    MESSAGES,
    OUTCOMES,
    PASSED,
    PAYLOADS,
    PURGED,
    RUN,
)

M, D, P, H, A = MESSAGES.c, DELIVERIES.c, PURGED.c, HOLDS.c, ARCHIVES.c

# --- what is old enough ------------------------------------------------------------------------------------------------

_GONE = select(literal(1)).where(P.message == M.id).exists()  # purged's primary key
_WHAT: tuple[Any, ...] = (M.id, M.state, M.procedure, M.sender, M.reference, M.previous, M.year)
_CONTENT = select(*_WHAT, M.header, literal(None).label("archive"), M.id.label("purged")).where(~_GONE)
_RECORD = select(*_WHAT, P.dossier, A.id.label("archive"), P.message.label("purged")).outerjoin(PURGED, P.message == M.id).outerjoin(
    ARCHIVES, and_(A.id == P.archive, text("archives.removed_at IS NULL"))
)  # fmt: skip
_STRETCH = and_(M.id > bindparam("after"), M.id < bindparam("before"))  # messages' primary key
_AGAIN = M.id.in_(  # retention_passed's primary key
    select(PASSED.c.message).where(PASSED.c.stage == bindparam("stage"), PASSED.c.message > bindparam("after"))
)


def _page(chosen: Select[Any]) -> Select[Any]:
    return chosen.order_by(M.id).limit(bindparam("rows"))


OLD = {"content": _page(_CONTENT.where(_STRETCH)), "record": _page(_RECORD.where(_STRETCH))}
PASSED_OVER = {"content": _page(_CONTENT.where(_AGAIN)), "record": _page(_RECORD.where(_AGAIN))}
# deliveries_by_message
RECEIVERS = select(D.message, D.party, D.open).where(D.message >= bindparam("first"), D.message <= bindparam("last"))
LOCKED = select(D.id, D.open).where(D.message == bindparam("message")).with_for_update()


def _exchanged(table: Table, content: Column[Any]) -> Any:
    """Add up what was exchanged about a message; deliveries_by_message, then the table's primary key."""
    about = and_(table.c.delivery == D.id, D.message == bindparam("message"))
    return func.coalesce(select(func.sum(func.length(content))).where(about).scalar_subquery(), 0)


# payloads' primary key
_BYTES: Any = func.coalesce(func.length(PAYLOADS.c.document), 0) + func.length(PAYLOADS.c.body) + func.length(PAYLOADS.c.answer)
SIZE: Select[Any] = select(_BYTES + _exchanged(ATTEMPTS, ATTEMPTS.c.request) + _exchanged(OUTCOMES, OUTCOMES.c.reply)).where(
    PAYLOADS.c.message == bindparam("message")
)
# messages' primary key; both hold it until the commit, so that nobody sends on what goes
RECORDED = select(literal(1)).where(M.id == bindparam("id")).with_for_update(key_share=True)
STILL_THERE = RECORDED.where(~_GONE)

# --- purging; all by primary keys ----------------------------------------------------------------------------------------

KEPT_MESSAGE = select(MESSAGES).where(M.id == bindparam("id"))
KEPT_PAYLOAD = select(PAYLOADS.c.document, PAYLOADS.c.body, PAYLOADS.c.answer).where(PAYLOADS.c.message == bindparam("message"))
KEPT_DELIVERIES = select(DELIVERIES).where(D.message == bindparam("message")).order_by(D.position)  # deliveries_by_message
KEPT_ATTEMPTS = select(ATTEMPTS).where(ATTEMPTS.c.delivery == bindparam("delivery"))
KEPT_OUTCOMES = select(OUTCOMES).where(OUTCOMES.c.delivery == bindparam("delivery"))
DROP_CONTENT = (
    update(PAYLOADS).where(PAYLOADS.c.message == bindparam("of")).values(document=null(), body=bindparam("nothing"))
)  # fmt: skip
DROP_PAYLOAD = delete(PAYLOADS).where(PAYLOADS.c.message == bindparam("of"))
DROP_PERSONAL = update(MESSAGES).where(M.id == bindparam("of")).values(header=null(), signers=null(), keys=null())
DROP_KEY = delete(KEYS).where(KEYS.c.value == bindparam("value"), KEYS.c.name == bindparam("name"), KEYS.c.message == bindparam("of"))
# A partner's reason and staff's are words about content; a failure's code is not.
DROP_REASONS = update(DELIVERIES).where(D.message == bindparam("of"), text("state IN ('rejected', 'cancelled')")).values(cause="")
# jobs' primary key
DROP_ORDERED = (
    update(JOBS)
    .where(JOBS.c.id < bindparam("before"), text("state NOT IN ('proposed', 'running', 'paused') AND reason <> ''"))
    .values(reason="")
)
TOKENS = select(ATTEMPTS.c.token).where(ATTEMPTS.c.delivery == bindparam("delivery"))
DROP_REQUEST = (
    update(ATTEMPTS)
    .where(ATTEMPTS.c.delivery == bindparam("of"), ATTEMPTS.c.token == bindparam("under"))
    .values(request=bindparam("nothing"))
)
DROP_REPLIES = update(OUTCOMES).where(OUTCOMES.c.delivery == bindparam("of")).values(reply=null())
DROP_ANSWERS = update(OUTCOMES).where(OUTCOMES.c.delivery == bindparam("of"), OUTCOMES.c.outcome == "rejected").values(code="")
NOTE_PURGED = insert(PURGED).values({c.name: bindparam(c.name) for c in PURGED.c})
IMPRINT = select(P.imprint).where(P.message == bindparam("message"))

FORGET_DELIVERIES = delete(DELIVERIES).where(D.message == bindparam("of"))
FORGET_ATTEMPTS = delete(ATTEMPTS).where(ATTEMPTS.c.delivery == bindparam("of"))
FORGET_OUTCOMES = delete(OUTCOMES).where(OUTCOMES.c.delivery == bindparam("of"))
FORGET_MESSAGE = delete(MESSAGES).where(M.id == bindparam("of"))
FORGET_PURGED = delete(PURGED).where(P.message == bindparam("of"))
FORGET_DOSSIER = delete(DOSSIERS).where(DOSSIERS.c.id == bindparam("dossier"), DOSSIERS.c.message == bindparam("of"))

# --- how far a run came --------------------------------------------------------------------------------------------------

MARK = select(MARKS.c.schedule, MARKS.c.upto).where(MARKS.c.stage == bindparam("stage"), MARKS.c.seconds == bindparam("seconds"))
MOVE_MARK = (
    update(MARKS)
    .where(MARKS.c.stage == bindparam("of"), MARKS.c.seconds == bindparam("period"))
    .values(schedule=bindparam("under"), upto=bindparam("reached"))
)
FIRST_MARK = text(
    "INSERT INTO retention_marks (stage, seconds, schedule, upto) VALUES (:stage, :seconds, :schedule, '') ON CONFLICT DO NOTHING"
)
BEGIN_AGAIN = delete(MARKS)
PASS_OVER = text("INSERT INTO retention_passed (stage, message) VALUES (:stage, :message) ON CONFLICT DO NOTHING")
PASS_NO_MORE = delete(PASSED).where(PASSED.c.stage == bindparam("of"), PASSED.c.message == bindparam("gone"))

TAKE_TURN = update(RUN).where(RUN.c.name == "run", RUN.c.until <= bindparam("now")).values(holder=bindparam("me"), until=bindparam("lease"))
KEEP_TURN = update(RUN).where(RUN.c.name == "run", RUN.c.holder == bindparam("me")).values(until=bindparam("lease"))
END_TURN = update(RUN).where(RUN.c.name == "run", RUN.c.holder == bindparam("me")).values(holder="", until=0, ended_at=bindparam("now"))
FIRST_TURN = text("INSERT INTO retention_run (name, holder, until) VALUES ('run', '', 0) ON CONFLICT DO NOTHING")
TURN = select(RUN.c.holder).where(RUN.c.name == "run").with_for_update()  # what is being purged is gone when this gives an answer

# --- holds ---------------------------------------------------------------------------------------------------------------

PLACE = insert(HOLDS).values({c.name: bindparam(c.name) for c in HOLDS.c if not c.name.startswith("release")})
RELEASE = (
    update(HOLDS)
    .where(H.id == bindparam("hold"), H.released_at.is_(None))
    .values(released_by=bindparam("who"), released_at=bindparam("now"), release_reason=bindparam("why"))
)
HOLD = select(HOLDS).where(H.id == bindparam("id"))
IN_FORCE = select(HOLDS).where(text("released_at IS NULL")).order_by(H.id)  # holds_in_force
EVERY_HOLD = select(HOLDS).order_by(H.id)

# What can be held: messages' and dossiers' primary keys, messages_by_reference; by party or procedure without an index, where the rules
# know no such name.
KNOWN: Mapping[str, Executable] = {
    "message": select(literal(1)).where(M.id == bindparam("value")),
    "dossier": select(literal(1)).where(DOSSIERS.c.id == bindparam("value")).union_all(
        select(literal(1)).where(  # what refers to an earlier one belongs to its own as well, as does what was refused
            M.reference == bindparam("reference"), M.procedure == bindparam("procedure"), M.year == bindparam("year")
        )
    ),
    "party": select(literal(1)).where(
        or_(M.sender == bindparam("value"), M.id.in_(select(D.message).where(D.party == bindparam("value"))))
    ).limit(1),
    "procedure": select(literal(1)).where(M.procedure == bindparam("value")).limit(1),
}  # fmt: skip

# --- archives ------------------------------------------------------------------------------------------------------------

BEGIN_ARCHIVE = insert(ARCHIVES).values({c.name: bindparam(c.name) for c in ARCHIVES.c if c.name not in {"sha256", "removed_at"}})
END_ARCHIVE = update(ARCHIVES).where(A.id == bindparam("archived")).values(sha256=bindparam("digest"))
HALF_MADE = select(A.id, A.path).where(text("removed_at IS NULL"), A.sha256.is_(None))  # archives_kept
FORGET_ARCHIVE = delete(ARCHIVES).where(A.id == bindparam("archived"))
EXPIRED = select(A.id, A.path).where(text("removed_at IS NULL"), A.keep_until <= bindparam("now")).order_by(A.keep_until)  # archives_kept
# purged_by_archive
HELD_IN = (
    select(*_WHAT, P.dossier, P.archive, P.message.label("purged"))
    .join_from(PURGED, MESSAGES, M.id == P.message)
    .where(P.archive == bindparam("archived"))
    .order_by(M.id)
)
NOTE_REMOVED = update(ARCHIVES).where(A.id == bindparam("archived"), A.removed_at.is_(None)).values(removed_at=bindparam("now"))
# Given up, and the file perhaps still there; reads every archive there ever was, once a run.
GIVEN_UP = select(A.id, A.path).where(A.removed_at.is_not(None), A.path != literal("")).order_by(A.id)
NOTE_GONE = update(ARCHIVES).where(A.id == bindparam("archived")).values(path="")
