"""Writes ledger entries: each in the commit of what it tells of."""

from sqlalchemy import bindparam, insert

from gateway.audit import Event
from gateway.ports import Tx

from .compact import write
from .tables import LEDGER
from .times import to_micros

_INSERT = insert(LEDGER).values({c.name: bindparam(c.name) for c in LEDGER.c if c.name not in {"id", "position"}})


def write_leaf(tx: Tx, event: Event) -> None:
    """Add an event to the ledger, inside the caller's transaction."""
    at = to_micros(event.at)
    leaf = {"at": at, "kind": event.kind, **event.values}
    if event.message:
        leaf["message"] = event.message
    if event.delivery:
        leaf["delivery"] = event.delivery
    text = write(dict(sorted(leaf.items())))
    tx.write(_INSERT, at=at, kind=event.kind, message=event.message or None, delivery=event.delivery or None, leaf=text)
