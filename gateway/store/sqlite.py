"""SQLite in WAL mode: many readers, and one writer at a time, in whose commit concurrent works share."""

import queue
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Executable
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from gateway.errors import Unavailable
from gateway.ports import Clock, Refuse, Tx

from .sharing import Sharing, Work, away
from .statements import compiled
from .times import utc

T = TypeVar("T")

BUSY_SECONDS = 5  # how long a write waits for a command in another process, and a read for a connection
READERS = 4  # reading connections kept open
# A work's own mistakes, which say nothing about the database; any other error does, such as a full disk or a damaged file.
DEFECTS = (sqlite3.IntegrityError, sqlite3.ProgrammingError)
PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # a commit is on disk when it returns
    "PRAGMA foreign_keys=OFF",  # ours are documentation; retention purges in its own order
    "PRAGMA cache_size=-16384",
    "PRAGMA wal_autocheckpoint=4000",
    "PRAGMA temp_store=MEMORY",  # what a statement may have to undo is kept in memory, not in a file
)


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

    def write(self, statement: Executable, **values: object) -> None:
        """Run a statement, at once."""
        self._execute(statement, values)

    def require(self, statement: Executable, otherwise: Refuse, /, **values: object) -> None:
        """Run a statement, at once, and raise where it changed nothing."""
        if self._execute(statement, values).rowcount == 0:
            raise otherwise()

    def now(self) -> datetime:
        """Give the time at which the transaction first asked."""
        self._now = self._now or self._clock()
        return self._now

    def _execute(self, statement: Executable, values: dict[str, object]) -> sqlite3.Cursor:
        sql, in_order = compiled(statement, SQLiteDialect_pysqlite, "qmark")
        return self._cursor.execute(sql, in_order(values))


class SqliteDatabase:
    """One file; `commit` and `read` may be called from any thread."""

    kind = "sqlite"

    def __init__(self, path: Path, *, clock: Clock = utc) -> None:
        """Open the file; raises Unavailable where it is none of ours."""
        self._clock = clock
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        try:
            writer = self._connect()
            for _ in range(READERS):
                self._readers.put(self._connect())
        except sqlite3.DatabaseError as error:
            raise _away(error) from error
        self._sharing = Sharing([writer], self._commit_together)
        self._closed = False

    def commit(self, work: Callable[[Tx], T]) -> T:
        """Run work and return when it is durable; raises Unavailable where the database is away, and what work raises."""
        return self._sharing.commit(work)

    def read(self, work: Callable[[Tx], T]) -> T:
        """Run work that only reads; each statement sees one consistent state. Raises Unavailable where it is away or too busy."""
        connection = self._reader()
        try:
            return work(SqliteTx(connection, self._clock))
        except sqlite3.DatabaseError as error:
            raise _away(error) from error
        finally:
            self._readers.put(connection)

    def close(self) -> None:
        """Wait for what is under way, then close; whoever comes later gets Unavailable. A second close does nothing."""
        self._closed = True
        for writer in self._sharing.close():
            writer.close()
            for _ in range(READERS):
                with suppress(queue.Empty):  # a read that takes longer ends with the process
                    self._readers.get(timeout=BUSY_SECONDS).close()

    def _reader(self) -> sqlite3.Connection:
        try:
            return self._readers.get(block=not self._closed, timeout=BUSY_SECONDS)
        except queue.Empty:
            raise away("busy") from None

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=False)
        for pragma in PRAGMAS:
            connection.execute(pragma)
        return connection

    def _commit_together(self, connection: sqlite3.Connection, batch: Sequence[Work]) -> None:
        """Commit a batch; where one of several works raises, each by itself, so that none is undone for another."""
        if not self._commit_once(connection, batch):
            for work in batch:
                self._commit_once(connection, [work])
                work.done = True

    def _commit_once(self, connection: sqlite3.Connection, batch: Sequence[Work]) -> bool:
        """Run works and commit them all; where that fails, none of them happened. Says False where one of several raised."""
        try:
            connection.execute("BEGIN IMMEDIATE")
            tx = SqliteTx(connection, self._clock)
            for work in batch:
                work.result = work.run(tx)
            connection.execute("COMMIT")
        except BaseException as error:
            with suppress(sqlite3.Error):  # there is nothing to undo where the database itself is gone
                connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, DEFECTS):
                raise _away(error) from error  # nothing of this batch can be promised
            if len(batch) > 1:
                return False
            batch[0].failure = error
        return True


def _away(error: sqlite3.DatabaseError) -> Unavailable:
    return away(getattr(error, "sqlite_errorname", type(error).__name__))
