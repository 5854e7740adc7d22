"""PostgreSQL: connections that come back by themselves, and concurrent works that share commits."""

import logging
import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from time import monotonic
from typing import Any, TypeVar

import psycopg
from psycopg import errors
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import Executable
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from gateway.ports import Clock, Refuse, Tx

from .sharing import Sharing, Work, away
from .statements import compiled
from .times import from_micros

T = TypeVar("T")
Statement = tuple[str, list[object] | None, Refuse | None]  # as the driver takes it; what is raised where it changes nothing

WRITERS = 2  # one may wait for the disk while the other works; with more, fewer messages share a commit
READERS = 4  # reading connections kept open
BUSY_SECONDS = 5  # how long a read waits for a connection
STATEMENT_SECONDS = 10  # how long the server works on a reader's statement
COMMIT_SECONDS = 20  # how long a commit may wait for disks and standbys; then its outcome is unknown
SHARED_LOCK_MS = 250  # how long a shared batch waits for another transaction's row; then its works go one by one
LONE_LOCK_MS = 5_000  # how long a lone work waits for it
SYNC_SECONDS = 1.0  # how long the server's time is reckoned by our own steady clock before it is asked again
TRIES = 5  # of a lone work that others are in the way of

# What an address does not say. Values reach libpq, which applies each to every host it names.
DEFAULTS: Mapping[str, str | int] = {
    "connect_timeout": 3,
    "application_name": "nsw",
    "target_session_attrs": "read-write",  # of several hosts, the one that is the primary now
    "client_encoding": "utf8",
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds until a peer that acknowledges nothing is given up
}
SESSION = """
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED;
SET lock_timeout = {lock_ms};
SET statement_timeout = {statement_ms};
SET idle_in_transaction_session_timeout = '60s';
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
"""
TIME = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
BEGIN, COMMIT = "BEGIN", "COMMIT"
IN_THE_WAY = (errors.SerializationFailure, errors.DeadlockDetected, errors.LockNotAvailable)  # nothing happened; trying again helps
AGAIN = (*IN_THE_WAY, errors.UniqueViolation)  # a row that another process wrote first: run again, a work sees it
DEFECTS = (psycopg.IntegrityError, psycopg.DataError)  # a work's own mistakes, which say nothing about the database


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that waits no longer than its `patience` for an answer, and remembers whether the server `warned`."""

    patience = STATEMENT_SECONDS + 2.0  # after the server's own limit, which costs no connection
    warned = False
    asking: psycopg.Cursor[tuple[Any, ...]]  # kept, because making one costs as much as using it
    checking: psycopg.Cursor[tuple[Any, ...]]
    controlling: psycopg.Cursor[tuple[Any, ...]]
    asked_at = -SYNC_SECONDS  # when the server was last asked for its time, by our steady clock
    told = 0.0  # how far its time was ahead of that clock, in microseconds

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait for the server; raises OperationalError, and closes, where it stays silent and nobody chose how long to wait."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.patience)
        except errors._WaitTimeout:  # noqa: SLF001  # it is what wait() is documented to raise
            self.close()
            raise

    def time(self) -> datetime:
        """Give the server's time."""
        steady = monotonic()
        if steady - self.asked_at >= SYNC_SECONDS:
            ((micros,),) = control(self, TIME).fetchall()
            self.asked_at, self.told = steady, micros - steady * 1_000_000
        return from_micros(round(steady * 1_000_000 + self.told))

    def hear(self, notice: errors.Diagnostic) -> None:
        """Take note of a warning."""
        self.warned = self.warned or notice.severity_nonlocalized == "WARNING"


def connect(url: str, *, statement_seconds: float = 0) -> Connection:
    """Open a connection, in which every statement stands for itself; raises psycopg.OperationalError.

    The server ends a statement after `statement_seconds`, if any. It must not end a commit: what it stops waiting for is visible,
    and may not be on the standby yet. So connections that write have only our own patience.
    """
    connection = Connection.connect(make_conninfo(url, **_missing(url)), autocommit=True)
    connection.add_notice_handler(connection.hear)
    connection.asking, connection.checking, connection.controlling = (
        connection.cursor(binary=True),
        connection.cursor(),
        connection.cursor(),
    )
    control(connection, SESSION.format(statement_ms=round(statement_seconds * 1000), lock_ms=LONE_LOCK_MS))
    return connection


def control(connection: Connection, statements: str) -> psycopg.Cursor[tuple[Any, ...]]:
    """Send statements that carry no values, together, and give the answer to the last."""
    answer = connection.controlling.execute(statements, prepare=False)
    while answer.nextset():
        pass
    return answer


def standby_of(url: str) -> str:
    """Name the same servers, preferring those that only read."""
    return make_conninfo(url, **{"target_session_attrs": "prefer-standby"} | conninfo_to_dict(url))


def _missing(url: str) -> dict[str, Any]:
    given = conninfo_to_dict(url)
    return {name: value for name, value in DEFAULTS.items() if name not in given}


class Line:
    """A place for a connection: made when it is asked for, and made anew after it broke."""

    def __init__(self, url: str, *, statement_seconds: float = 0) -> None:
        self._url = url
        self._statement_seconds = statement_seconds
        self._connection: Connection | None = None

    @property
    def up(self) -> bool:
        """Say whether a connection stands, as far as is known."""
        return self._connection is not None and not self._connection.closed

    def connection(self) -> Connection:
        """Give the connection; raises psycopg.OperationalError."""
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._url, statement_seconds=self._statement_seconds)
        return self._connection

    def close(self) -> None:
        """Close it, if there is one."""
        if self._connection is not None:
            self._connection.close()


class PostgresTx:
    """A transaction on one connection; `clock` tells its time, or where there is none the server.

    What is `opening` it travels with its first statement: a round trip less.
    """

    def __init__(self, connection: Connection, clock: Clock | None, *, opening: Sequence[str] = ()) -> None:
        self._connection = connection
        self._clock = clock or connection.time
        self._now: datetime | None = None
        self._unsent: list[Statement] = [(statement, None, None) for statement in opening]
        self.begun = not opening  # the server has answered: from now on a lost connection is a lost transaction

    def rows(self, statement: Executable, **values: object) -> list[tuple[Any, ...]]:
        """Run a statement and give its rows."""
        return self._execute(statement, values).fetchall()

    def changed(self, statement: Executable, **values: object) -> int:
        """Run a statement and say how many rows it changed."""
        return self._execute(statement, values).rowcount

    def write(self, statement: Executable, **values: object) -> None:
        """Keep a statement until flush()."""
        self._unsent.append((*_written(statement, values), None))

    def require(self, statement: Executable, otherwise: Refuse, /, **values: object) -> None:
        """Keep a statement until flush(), which raises where it changed nothing."""
        if any(refuse for *_, refuse in self._unsent):
            self.flush()  # one answer at a time is looked at
        self._unsent.append((*_written(statement, values), otherwise))

    def flush(self) -> None:
        """Send what is unsent, all of it before the first answer is waited for; raises what any of it raises."""
        unsent, self._unsent = self._unsent, []
        try:
            with self._connection.pipeline() if len(unsent) > 1 else nullcontext():
                for sql, given, otherwise in unsent:
                    (self._connection.checking if otherwise else self._connection.asking).execute(sql, given)
        finally:  # what was required comes first: without it, whatever came after may have failed too
            answered = not self._connection.closed
            self.begun = self.begun or answered
            for *_, otherwise in unsent:
                if otherwise is not None and answered and self._connection.checking.rowcount == 0:
                    raise otherwise()

    def forget(self) -> None:
        """Send nothing of what is unsent."""
        self._unsent.clear()

    def now(self) -> datetime:
        """Give the time at which the transaction first asked."""
        self._now = self._now or self._clock()
        return self._now

    def _execute(self, statement: Executable, values: dict[str, object]) -> psycopg.Cursor[tuple[Any, ...]]:
        self._unsent.append((*_written(statement, values), None))
        self.flush()
        return self._connection.asking


def _written(statement: Executable, values: dict[str, object]) -> tuple[str, list[object]]:
    """Give a statement as the driver takes it. PostgreSQL's text has no NUL; XML has none either, but a stranger's path or header may."""
    sql, in_order = compiled(statement, PGDialect_psycopg, "format")
    return sql, [v.replace("\0", "\ufffd") if isinstance(v, str) and "\0" in v else v for v in in_order(values)]


class PostgresDatabase:
    """A server, or several of which one is the primary; `commit` and `read` may be called from any thread."""

    kind = "postgresql"

    def __init__(self, url: str, *, clock: Clock | None = None) -> None:
        """Know the server; nothing is connected yet. A `clock` stands in for the server's own time."""
        logging.getLogger("psycopg").disabled = True  # what it has to say of a lost connection, it raises too
        self._clock = clock
        self._readers: queue.LifoQueue[Line] = queue.LifoQueue()
        for _ in range(READERS):
            self._readers.put(Line(url, statement_seconds=STATEMENT_SECONDS))
        self._sharing = Sharing([Line(url) for _ in range(WRITERS)], self._commit_together)
        self._closed = False

    def commit(self, work: Callable[[Tx], T]) -> T:
        """Run work and return when it is durable; raises Unavailable where the database is away, and what work raises.

        Unavailable may also mean that nobody knows: the connection was lost while the commit was under way.
        """
        return self._sharing.commit(work)

    def read(self, work: Callable[[Tx], T]) -> T:
        """Run work that only reads; each statement sees one consistent state. Raises Unavailable where it is away or too busy."""
        line = self._reader()
        try:
            with _translated():
                return self._read(line, work)
        finally:
            self._readers.put(line)

    def close(self) -> None:
        """Wait for what is under way, then close; whoever comes later gets Unavailable. A second close does nothing."""
        self._closed = True
        writers = self._sharing.close()
        for writer in writers:
            writer.close()
        for _ in range(READERS if writers else 0):
            with suppress(queue.Empty):  # a read that takes longer ends with the process
                self._readers.get(timeout=BUSY_SECONDS).close()

    def _reader(self) -> Line:
        try:
            return self._readers.get(block=not self._closed, timeout=BUSY_SECONDS)
        except queue.Empty:
            raise away("busy") from None

    def _read(self, line: Line, work: Callable[[Tx], T]) -> T:
        stood = line.up
        try:
            return work(PostgresTx(line.connection(), self._clock))
        except psycopg.OperationalError:
            if not stood or line.up:
                raise
        return work(PostgresTx(line.connection(), self._clock))  # it broke since it was last used; reading again harms nothing

    def _commit_together(self, line: Line, batch: Sequence[Work]) -> None:
        """Commit a batch; where one of several works raises, each by itself: none is undone for another, none holds others up and waits."""
        with _translated():
            if len(batch) == 1 or self._commit_once(line, batch) is not None:
                for work in batch:
                    self._commit_alone(line, work)

    def _commit_alone(self, line: Line, work: Work) -> None:
        tries, error = TRIES, self._commit_once(line, [work])
        while tries > 1 and isinstance(error, AGAIN):
            tries, error = tries - 1, self._commit_once(line, [work])
        foreign = isinstance(error, psycopg.Error) and not isinstance(error, DEFECTS)
        work.failure = _translate(error) if error is not None and foreign else error
        work.done = True

    def _commit_once(self, line: Line, batch: Sequence[Work]) -> BaseException | None:
        """Run works and commit them all; gives what one of them raised, and then none of them happened. Raises where nobody knows."""
        stood, connection = line.up, line.connection()
        opening = (BEGIN, f"SET LOCAL lock_timeout = {SHARED_LOCK_MS}") if len(batch) > 1 else (BEGIN,)
        tx = PostgresTx(connection, self._clock, opening=opening)
        try:
            error = _raised(connection, tx, batch)
            if error is None:
                _end(connection)
            else:
                connection.rollback()
        except BaseException as failure:
            _undo(connection)
            if isinstance(failure, psycopg.OperationalError) and stood and not line.up and not tx.begun:
                return self._commit_once(line, batch)  # it broke since it was last used, and was asked nothing yet
            raise
        return error


def _raised(connection: Connection, tx: PostgresTx, batch: Sequence[Work]) -> BaseException | None:
    """Run works, and give what one of them raised; raises itself where the connection is lost."""
    try:
        for work in batch:
            work.result = work.run(tx)
        tx.flush()
    except BaseException as error:
        tx.forget()
        if connection.closed:
            raise
        return error
    return None


def _end(connection: Connection) -> None:
    """Commit; raises OperationalError where the server does not say, without reserve, that it is done."""
    connection.warned = False
    connection.patience = COMMIT_SECONDS
    try:
        answer = control(connection, COMMIT)
    finally:
        connection.patience = Connection.patience
    if answer.statusmessage != "COMMIT" or connection.warned:
        raise errors.TransactionResolutionUnknown


def _undo(connection: Connection) -> None:
    try:
        connection.rollback()  # the driver's own: it forgets which statements it prepared, of which a failed pipeline may lack some
    except psycopg.Error:
        connection.close()  # whatever it was left in, the next one is new


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise _translate(error) from error


def _translate(error: BaseException) -> Exception:
    translated = away(type(error).__name__.lstrip("_"))
    translated.__cause__ = error
    return translated
