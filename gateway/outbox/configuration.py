"""Tells the ledger which configuration is in force, each time it is another."""

import json
from collections.abc import Callable, Mapping

from gateway.audit import Event
from gateway.ports import Database, Tx
from gateway.store.leaves import write_leaf

from .sql.configuration import LAST_TOLD

KIND = "configuration.changed"


class Configuration:
    """Compares what this process works by with what the ledger told last; `state` gives versions and digests, never content or names."""

    def __init__(self, database: Database, state: Callable[[], Mapping[str, str]]) -> None:
        self._database = database
        self._state = state
        self._told: Mapping[str, str] = {}

    def look(self) -> None:
        """Tell of a change, or of the first configuration there is; raises Unavailable where the database is away."""
        state = dict(self._state())
        if state != self._told:
            self._database.commit(lambda tx: _tell(tx, state))
            self._told = state


def _tell(tx: Tx, state: Mapping[str, str]) -> None:
    """Write a leaf, unless the last one tells the same: of an earlier life, or of another process that saw it first."""
    last = tx.rows(LAST_TOLD)
    told = json.loads(last[0][0]) if last else {}
    if {name: told.get(name) for name in state} != state:
        write_leaf(tx, Event(kind=KIND, at=tx.now(), values=state))
