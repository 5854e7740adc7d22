"""One database: many readers, and one writer at a time, in whose commit concurrent works share."""

import queue
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar, cast

from sqlalchemy import Executable, make_url
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.compiler import SQLCompiler

from gateway.errors import Code, Problem, Unavailable
from gateway.ports import Clock, Database, Tx

from .times import utc

T = TypeVar("T")

MAX_SHARED = 64  # works in one commit: enough that a slow disk is shared well, few enough that none waits long
BUSY_SECONDS = 5  # how long a write waits for a command in another process, and a read for a connection
# Disk full, database locked; and, by the bare name, a file that is damaged: nothing of a batch can be promised.
AWAY = (sqlite3.OperationalError, sqlite3.DatabaseError)
READERS = 4  # reading connections kept open
DEFECTS = (sqlite3.IntegrityError, sqlite3.ProgrammingError)  # a work's own mistakes, which say nothing about the database
PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # a commit is on disk when it returns
    "PRAGMA foreign_keys=OFF",  # ours are documentation; retention purges in its own order
    "PRAGMA cache_size=-16384",
    "PRAGMA wal_autocheckpoint=4000",
    "PRAGMA temp_store=MEMORY",  # savepoints keep what they may have to undo in memory, not in a file
)


@cache
def _compiled(statement: Executable) -> tuple[str, tuple[str, ...], dict[str, Any]]:
    """Compile a Core statement to SQL, the order of its values, and those that it already carries."""
    dialect = sqlite.dialect(paramstyle="qmark")
    compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})  # type: ignore[attr-defined]
    assert isinstance(compiled, SQLCompiler)  # noqa: S101  # Core's own promise, told to the type checker
    return compiled.string, tuple(compiled.positiontup or ()), dict(compiled.params)


class SqliteTx:
    """A transaction on one SQLite connection."""

    def __init__(self, connection: sqlite3.Connection, clock: Clock) -> None:
        self._cursor = connection.cursor()
        self._clock = clock
        self._now: datetime | None = None

    def rows(self, statement: Executable, **values: object) -> list[tuple[Any, ...]]:
        """Run a statement and give its rows."""
        return self._execute(statement, values).fetchall()

    def changed(self, statement: Executable, **values: object) -> int:
        """Run a statement and say how many rows it changed."""
        return self._execute(statement, values).rowcount

    def now(self) -> datetime:
        """Give the time at which the transaction first asked."""
        self._now = self._now or self._clock()
        return self._now

    def _execute(self, statement: Executable, values: dict[str, object]) -> sqlite3.Cursor:
        sql, names, fixed = _compiled(statement)
        return self._cursor.execute(sql, [values[n] if n in values else fixed[n] for n in names])


def _held() -> Lock:
    """Make a lock that is already held, so that it can be waited for."""
    lock = Lock()
    lock.acquire()
    return lock


@dataclass(slots=True)
class _Work:
    """One caller's work on its way to a commit; `turn` is released when it is done, or when its caller shall commit next."""

    run: Callable[[Tx], Any]
    turn: Lock = field(default_factory=_held)
    done: bool = False
    result: Any = None
    failure: BaseException | None = None


class SqliteDatabase:
    """SQLite in WAL mode. `commit` and `read` may be called from any thread."""

    kind = "sqlite"

    def __init__(self, path: Path, *, clock: Clock = utc) -> None:
        self._clock = clock
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        with _translated():
            self._writer = self._connect()
            for _ in range(READERS):
                self._readers.put(self._connect())
        self._mutex = Lock()  # guards the three below; held for a few instructions only
        self._waiting: deque[_Work] = deque()
        self._committing = False
        self._closed = False

    def commit(self, work: Callable[[Tx], T]) -> T:
        """Run work and return when it is durable; raises Unavailable where the database is away, and what work raises.

        Whoever comes while nobody commits does so at once; whoever comes meanwhile waits, and the first of them then commits
        for all that wait. So a lone caller needs no other thread, and concurrent callers share a commit.
        """
        mine = _Work(run=work)
        self._bring(mine)
        if mine.failure is not None:
            raise mine.failure
        return cast("T", mine.result)

    def read(self, work: Callable[[Tx], T]) -> T:
        """Run work that only reads; each statement sees one consistent state. Raises Unavailable where it is away or too busy."""
        connection = self._reader()
        try:
            with _translated():
                return work(SqliteTx(connection, self._clock))
        finally:
            self._readers.put(connection)

    def close(self) -> None:
        """Wait for what is under way, then close; whoever comes later gets Unavailable. A second close does nothing."""
        if self._closed:
            return
        self._bring(_Work(run=lambda _: None), last=True)
        self._writer.close()
        for _ in range(READERS):
            with suppress(queue.Empty):  # a read that takes longer ends with the process
                self._readers.get(timeout=BUSY_SECONDS).close()

    def _reader(self) -> sqlite3.Connection:
        try:
            return self._readers.get(block=not self._closed, timeout=BUSY_SECONDS)
        except queue.Empty:
            raise _away("busy") from None

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=False)
        for pragma in PRAGMAS:
            connection.execute(pragma)
        return connection

    def _bring(self, mine: _Work, *, last: bool = False) -> None:
        """Bring a work to its commit, by our own hand or another's; raises Unavailable once the last one was brought."""
        if not self._comes_first(mine, last=last):
            mine.turn.acquire()  # until whoever commits releases it
        if not mine.done:
            self._commit_for_all()

    def _comes_first(self, work: _Work, *, last: bool) -> bool:
        with self._mutex:
            if self._closed:
                raise _away("closed")
            self._closed = last
            self._waiting.append(work)
            first = not self._committing
            self._committing = True
            return first

    def _commit_for_all(self) -> None:
        """Commit what waits, tell its callers, and let the next one commit if there is any."""
        with self._mutex:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_SHARED))]
        _commit_together(self._writer, batch, self._clock)
        with self._mutex:
            following = self._waiting[0] if self._waiting else None
            self._committing = following is not None
        for work in batch:
            work.done = True
            work.turn.release()
        if following:
            following.turn.release()


def _commit_together(connection: sqlite3.Connection, batch: list[_Work], clock: Clock) -> None:
    """Run each work in its own savepoint and commit them all; where that fails, none of them happened."""
    try:
        with _translated():
            connection.execute("BEGIN IMMEDIATE")
            tx = SqliteTx(connection, clock)
            for work in batch:
                _run_alone(connection, tx, work, among=len(batch))
            connection.execute("COMMIT")
    except BaseException as error:  # noqa: BLE001  # whatever it is, every caller must hear of it
        _undo(connection)
        for work in batch:
            work.failure = error


def _run_alone(connection: sqlite3.Connection, tx: Tx, work: _Work, *, among: int) -> None:
    """Run a work so that what it raises undoes itself and not its neighbours; a lone work needs no savepoint for that."""
    if among > 1:
        connection.execute("SAVEPOINT work")
    try:
        work.result = work.run(tx)
    except BaseException as error:
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, DEFECTS):
            raise  # disk full, database away or damaged: nothing of this batch can be promised
        connection.execute("ROLLBACK TO work" if among > 1 else "ROLLBACK")
        work.failure = error
        if among == 1:
            connection.execute("BEGIN IMMEDIATE")  # for the COMMIT that follows
    if among > 1:
        connection.execute("RELEASE work")


def _undo(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):  # there is nothing to undo where the database itself is gone
        connection.execute("ROLLBACK")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _away(type(error).__name__) from error


def _away(cause: str) -> Unavailable:
    return Unavailable(Code.UNAVAILABLE, Problem(text="store.away", values={"cause": cause}))


def open_database(url: str, *, clock: Clock = utc) -> Database:
    """Open the database an address names; for now sqlite:///PATH. Raises Unavailable for another kind."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        raise Unavailable(Code.UNAVAILABLE, Problem(text="store.kind", values={"kind": parsed.get_backend_name()}))
    return SqliteDatabase(Path(parsed.database), clock=clock)
