"""One database: many readers, and one committing thread in which concurrent works share a commit."""

import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Executable, make_url
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.compiler import SQLCompiler

from gateway.errors import Code, Problem, Unavailable
from gateway.ports import Tx

T = TypeVar("T")

MAX_SHARED = 64  # works in one commit: enough that a slow disk is shared well, few enough that none waits long
BUSY_SECONDS = 5  # how long a write waits for a command in another process
READERS = 4  # reading connections kept open
PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # a commit is on disk when it returns
    "PRAGMA foreign_keys=OFF",  # ours are documentation; retention purges in its own order
    "PRAGMA cache_size=-16384",
    "PRAGMA wal_autocheckpoint=4000",
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

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._cursor = connection.cursor()

    def rows(self, statement: Executable, **values: object) -> list[tuple[Any, ...]]:
        """Run a statement and give its rows."""
        return self._execute(statement, values).fetchall()

    def changed(self, statement: Executable, **values: object) -> int:
        """Run a statement and say how many rows it changed."""
        return self._execute(statement, values).rowcount

    def _execute(self, statement: Executable, values: dict[str, object]) -> sqlite3.Cursor:
        sql, names, fixed = _compiled(statement)
        return self._cursor.execute(sql, [values[n] if n in values else fixed[n] for n in names])


class SqliteDatabase:
    """SQLite in WAL mode. `commit` and `read` may be called from any thread."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._works: queue.SimpleQueue[tuple[Callable[[Tx], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        for _ in range(READERS):
            self._readers.put(self._connect())
        self._thread = threading.Thread(target=self._commit_forever, name="committer", daemon=True)
        self._thread.start()

    def commit(self, work: Callable[[Tx], T]) -> T:
        """Run work and return when it is durable; raises Unavailable where the database is away, and what work raises."""
        done: Future[T] = Future()
        self._works.put((work, done))
        return done.result()

    def read(self, work: Callable[[Tx], T]) -> T:
        """Run work that only reads, on one consistent state of the database."""
        connection = self._readers.get()
        try:
            with _translated():
                connection.execute("BEGIN")
                try:
                    return work(SqliteTx(connection))
                finally:
                    connection.execute("ROLLBACK")
        finally:
            self._readers.put(connection)

    def close(self) -> None:
        """Finish the works at hand and close."""
        self._works.put(None)
        self._thread.join()
        while True:
            try:
                self._readers.get_nowait().close()
            except queue.Empty:
                return

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=False)
        for pragma in PRAGMAS:
            connection.execute(pragma)
        return connection

    def _commit_forever(self) -> None:
        connection = self._connect()
        while batch := self._next_batch():
            _commit_together(connection, batch)
        connection.close()

    def _next_batch(self) -> list[tuple[Callable[[Tx], Any], Future[Any]]]:
        """Wait for a work and take along whatever else is waiting; empty when closing."""
        batch = []
        item = self._works.get()
        while item is not None:
            batch.append(item)
            if len(batch) == MAX_SHARED or self._works.empty():
                return batch
            item = self._works.get()
        if batch:
            self._works.put(None)  # finish these first, then close
        return batch


def _commit_together(connection: sqlite3.Connection, batch: list[tuple[Callable[[Tx], Any], Future[Any]]]) -> None:
    """Run each work in its own savepoint, commit them all, and only then tell the callers."""
    results: list[tuple[Future[Any], Any, BaseException | None]] = []
    try:
        with _translated():
            connection.execute("BEGIN IMMEDIATE")
            tx = SqliteTx(connection)
            for work, done in batch:
                results.append((done, *_run_in_savepoint(connection, tx, work)))
            connection.execute("COMMIT")
    except BaseException as error:  # noqa: BLE001  # whatever it is, every caller must hear of it
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        results = [(done, None, error) for _, done in batch]
    for done, result, failure in results:
        if failure is None:
            done.set_result(result)
        else:
            done.set_exception(failure)


def _run_in_savepoint(connection: sqlite3.Connection, tx: Tx, work: Callable[[Tx], Any]) -> tuple[Any, BaseException | None]:
    connection.execute("SAVEPOINT work")
    try:
        result = work(tx)
    except sqlite3.OperationalError:
        raise  # disk full, database away: nothing of this batch can be promised
    except BaseException as error:  # noqa: BLE001  # one caller's refusal must not undo its neighbours
        connection.execute("ROLLBACK TO work")
        connection.execute("RELEASE work")
        return None, error
    connection.execute("RELEASE work")
    return result, None


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise Unavailable(Code.UNAVAILABLE, Problem(text="store.away", values={"cause": type(error).__name__})) from error


def open_database(url: str) -> SqliteDatabase:
    """Open the database an address names; for now sqlite:///PATH. Raises Unavailable for another kind."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        raise Unavailable(Code.UNAVAILABLE, Problem(text="store.kind", values={"kind": parsed.get_backend_name()}))
    return SqliteDatabase(Path(parsed.database))
