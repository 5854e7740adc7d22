"""Every statement of the ledger's tree: each is built once, and a line says which index serves it."""

from sqlalchemy import bindparam, func, insert, select, text, update

from gateway.store.tables import LEDGER, LEDGER_HEADS, LEDGER_TILES

L, H, T = LEDGER.c, LEDGER_HEADS.c, LEDGER_TILES.c

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
COUNT_UNSEALED = select(func.count(), func.min(L.at)).select_from(LEDGER).where(text("position IS NULL"))  # ledger_unsealed

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
