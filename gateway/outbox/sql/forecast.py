"""What growth is forecast from: how many messages came, of which procedures, and how many will be old enough."""

from sqlalchemy import bindparam, func, literal, select

from gateway.store.tables import ARCHIVES, MESSAGES, PURGED

M, A = MESSAGES.c, ARCHIVES.c
_GONE = select(literal(1)).where(PURGED.c.message == M.id).exists()  # purged's primary key

# messages' primary key, in order of time
CAME = select(func.count()).where(M.id >= bindparam("first"), M.id < bindparam("before"))
CAME_BY_PROCEDURE = select(M.procedure, func.count()).where(M.id >= bindparam("first"), M.id < bindparam("before")).group_by(M.procedure)
_HERE = select(M.procedure, func.count()).where(M.id < bindparam("before")).group_by(M.procedure)
HERE = {"content": _HERE.where(~_GONE), "record": _HERE}
OLDEST = select(func.min(M.id))
MESSAGES_KEPT = select(func.count()).select_from(MESSAGES)
MESSAGES_PURGED = select(func.count()).select_from(PURGED)
ARCHIVES_KEPT = select(func.count(), func.coalesce(func.sum(A.size), 0)).where(A.removed_at.is_(None))
