"""Statements that look for what is encrypted under a key. No index: it happens once in years, and beside the flow."""

from functools import cache

from sqlalchemy import LargeBinary, Select, Table, Update, bindparam, func, select, text, tuple_, update
from sqlalchemy.sql.elements import ColumnElement

from gateway.store.tables import ARCHIVES, UPLOADS

# Archives that are still there, and until when.
ARCHIVED = select(func.count(), func.max(ARCHIVES.c.keep_until)).where(text("removed_at IS NULL"), ARCHIVES.c.key == bindparam("key"))
# Uploads that began when the key may still have been written under.
COMING = select(func.count()).select_from(UPLOADS).where(UPLOADS.c.touched_at > 0, UPLOADS.c.started_at < bindparam("before"))


@cache
def found(table: Table, column: str) -> Select[tuple[object, ...]]:
    """Find rows whose column is under a key, with its size, those after a row first."""
    keys = tuple(table.primary_key)
    after = tuple_(*keys) > tuple_(*(bindparam(f"after_{key.name}", type_=key.type) for key in keys))
    return select(*keys, func.length(table.c[column])).where(_under(table, column), after).order_by(*keys).limit(bindparam("most"))


@cache
def content(table: Table, column: str) -> Select[tuple[object, ...]]:
    """Read a row's column, where it is still under the key."""
    return select(table.c[column]).where(_under(table, column), *_row(table))


@cache
def write(table: Table, column: str) -> Update:
    """Write a row's column anew, where it is still under the key."""
    return update(table).where(_under(table, column), *_row(table)).values({column: bindparam("resealed")})


def _under(table: Table, column: str) -> ColumnElement[bool]:
    """A sealed value begins with the length and the name of its key."""
    return func.substr(table.c[column], 1, bindparam("length")) == bindparam("name", type_=LargeBinary())


def _row(table: Table) -> list[ColumnElement[bool]]:
    return [key == bindparam(f"at_{key.name}", type_=key.type) for key in table.primary_key]
