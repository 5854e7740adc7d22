"""Legal holds: what staff have said must be kept, whatever its period says, until they say otherwise."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from gateway.audit import Event
from gateway.errors import Code, Conflict, NotValid, Problem
from gateway.model import uuid7
from gateway.ports import Database, Entropy, Tx
from gateway.store.leaves import write_leaf
from gateway.store.tables import HOLDS
from gateway.store.times import from_micros, to_micros

from .sql import retention as sql

Kind = Literal["message", "dossier", "party", "procedure"]
KINDS: tuple[Kind, ...] = ("message", "dossier", "party", "procedure")
_COLUMNS = tuple(c.name for c in HOLDS.c)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One hold: what it covers, why and by whom; `released_at` once it is over. A dossier is procedure/reference/year."""

    id: str
    kind: Kind
    value: str
    reason: str
    placed_by: str
    placed_at: datetime
    released_by: str | None = None
    released_at: datetime | None = None
    release_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """The holds in force at a moment, for quick answers."""

    values: Mapping[str, frozenset[str]]

    def cover(self, *, message: str, dossiers: Iterable[str], parties: Iterable[str], procedure: str) -> bool:
        """Say whether a hold covers a message: it, one of its dossiers, its sender or a receiver, or its procedure."""
        asked = {"message": (message,), "dossier": dossiers, "party": parties, "procedure": (procedure,)}
        return any(not self.values[kind].isdisjoint(values) for kind, values in asked.items() if kind in self.values)


class Holds:
    """Places, releases and lists holds; every method raises Unavailable where the database is away."""

    def __init__(self, database: Database, *, entropy: Entropy, known: Callable[[Kind, str], bool] = lambda _kind, _value: False) -> None:
        """Take the database; `known` says whether the rules have such a party or procedure, which may have no message yet."""
        self._database = database
        self._entropy = entropy
        self._known = known

    def place(self, kind: Kind, value: str, *, by: str, reason: str) -> Hold:
        """Keep what it covers from now on; raises NotValid(NOT_FOUND) where nothing is of that name: a misspelt hold would keep nothing."""
        known = self._known(kind, value)

        def work(tx: Tx) -> Hold:
            tx.rows(sql.TURN)
            if not known and not _there(tx, kind, value):
                raise NotValid(Code.NOT_FOUND, Problem(text="retention.nothing-to-hold", values={"kind": kind, "value": value}))
            now = tx.now()
            hold = Hold(id=uuid7(now, self._entropy(10)), kind=kind, value=value, reason=reason, placed_by=by, placed_at=now)
            tx.changed(sql.PLACE, **{name: getattr(hold, name) for name in _COLUMNS} | {"placed_at": to_micros(now)})
            write_leaf(tx, _event("hold.placed", hold, by=by, at=now, why=reason))
            return hold

        return self._database.commit(work)

    def release(self, hold: str, *, by: str, reason: str) -> Hold:
        """End a hold; what it kept goes by its period again. Raises NotValid(NOT_FOUND), or Conflict where it ended before."""

        def work(tx: Tx) -> Hold:
            now = tx.now()
            rows = tx.rows(sql.HOLD, id=hold)
            if not rows:
                raise NotValid(Code.NOT_FOUND, Problem(text="retention.no-hold", values={"hold": hold}))
            if not tx.changed(sql.RELEASE, hold=hold, who=by, now=to_micros(now), why=reason):
                raise Conflict(Code.CONFLICT, Problem(text="retention.released", values={"hold": hold}))
            tx.changed(sql.BEGIN_AGAIN)  # what it held was walked past
            write_leaf(tx, _event("hold.released", _hold(rows[0]), by=by, at=now, why=reason))
            return _hold(tx.rows(sql.HOLD, id=hold)[0])

        return self._database.commit(work)

    def listed(self, *, released: bool = False) -> tuple[Hold, ...]:
        """Give the holds in force, and where asked those that were released."""
        return tuple(_hold(row) for row in self._database.read(lambda tx: tx.rows(sql.EVERY_HOLD if released else sql.IN_FORCE)))


def in_force(tx: Tx) -> InForce:
    """Read the holds in force."""
    values: defaultdict[str, set[str]] = defaultdict(set)
    for hold in map(_hold, tx.rows(sql.IN_FORCE)):
        values[hold.kind].add(hold.value)
    return InForce(values={kind: frozenset(held) for kind, held in values.items()})


def _hold(row: tuple[Any, ...]) -> Hold:
    values = dict(zip(_COLUMNS, row, strict=True))
    ended = values["released_at"]
    times = {"placed_at": from_micros(values["placed_at"]), "released_at": None if ended is None else from_micros(ended)}
    return Hold(**values | times)


def _event(kind: str, hold: Hold, *, by: str, at: datetime, why: str) -> Event:
    """Tell the ledger of a hold: its id and kind, and a digest of the rest, which holds a person's words."""
    told = json.dumps([hold.id, hold.kind, hold.value, why, by], ensure_ascii=False)
    values = {"hold": hold.id, "what": hold.kind, "by": by, "sha256": hashlib.sha256(told.encode()).hexdigest()}
    return Event(kind=kind, at=at, message=hold.value if hold.kind == "message" else "", values=values)


def _there(tx: Tx, kind: Kind, value: str) -> bool:
    """Say whether any message is of that name; a dossier is procedure/reference/year."""
    procedure, _, rest = value.partition("/")
    reference, _, year = rest.rpartition("/")
    named = {"procedure": procedure, "reference": reference, "year": year} if kind == "dossier" else {}
    return bool(tx.rows(sql.KNOWN[kind], value=value, **named))
