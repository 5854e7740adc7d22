"""The two outboxes under observation: every durable change of a row is told to the auditor, and every call is a point of the play."""

import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, TypeVar, cast

from sqlalchemy import Executable

from gateway.errors import StaleClaim, Unavailable
from gateway.lifecycle import State
from gateway.model import DeliveryId
from gateway.outbox.circuit import Exchange
from gateway.outbox.destinations import Destinations
from gateway.outbox.memory import MemoryOutbox, Row
from gateway.outbox.outbox import SqlOutbox
from gateway.outbox.payloads import Payloads
from gateway.outbox.workers import alone
from gateway.ports import Claim, Clock, Database, Outbox, Refuse, Tx
from gateway.store.engine import open_database
from gateway.store.migrate import upgrade
from gateway.store.times import from_micros
from gateway.testing.staff import Staff, staff_at

from .audit import Auditor, Look, Move
from .stage import Stage

T = TypeVar("T")

READS = frozenset({"answered", "load", "due_in"})
MEMORY_DISK = Path("/dev/shm")  # noqa: S108  # nothing of it must survive, and a disk that syncs would be waited for
OBSERVE = """
CREATE TABLE observed (
  n INTEGER PRIMARY KEY, delivery, message, party, dossier,
  was_state, was_token, was_due, was_lease, is_state, is_token, is_due, is_lease
);
CREATE TRIGGER observe_birth AFTER INSERT ON deliveries BEGIN
  INSERT INTO observed VALUES (NULL, NEW.id, NEW.message, NEW.party, NEW.dossier,
    NULL, NULL, NULL, NULL, NEW.state, NEW.token, NEW.due_at, NEW.lease_until);
END;
CREATE TRIGGER observe_change AFTER UPDATE ON deliveries BEGIN
  INSERT INTO observed VALUES (NULL, NEW.id, NEW.message, NEW.party, NEW.dossier,
    OLD.state, OLD.token, OLD.due_at, OLD.lease_until, NEW.state, NEW.token, NEW.due_at, NEW.lease_until);
END;
CREATE TRIGGER observe_end AFTER DELETE ON deliveries BEGIN
  INSERT INTO observed VALUES (NULL, OLD.id, OLD.message, OLD.party, OLD.dossier,
    OLD.state, OLD.token, OLD.due_at, OLD.lease_until, NULL, NULL, NULL, NULL);
END;
"""


class Store(Protocol):
    """A durable middle under observation; outlives the nodes."""

    skews: tuple[float, ...]  # by how many seconds nodes' clocks may differ from its own

    def outbox(self, wake: Callable[..., None], clock: Clock) -> Outbox:
        """Give a node its outbox."""

    def exchange(self, clock: Clock) -> Exchange:
        """Give a node its way to tell others how partners stand."""

    def staff(self) -> Staff:
        """Give the operator what staff act by."""

    def stored(self) -> dict[str, tuple[str, str]]:
        """Give each delivery's state and cause, in the order in which they were recorded."""


class Watched:
    """An outbox, or staff before it, whose every call is a point, and says what it is about."""

    def __init__(self, inner: Outbox | Staff, stage: Stage, auditor: Auditor, *, bare: bool) -> None:
        """Watch an outbox; a bare one has no database of its own that fails."""
        self._inner = inner
        self._stage = stage
        self._auditor = auditor
        self._bare = bare

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Give any method of the port, watched."""
        return partial(self._call, name)

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        stage, actor = self._stage, self._stage.current
        subject: Any = args[0] if args else ""
        if probes := kwargs.get("probes"):
            kwargs["probes"] = dict.fromkeys(sorted(probes)).keys()  # a set whose order is no hash's
        stage.point(name, subject.delivery if isinstance(subject, Claim) else getattr(subject, "id", ""))
        actor.doing = name
        try:
            result = self._run(name, partial(getattr(self._inner, name), *args, **kwargs))
        except (Unavailable, StaleClaim):
            if name == "settle":
                self._auditor.unsettled(subject)
            raise
        finally:
            actor.doing = ""
        if name == "note":
            self._auditor.note(subject)
        return result

    def _run(self, name: str, work: Callable[[], Any]) -> Any:
        if not self._bare:
            return work()
        if name in READS:
            self._stage.may_refuse()
            return work()
        return self._stage.commit(work)


# --- memory --------------------------------------------------------------------------------------------------------


class _Rows(dict[DeliveryId, Row]):
    """Rows whose every change is seen."""

    def __init__(self, auditor: Auditor) -> None:
        super().__init__()
        self._auditor = auditor

    def update(self, rows: Mapping[DeliveryId, Row]) -> None:  # type: ignore[override]
        for key, row in rows.items():
            self[key] = row

    def __setitem__(self, key: DeliveryId, row: Row) -> None:
        before = self.get(key)
        super().__setitem__(key, row)
        was = None if before is None else _look_of(before)
        move = Move(delivery=key, message=row.message, party=row.party, dossier=row.dossier, was=was, now=_look_of(row))
        self._auditor.moved(move)


def _look_of(row: Row) -> Look:
    return Look(state=row.state, token=row.token, due_at=row.due_at, lease_until=row.lease_until)


class MemoryStore:
    """The outbox in memory; a process that dies does not take it along."""

    def __init__(self, stage: Stage, auditor: Auditor) -> None:
        """Begin empty."""
        self._stage = stage
        self._auditor = auditor
        self.skews: tuple[float, ...] = (0.0,)
        self._wakes: list[Callable[..., None]] = []
        self._outbox = MemoryOutbox(clock=stage.wall, entropy=stage.entropy, wake=self._wake)
        self._outbox.shelf.rows = _Rows(auditor)

    def exchange(self, clock: Clock) -> Exchange:  # noqa: ARG002  # the store's
        """Let every node learn for itself."""
        return alone

    def outbox(self, wake: Callable[..., None], clock: Clock) -> Outbox:  # noqa: ARG002  # there is one clock
        """Give a node its outbox."""
        if wake not in self._wakes:
            self._wakes.append(wake)
        return cast("Outbox", Watched(self._outbox, self._stage, self._auditor, bare=True))

    def staff(self) -> Staff:
        """Give the operator what staff act by."""
        return cast("Staff", Watched(self._outbox, self._stage, self._auditor, bare=True))

    def stored(self) -> dict[str, tuple[str, str]]:
        """Give each delivery's state and cause, in the order in which they were recorded."""
        return {row.id: (row.state, row.cause) for row in self._outbox.shelf.rows.values()}

    def _wake(self, *about: object) -> None:
        for wake in self._wakes:
            wake(*about)


# --- SQLite --------------------------------------------------------------------------------------------------------


class _Plain:
    """A cipher that hides nothing and still notices what was read as another part, or of another row."""

    def encrypt(self, plain: bytes, *, context: str) -> bytes:
        return context.encode() + b"\0" + plain

    def decrypt(self, sealed: bytes, *, context: str) -> bytes:
        found, _, plain = sealed.partition(b"\0")
        if found != context.encode():
            raise AssertionError(f"{context} was read from {found!r}")
        return plain

    def key_of(self, sealed: bytes) -> str:  # noqa: ARG002  # the port's
        return "none"

    def fingerprint(self, *parts: bytes) -> bytes:
        return hashlib.sha256(b"\0".join(parts)).digest()


@dataclass(slots=True)
class _BreakingTx:
    """A transaction that fails before one of its statements."""

    tx: Tx
    left: int

    def rows(self, statement: Executable, **values: object) -> list[tuple[Any, ...]]:
        self._count()
        return self.tx.rows(statement, **values)

    def changed(self, statement: Executable, **values: object) -> int:
        self._count()
        return self.tx.changed(statement, **values)

    def write(self, statement: Executable, **values: object) -> None:
        self._count()
        self.tx.write(statement, **values)

    def require(self, statement: Executable, otherwise: Refuse, /, **values: object) -> None:
        self._count()
        self.tx.require(statement, otherwise, **values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tx, name)

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise sqlite3.OperationalError("disk I/O error")


class _Failing:
    """A database that fails as the run's faults say, before, within and after a commit."""

    def __init__(self, inner: Database, stage: Stage, observe: Callable[..., None]) -> None:
        self._inner = inner
        self._stage = stage
        self._observe = observe
        self.kind = inner.kind

    def commit(self, work: Callable[[Tx], T]) -> T:
        def durable() -> T:
            result = self._inner.commit(self._broken(work))
            self._observe()
            return result

        return self._stage.commit(durable)

    def read(self, work: Callable[[Tx], T]) -> T:
        self._stage.may_refuse()
        return self._inner.read(work)

    def close(self) -> None:
        self._inner.close()

    def _broken(self, work: Callable[[Tx], T]) -> Callable[[Tx], T]:
        rng = self._stage.rng
        if rng.random() >= self._stage.faults.broken:
            return work
        self._stage.disturbed()
        left = rng.randrange(8)
        return lambda tx: work(cast("Tx", _BreakingTx(tx, left)))


class SqliteStore:
    """The outbox over SQLite; triggers write down every change of a row in the same commit."""

    def __init__(self, stage: Stage, auditor: Auditor, template: Path, file: Path) -> None:
        """Begin with a copy of the template."""
        shutil.copyfile(template, file)
        self.skews: tuple[float, ...] = (0.0, 0.0, -3.0, 3.0, -600.0, 600.0)
        self._stage = stage
        self._auditor = auditor
        self._seen = 0
        self._reading = sqlite3.connect(file, isolation_level=None)
        self.database = open_database(f"sqlite:///{file}", clock=stage.wall)
        self._failing = _Failing(self.database, stage, self._observe)

    def exchange(self, clock: Clock) -> Exchange:
        """Give a node its way to tell others how partners stand."""
        return Destinations(self._failing, clock=clock).exchange

    def outbox(self, wake: Callable[..., None], clock: Clock) -> Outbox:
        """Give a node its outbox."""
        stage = self._stage
        inner = SqlOutbox(self._failing, Payloads(cipher=_Plain()), clock=clock, entropy=stage.entropy, wake=wake, pause=stage.sleep)
        return cast("Outbox", Watched(inner, stage, self._auditor, bare=False))

    def staff(self) -> Staff:
        """Give the operator the acts that staff use, over the database that fails."""
        inner = staff_at(self._failing, Payloads(cipher=_Plain()), entropy=self._stage.entropy)
        return cast("Staff", Watched(inner, self._stage, self._auditor, bare=False))

    def stored(self) -> dict[str, tuple[str, str]]:
        """Give each delivery's state and cause, in the order in which they were recorded."""
        found = self._reading.execute("SELECT id, state, cause FROM deliveries ORDER BY position")
        return {delivery: (state, cause) for delivery, state, cause in found}

    def close(self) -> None:
        """Let the file go."""
        self._reading.close()
        self.database.close()

    def _observe(self) -> None:
        found = self._reading.execute("SELECT * FROM observed WHERE n > ? ORDER BY n", (self._seen,))
        for n, delivery, message, party, dossier, *looks in found.fetchall():
            self._seen = n
            was, now = _look(*looks[:4]), _look(*looks[4:])
            self._auditor.moved(Move(delivery=delivery, message=message, party=party, dossier=dossier, was=was, now=now))


def _look(state: str | None, token: str | None, due_at: int | None, lease_until: int | None) -> Look | None:
    if state is None:
        return None
    due, lease = (None if t is None else from_micros(t) for t in (due_at, lease_until))
    return Look(state=State(state), token=token or "", due_at=due, lease_until=lease)


# --- making one ----------------------------------------------------------------------------------------------------

MakeStore = Callable[[Stage, Auditor], AbstractContextManager[Store]]


@contextmanager
def stores(kind: str) -> Iterator[MakeStore]:
    """Lend a maker of stores of a kind, "memory" or "sqlite"; each store it makes is a new one."""
    if kind == "memory":
        yield _memory
        return
    with TemporaryDirectory(dir=MEMORY_DISK if MEMORY_DISK.is_dir() else None) as folder:
        template = Path(folder) / "template.db"
        upgrade(f"sqlite:///{template}")
        connection = sqlite3.connect(template)
        connection.executescript(OBSERVE)
        connection.close()
        yield partial(_sqlite, template)


@contextmanager
def _memory(stage: Stage, auditor: Auditor) -> Iterator[Store]:
    yield MemoryStore(stage, auditor)


@contextmanager
def _sqlite(template: Path, stage: Stage, auditor: Auditor) -> Iterator[Store]:
    with TemporaryDirectory(dir=template.parent) as folder:
        store = SqliteStore(stage, auditor, template, Path(folder) / "gateway.db")
        yield store
        store.close()
