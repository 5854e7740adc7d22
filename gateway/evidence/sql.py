"""Every statement of the ledger's tree: each is built once, and a line says which index serves it."""

from sqlalchemy import bindparam, func, insert, null, select, text, update

from gateway.store.tables import ATTEMPTS, LEDGER, LEDGER_HEADS, LEDGER_STAMPS, LEDGER_TILES, OUTCOMES

L, H, T, S = LEDGER.c, LEDGER_HEADS.c, LEDGER_TILES.c, LEDGER_STAMPS.c

# One process seals at a time: on SQLite there is one writer, on PostgreSQL whoever gets this lock until the end of its transaction.
ELECTED = text("SELECT pg_try_advisory_xact_lock(8121899)")

_NUMBERED = (  # ledger_unsealed
    select(L.id, (func.row_number().over(order_by=L.id) - 1).label("number"))
    .where(L.position.is_(None))
    .order_by(L.id)
    .limit(bindparam("most"))
    .subquery("numbered")
)
SEAL = update(LEDGER).where(L.id == _NUMBERED.c.id).values(position=bindparam("size") + _NUMBERED.c.number).returning(L.position, L.leaf)
COUNT_UNSEALED = select(func.count()).select_from(LEDGER).where(text("position IS NULL"))  # ledger_unsealed

# ledger_tiles' primary key
TILE = select(T.hashes).where(T.level == bindparam("level"), T.number == bindparam("number"))
PUT_TILE = text(
    "INSERT INTO ledger_tiles (level, number, hashes) VALUES (:level, :number, :hashes)"
    " ON CONFLICT (level, number) DO UPDATE SET hashes = excluded.hashes"
)

# ledger_heads' primary key
_HEAD = select(H.size, H.root, H.at, H.certificate, H.signature)
LAST = _HEAD.order_by(H.size.desc()).limit(1)
LAST_SIGNED = _HEAD.where(H.signature.is_not(None)).order_by(H.size.desc()).limit(1)
HEADS = _HEAD.where(H.signature.is_not(None), H.size > bindparam("after")).order_by(H.size).limit(bindparam("most"))
HEAD_OF = _HEAD.where(H.size == bindparam("size"), H.signature.is_not(None))
UNSIGNED = select(H.size, H.root, H.at).where(text("signature IS NULL")).order_by(H.size)  # ledger_unsigned
PUT_HEAD = insert(LEDGER_HEADS).values(size=bindparam("size"), root=bindparam("root"), at=bindparam("at"))
SIGN = (
    update(LEDGER_HEADS)
    .where(H.size == bindparam("of"), H.signature.is_(None))
    .values(certificate=bindparam("by"), signature=bindparam("value"))
)

# ledger_by_message
LEAVES_OF = select(L.position, L.leaf).where(L.message == bindparam("message")).order_by(L.id)
SEALED = (  # ledger_sealed
    select(L.position, L.leaf)
    .where(L.position >= bindparam("begin"), L.position.is_not(None))
    .order_by(L.position)
    .limit(bindparam("most"))
)

# ledger_stamps' primary key; at most one row waits for its token
_STAMP = select(S.size, S.at, S.authority, S.token).where(S.token.is_not(None))
LAST_STAMP = _STAMP.order_by(S.size.desc()).limit(1)
STAMP_OVER = _STAMP.where(S.size > bindparam("position")).order_by(S.size).limit(1)  # the first that covers a leaf
STAMPS = _STAMP.where(S.size > bindparam("after")).order_by(S.size).limit(bindparam("most"))
ASKED = select(S.size, S.begun_at, S.asked_at, S.cause).where(text("token IS NULL"))  # ledger_unstamped
ASK = text("INSERT INTO ledger_stamps (size, begun_at, asked_at) VALUES (:of, :now, :now) ON CONFLICT (size) DO NOTHING")
ASK_AGAIN = (
    update(LEDGER_STAMPS)
    .where(S.size == bindparam("of"), S.asked_at == bindparam("before"), S.token.is_(None))
    .values(size=bindparam("to"), asked_at=bindparam("now"))
)
STAMPED = (
    update(LEDGER_STAMPS)
    .where(S.size == bindparam("of"), S.token.is_(None))
    .values(at=bindparam("stated"), authority=bindparam("by"), token=bindparam("value"), cause=null())
)
NOT_STAMPED = update(LEDGER_STAMPS).where(S.size == bindparam("of"), S.token.is_(None)).values(cause=bindparam("why"))

# what was exchanged about a delivery: attempts' and outcomes' primary keys
A, O = ATTEMPTS.c, OUTCOMES.c  # noqa: E741  # as the other tables' letters
REQUESTS = (
    select(A.token, A.number, A.request).where(A.delivery == bindparam("delivery")).order_by(A.noted_at.desc()).limit(bindparam("most"))
)
REPLY = select(O.reply, O.settled_at).where(O.delivery == bindparam("delivery"), O.token == bindparam("token"))
