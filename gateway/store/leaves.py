"""Writes ledger entries: each in the commit of what it tells of."""

from functools import cache

from sqlalchemy import Insert, bindparam, insert

from gateway.audit import Event
from gateway.ports import Tx

from .compact import write
from .tables import LEDGER
from .times import to_micros

_COLUMNS = tuple(c.name for c in LEDGER.c if c.name not in {"id", "position"})


def write_leaf(tx: Tx, *events: Event) -> None:
    """Add events to the ledger in this order, inside the caller's transaction."""
    tx.write(_insert(len(events)), **{f"{name}{n}": value for n, event in enumerate(events) for name, value in _row(event).items()})


@cache
def _insert(count: int) -> Insert:
    """Write so many in one statement: a message is told of with each of its routes."""
    return insert(LEDGER).values([{name: bindparam(f"{name}{n}") for name in _COLUMNS} for n in range(count)])


def _row(event: Event) -> dict[str, object]:
    at = to_micros(event.at)
    leaf = {"at": at, "kind": event.kind, **event.values}
    if event.message:
        leaf["message"] = event.message
    if event.delivery:
        leaf["delivery"] = event.delivery
    text = write(dict(sorted(leaf.items())))
    return {"at": at, "kind": event.kind, "message": event.message or None, "delivery": event.delivery or None, "leaf": text}
