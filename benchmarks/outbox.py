"""What the outbox costs beside its drivers, on SQLite and PostgreSQL: 12 KB messages, one delivery each.

The raw driver writes the very same rows by the very same statements, captured from the outbox, one transaction a message; it asks nothing
and decides nothing. Both are timed in short turns in one run, in seconds of the thread's CPU; `ratio` is raw by ours, the lowest of record
and of claim and settle. PostgreSQL is a server of the run's own, flushing as in production; its own CPU is not in the figures.
"""

import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any, TypeVar, cast

import psycopg
from sqlalchemy import Executable, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from benchmarks.ground import cpu, target
from gateway.lifecycle import Delivered, State, Step
from gateway.model import Reply
from gateway.outbox.outbox import SqlOutbox
from gateway.outbox.payloads import Payloads
from gateway.ports import Database, Entry, Refuse, Tx
from gateway.security.cipher import FileCipher
from gateway.store.engine import open_database
from gateway.store.migrate import upgrade
from gateway.store.queries import Queries
from gateway.store.sqlite import PRAGMAS
from gateway.store.statements import compiled
from gateway.store.times import utc
from gateway.testing.entries import BNN, envelope_text, make_entry
from gateway.testing.postgres import DURABLE, fresh_database, serving

T = TypeVar("T")
Writes = list[tuple[str, list[Any]]]  # of one transaction

MESSAGES, TURN, BATCH = 400, 20, 10
CALLERS, CALLS = 16, 40
PINNED = 600  # messages of each of two processes
FEW, MANY, TRIES = 10_000, 1_000_000, 100
FILL = (  # delivered messages as they stay behind
    """INSERT INTO messages (id, state, received_at, door, channel, path, request_digest, message_key, sender, reference, year, previous,
    sha256, answer_status, answer_headers) SELECT 'm' || n, 'accepted', n, 'vnsw', 'key:x', '/ws', CAST('d' || n AS {bytes}),
    CAST('k' || n AS {bytes}), 'NSW', 'R' || n, '2026', '', 'ab', 200, '{{}}' FROM ({numbers}) AS numbers""",
    """INSERT INTO deliveries (id, message, party, route, state, attempt, reference, cause, dossier, created_at, updated_at)
    SELECT 'x' || n, 'm' || n, 'BNN', 'r', 'delivered', 1, 'P', '', 'P1/R' || n || '/2026', n, n FROM ({numbers}) AS numbers""",
    "INSERT INTO business_keys (name, value, message) SELECT 'file', 'F' || n, 'm' || n FROM ({numbers}) AS numbers",
    "INSERT INTO ledger (at, kind, message, leaf) SELECT n, 'message.accepted', 'm' || n, '{{}}' FROM ({numbers}) AS numbers",
    "ANALYZE",
)
FILLING = "<Goods>" + "x" * 12_000 + "</Goods>"


@dataclass(slots=True)
class Spying:
    """A database that notes what is written through it."""

    database: Database
    written: list[Writes] = field(default_factory=list)
    transactions: list[Tx] = field(default_factory=list)  # a work's; works that share a commit share it

    @property
    def kind(self) -> str:
        """The database's own."""
        return self.database.kind

    def commit(self, work: Callable[[Tx], T]) -> T:
        """Commit, and keep what was written."""
        writes: Writes = []

        def watched(tx: Tx) -> T:
            self.transactions.append(tx)
            return work(SpyingTx(tx, self.kind, writes))

        result = self.database.commit(watched)
        self.written.append(writes)
        return result

    def read(self, work: Callable[[Tx], T]) -> T:
        """Read."""
        return self.database.read(work)

    def close(self) -> None:
        """Close."""
        self.database.close()


@dataclass(slots=True)
class SpyingTx:
    """A transaction that notes its writes as the driver gets them."""

    tx: Tx
    kind: str
    writes: Writes

    def rows(self, statement: Executable, **values: object) -> list[tuple[Any, ...]]:
        """Ask, or write and ask."""
        self._note(statement, values)
        return self.tx.rows(statement, **values)

    def changed(self, statement: Executable, **values: object) -> int:
        """Write."""
        self._note(statement, values)
        return self.tx.changed(statement, **values)

    def write(self, statement: Executable, **values: object) -> None:
        """Write."""
        self._note(statement, values)
        self.tx.write(statement, **values)

    def require(self, statement: Executable, otherwise: Refuse, /, **values: object) -> None:
        """Write."""
        self._note(statement, values)
        self.tx.require(statement, otherwise, **values)

    def now(self) -> Any:
        """Tell the time."""
        return self.tx.now()

    def _note(self, statement: Executable, values: dict[str, object]) -> None:
        postgres = self.kind == "postgresql"
        sql, in_order = compiled(statement, PGDialect_psycopg if postgres else SQLiteDialect_pysqlite, "format" if postgres else "qmark")
        if not sql.lstrip().startswith("SELECT"):
            self.writes.append((sql, list(in_order(values))))


def measure() -> dict[str, Any]:
    """Measure on both databases; gives figures and targets."""
    figures: dict[str, object] = {}
    targets: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name, serving(Path(name), settings=DURABLE) as server:
        for kind in ("sqlite", "postgresql"):
            with ExitStack() as stack:
                urls = [stack.enter_context(_database(kind, Path(name) / f"{kind}{n}.db", server.url)) for n in range(5)]
                _beside_the_driver(urls, Path(name), figures, targets)
                _shared(urls[0], Path(name), figures, targets)
                _grown(urls[3:], Path(name), figures, targets)
                if kind == "postgresql":
                    _pinned(urls[1], Path(name), figures, targets)
    ratio = min(cast("float", row["value"]) for row in targets if str(row["name"]).startswith("raw by ours"))
    return {"ratio": ratio, "figures": figures, "targets": targets}


@contextmanager
def _database(kind: str, file: Path, server: str) -> Iterator[str]:
    with ExitStack() as stack:
        url = stack.enter_context(fresh_database(server)) if kind == "postgresql" else f"sqlite:///{file}"
        upgrade(url)
        yield url


def _outbox(database: Database, home: Path) -> SqlOutbox:
    return SqlOutbox(database, Payloads(cipher=FileCipher(home / "keys", entropy=os.urandom)), clock=utc, entropy=os.urandom)


def _entries(count: int) -> list[Entry]:
    unique = os.urandom(6).hex()
    return [
        make_entry(
            key=f"{unique}/{n}".encode(),
            content=envelope_text(FILLING, message_id=f"{unique}/{n}"),
            reference=f"{unique}/{n}",
            order="dossier",
        )
        for n in range(count)
    ]


# --- beside the driver ---------------------------------------------------------------------------------------------


def _beside_the_driver(urls: Sequence[str], home: Path, figures: dict[str, object], targets: list[dict[str, object]]) -> None:
    """Time record, and claim and settle, in turns with the raw driver."""
    entries = _entries(MESSAGES)
    with closing(open_database(urls[0])) as ours, closing(open_database(urls[1])) as watched, _raw(urls[2]) as raw:
        spy = Spying(watched)
        outbox, copied = _outbox(ours, home), _outbox(spy, home)
        for entry in entries:
            copied.record(entry)
        places = range(0, MESSAGES, TURN)
        recorded = [_turn(TURN, _recording(outbox, entries[n : n + TURN]), partial(raw, spy.written[n : n + TURN])) for n in places]
        spy.written.clear()
        _carry(copied, MESSAGES)
        per_batch = [spy.written[n : n + BATCH + 1] for n in range(0, len(spy.written), BATCH + 1)]
        carried = [_turn(BATCH, partial(_carry, outbox, BATCH), partial(raw, writes)) for writes in per_batch]
        for name, turns in (("record", recorded), ("claim+settle", carried)):
            kind = ours.kind
            figures[f"{kind} {name}, ours, CPU µs"] = round(median(t for t, _ in turns) * 1e6)
            figures[f"{kind} {name}, raw driver, CPU µs"] = round(median(t for _, t in turns) * 1e6)
            targets.append(target(f"raw by ours: {kind} {name}", median(raw_ / ours_ for ours_, raw_ in turns), 0.5, at_least=True))


def _turn(count: int, ours: Callable[[], object], raw: Callable[[], object]) -> tuple[float, float]:
    return cpu(ours) / count, cpu(raw) / count


def _carry(outbox: SqlOutbox, count: int) -> None:
    """Claim and settle so many."""
    step = Step(to=State.DELIVERED, due_at=None, reason="", counts=True)
    for _ in range(count // BATCH):
        for claim in outbox.claim({BNN: BATCH}):
            outbox.settle(claim, step, Delivered(reference="P"), Reply(status=200, body=b"reply"))


@contextmanager
def _raw(url: str) -> Iterator[Callable[[Sequence[Writes]], None]]:
    """Give what writes transactions by the bare driver."""
    if url.startswith("sqlite"):
        connection: Any = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        for pragma in PRAGMAS:
            connection.execute(pragma)
    else:
        connection = psycopg.connect(url, autocommit=True)

    def write(transactions: Sequence[Writes]) -> None:
        cursor = connection.cursor()
        for writes in transactions:
            cursor.execute("BEGIN")
            for sql, values in writes:
                cursor.execute(sql, values)
            cursor.execute("COMMIT")

    with closing(connection):
        yield write


# --- many at once --------------------------------------------------------------------------------------------------


def _shared(url: str, home: Path, figures: dict[str, object], targets: list[dict[str, object]]) -> None:
    """Count commits while many callers record at once."""
    with closing(open_database(url)) as database:
        spy, entries = Spying(database), _entries(CALLERS * CALLS)
        outbox = _outbox(spy, home)
        started = time.perf_counter()
        _at_once([_recording(outbox, entries[n::CALLERS]) for n in range(CALLERS)])
        seconds, commits = time.perf_counter() - started, len({id(tx) for tx in spy.transactions})
        figures[f"{database.kind} {CALLERS} callers at once, messages a second"] = round(len(entries) / seconds)
        targets.append(target(f"{database.kind} messages a commit, {CALLERS} callers", len(entries) / commits, 4.0, at_least=True))


def _recording(outbox: SqlOutbox, entries: Sequence[Entry]) -> Callable[[], object]:
    return lambda: [outbox.record(entry) for entry in entries]


def _at_once(runs: Sequence[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=run) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _pinned(url: str, home: Path, figures: dict[str, object], targets: list[dict[str, object]]) -> None:
    """Compare the CPU of a message in one process with that in two at once, each on a core of its own."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:  # noqa: PLR2004  # nothing to compare
        return
    record: Callable[..., float] = import_module(__name__).record_pinned  # as the new processes find it
    with get_context("spawn").Pool(2) as pool:
        alone = pool.apply(record, (url, str(home), cores[0]))
        both = pool.starmap(record, [(url, str(home), core) for core in cores], chunksize=1)
    figures["postgresql record in one process, CPU µs"] = round(alone * 1e6)
    figures["postgresql record in each of two processes, CPU µs"] = round(max(both) * 1e6)
    targets.append(target("postgresql CPU a message, two processes by one", max(both) / alone, 1.15, at_least=False))


def record_pinned(url: str, home: str, core: int) -> float:
    """Record on one core, in a process of its own; gives seconds of CPU a message."""
    os.sched_setaffinity(0, {core})
    entries = _entries(PINNED)
    with closing(open_database(url)) as database:
        outbox = _outbox(database, Path(home))
        for entry in entries[:TURN]:
            outbox.record(entry)
        return cpu(_recording(outbox, entries[TURN:])) / (PINNED - TURN)


# --- many in the tables --------------------------------------------------------------------------------------------


def _grown(urls: Sequence[str], home: Path, figures: dict[str, object], targets: list[dict[str, object]]) -> None:
    """Compare claim, settle and search among few messages with those among many, in turns."""
    with closing(open_database(urls[0])) as small, closing(open_database(urls[1])) as large:
        both: list[Iterator[tuple[float, float, float]]] = []
        for database, count in ((small, FEW), (large, MANY)):
            url = urls[len(both)]
            _fill(database, url, count)
            _tidy(database, url)
            both.append(_timing(database, home))
        turns = [(next(both[0]), next(both[1])) for _ in range(TRIES)]
        for number, name in enumerate(("claim", "settle", "search")):
            few, many = (median(turn[place][number] for turn in turns) for place in (0, 1))
            figures[f"{large.kind} {name} among {MANY:,}, ms"] = round(many * 1e3, 2)
            targets.append(target(f"{large.kind} {name}, {MANY:,} by {FEW:,}", many / few, 1.3, at_least=False))
        targets.append(target(f"{large.kind} search among {MANY:,}, ms", many * 1e3, 200.0, at_least=False))


def _timing(database: Database, home: Path) -> Iterator[tuple[float, float, float]]:
    """Claim, settle and search again and again; gives the seconds of each."""
    outbox, queries = _outbox(database, home), Queries(database, lambda _owner, _part, content: content)
    for entry in _entries(TRIES):
        outbox.record(entry)
    step = Step(to=State.DELIVERED, due_at=None, reason="", counts=True)
    for number in range(TRIES):
        started = time.perf_counter()
        (claim,) = outbox.claim({BNN: 1})
        claimed = time.perf_counter()
        outbox.settle(claim, step, Delivered(reference="P"), Reply(status=200, body=b"reply"))
        settled = time.perf_counter()
        if not queries.messages(key=f"F{number * 7 + 1}").items:
            raise LookupError(number)
        yield claimed - started, settled - claimed, time.perf_counter() - settled


def _tidy(database: Database, url: str) -> None:
    """Bring a server to where it is after a quiet night: what was filled in is on disk and counted."""
    if database.kind == "postgresql":
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")
    else:
        database.read(lambda tx: tx.rows(text("PRAGMA wal_checkpoint(TRUNCATE)")))


def _fill(database: Database, url: str, count: int) -> None:
    """Write delivered messages as they stay behind."""
    numbers = (
        f"SELECT n FROM generate_series(1, {count}) AS g(n)"  # noqa: S608  # two numbers of our own
        if database.kind == "postgresql"
        else f"WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < {count}) SELECT n FROM g"  # noqa: S608  # as above
    )
    for statement in FILL:
        sql = statement.format(bytes="bytea" if database.kind == "postgresql" else "BLOB", numbers=numbers)
        _run(database, url, sql)


def _run(database: Database, url: str, sql: str) -> None:
    """Run what takes longer than the gateway allows itself."""
    if database.kind == "postgresql":
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.encode())
    else:
        database.commit(lambda tx: tx.write(text(sql)))
