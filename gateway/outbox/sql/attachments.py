"""Every statement about attachments; a line says which index serves it."""

from sqlalchemy import bindparam, case, delete, insert, literal, null, or_, select, text, update

from gateway.store.tables import CHUNKS, CONTENTS, LINKS, UPLOADS

C, K, L, U = CONTENTS.c, CHUNKS.c, LINKS.c, UPLOADS.c
_LINKED = select(literal(1)).where(L.digest == C.digest).exists()  # attachments_by_digest
_LOOSE = text("loose_at IS NOT NULL")

# --- uploads; by their primary key unless said -----------------------------------------------------------------------
# One that was touched at 0 is condemned: it cannot go on and cannot be published, so what it stored can be removed.

_LIVING = U.touched_at > 0
BEGIN = insert(UPLOADS).values(
    id=bindparam("id"), store=bindparam("store"), digest=bindparam("digest"), started_at=bindparam("now"), touched_at=bindparam("now")
)
UPLOAD = select(literal(1)).where(U.id == bindparam("id"))
TOUCH_UPLOAD = update(UPLOADS).where(U.id == bindparam("upload"), _LIVING).values(touched_at=bindparam("now"))
NAME_UPLOAD = update(UPLOADS).where(U.id == bindparam("upload"), _LIVING).values(digest=bindparam("content"), touched_at=bindparam("now"))
PUBLISH_UPLOAD = delete(UPLOADS).where(U.id == bindparam("upload"), _LIVING)
CONDEMN_UPLOAD = update(UPLOADS).where(U.id == bindparam("upload"), _LIVING).values(touched_at=0)
END_UPLOAD = delete(UPLOADS).where(U.id == bindparam("upload"), U.touched_at == 0)
# there are as many as are under way; no index
CONDEMN_ABANDONED = update(UPLOADS).where(U.touched_at < bindparam("before"), _LIVING).values(touched_at=0)
CONDEMNED = select(U.id, U.store, U.digest).where(U.touched_at == 0).order_by(U.id).limit(bindparam("limit"))
CONDEMN = insert(UPLOADS).values(id=bindparam("id"), store=bindparam("store"), digest=bindparam("digest"), started_at=0, touched_at=0)

# --- contents; by their primary key unless said ----------------------------------------------------------------------

# ON CONFLICT is the same words in SQLite and PostgreSQL: of two that bring the same content, one is kept.
KEEP = text(
    "INSERT INTO contents (digest, upload, store, size, key, loose_at) VALUES (:digest, :upload, :store, :size, :key, :loose_at)"
    " ON CONFLICT DO NOTHING"
)
# What is loose stays so from now on, what is linked stays linked.
TOUCH = (
    update(CONTENTS).where(C.digest == bindparam("content")).values(loose_at=case((C.loose_at.is_(None), null()), else_=bindparam("now")))
)
FASTEN = update(CONTENTS).where(C.digest == bindparam("content")).values(loose_at=None)
CONTENT = select(C.upload, C.store, C.size).where(C.digest == bindparam("digest"))
# contents_loose
LOOSE = (
    select(C.digest, C.upload, C.store)
    .where(_LOOSE, C.loose_at < bindparam("before"), ~_LINKED)
    .order_by(C.loose_at)
    .limit(bindparam("limit"))
)
FASTEN_LINKED = update(CONTENTS).where(_LOOSE, C.loose_at < bindparam("before"), _LINKED).values(loose_at=None)
REMOVE = delete(CONTENTS).where(
    C.digest == bindparam("content"), C.upload == bindparam("bringer"), _LOOSE, C.loose_at < bindparam("before"), ~_LINKED
)
RELEASE = update(CONTENTS).where(C.digest.in_(select(L.digest).where(L.message == bindparam("of")))).values(loose_at=bindparam("now"))
# no index: a retired key is looked for once in years
UNDER_KEY = (
    select(C.digest, C.upload, C.store, C.size)
    .where(or_(C.key == bindparam("key"), C.key == ""), C.digest > bindparam("after"))
    .order_by(C.digest)
    .limit(bindparam("limit"))
)
MOVE = (
    update(CONTENTS)
    .where(C.digest == bindparam("content"), C.upload == bindparam("bringer"))
    .values(upload=bindparam("successor"), store=bindparam("into"), key=bindparam("under"))
)

# --- links; by their primary key -------------------------------------------------------------------------------------

LINK = insert(LINKS).values({c.name: bindparam(c.name) for c in L})
LINKED = select(L.number, L.digest, L.sha256, L.size, L.label).where(L.message == bindparam("message")).order_by(L.number)
UNLINK = delete(LINKS).where(L.message == bindparam("message"))

# --- chunks; by their primary key ------------------------------------------------------------------------------------

ADD_CHUNK = insert(CHUNKS).values({c.name: bindparam(c.name) for c in K})
CHUNK = select(K.sealed).where(K.upload == bindparam("upload"), K.number == bindparam("number"))
REMOVE_CHUNKS = delete(CHUNKS).where(
    K.upload == bindparam("bringer"), K.number.in_(select(K.number).where(K.upload == bindparam("bringer")).limit(bindparam("limit")))
)
