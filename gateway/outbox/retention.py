"""Retention: what is old enough is archived, then purged, in bounded steps; nothing that is open, held or within its period goes.

A run walks the messages of each period in the order they came, up to where that period ends, and remembers how far it got; what was open
is looked at again by the next run. Two stages: the *content* (documents, requests, replies, business keys, names), and after a longer
time the *record* (ids, codes, times, digests). Ledger leaves stay.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

from gateway.audit import Event
from gateway.errors import Code, Conflict, Problem, Unavailable
from gateway.model import Periods, Schedule, uuid7
from gateway.ports import Database, Entropy, Tx
from gateway.store.leaves import write_leaf
from gateway.store.times import EPOCH, to_micros

from .archive import archive_path, pack, reachable, remove_archive, seal, write_archive
from .holds import InForce, in_force
from .payloads import Payloads
from .purging import Loaded, complete, forget, load, purge
from .sql import retention as sql

Stage = Literal["content", "record"]
BATCH = 200  # messages in one step, and in one archive
BATCH_BYTES = 16_000_000  # of content in one step, so that large documents make small ones
SHARE = 40  # messages in one commit: nobody who writes meanwhile waits for more
LOOKS = 100  # pages walked without a commit until the place is noted
TURN = timedelta(minutes=5)  # how long a run that died keeps others out
NEVER = Periods(content=timedelta.max, record=timedelta.max)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What one step did: how many messages went at which stage, how much content, and into which archive."""

    stage: Literal["content", "record", "archive"]
    messages: int = 0
    bytes: int = 0
    archive: str = ""


@dataclass(slots=True, kw_only=True)
class Preview:
    """What a run would do, in messages by stage and procedure, bytes of content, and archives to be removed."""

    due: Counter[tuple[str, str]] = field(default_factory=Counter)
    held: Counter[tuple[str, str]] = field(default_factory=Counter)
    open: Counter[tuple[str, str]] = field(default_factory=Counter)
    bytes: int = 0
    archives: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Old:
    """A message that retention looks at; `dossiers` are all names a hold may know it by, `dossier` the one it belongs to.

    `ready` is False where something else must end or go first: a delivery; before the record also the content and its archive.
    """

    id: str
    procedure: str
    parties: frozenset[str]
    dossiers: tuple[str, ...]
    periods: Periods
    ready: bool

    @property
    def dossier(self) -> str | None:
        """Name the dossier it belongs to."""
        return self.dossiers[0] if self.dossiers else None

    @property
    def archived(self) -> bool:
        """Say whether its content is archived before it goes."""
        return self.periods.archive > timedelta(0)


@dataclass(slots=True, kw_only=True)
class Page:
    """A stretch of messages, judged; `last` is the last one looked at."""

    last: str
    due: list[Old] = field(default_factory=list)
    held: list[Old] = field(default_factory=list)
    passed: list[Old] = field(default_factory=list)
    bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """What a stage walks: messages of one period, or, where it is None, those that were passed over before."""

    stage: Stage
    period: timedelta | None = None

    @property
    def seconds(self) -> int:
        """The period as the tables hold it."""
        return -1 if self.period is None else self.period // timedelta(seconds=1)

    def of(self, periods: Periods) -> timedelta:
        """Give the period that counts at this stage."""
        return periods.content if self.stage == "content" else periods.record


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: whose turn it is, its time, its schedule with a digest of it, and the archives' folder."""

    me: str
    now: datetime
    schedule: Schedule
    folder: Path

    @property
    def under(self) -> str:
        """Digest the schedule: under another one, every message is looked at again."""
        return hashlib.sha256(json.dumps(asdict(self.schedule), sort_keys=True, default=str).encode()).hexdigest()


class Retention:
    """Archives and purges; every method raises Unavailable where the database is away."""

    def __init__(self, database: Database, payloads: Payloads, *, entropy: Entropy) -> None:
        self._database = database
        self._payloads = payloads
        self._entropy = entropy

    def run(self, schedule: Schedule, *, folder: Path) -> Generator[Done, None, None]:
        """Do what is due, step by step; whoever asks for the steps sets the pace, and may stop at any of them.

        Raises Conflict where another run is under way, Unavailable where an archive cannot be written: then nothing of its step is purged.
        """
        run = self._begin(schedule, folder)
        try:
            self._remove_half_made()
            self._remove_given_up()
            for walk in _walks(schedule, "content"):
                yield from self._walk(run, walk)
            self._database.commit(lambda tx: _forget_words(tx, run))
            yield from self._expire(run)  # before the records that find what is in them
            for walk in _walks(schedule, "record"):
                yield from self._walk(run, walk)
        finally:
            self._database.commit(lambda tx: tx.changed(sql.END_TURN, me=run.me, now=to_micros(tx.now())))

    def preview(self, schedule: Schedule) -> Preview:
        """Say what a run would do now; changes nothing."""
        run = Run(me="", now=self._database.read(lambda tx: tx.now()), schedule=schedule, folder=Path())
        seen = Preview()
        for walk in (*_walks(schedule, "content"), *_walks(schedule, "record")):
            for page in self._pages(run, walk, "") if walk.period is not None else ():
                for counter, found in ((seen.due, page.due), (seen.held, page.held), (seen.open, page.passed)):
                    counter.update((walk.stage, old.procedure) for old in found)
                seen.bytes += page.bytes
        seen.archives = len(self._database.read(lambda tx: tx.rows(sql.EXPIRED, now=to_micros(run.now))))
        return seen

    # --- walking ---------------------------------------------------------------------------------------------------

    def _begin(self, schedule: Schedule, folder: Path) -> Run:
        me = self._entropy(12).hex()

        def work(tx: Tx) -> datetime:
            tx.changed(sql.FIRST_TURN)
            if not tx.changed(sql.TAKE_TURN, me=me, now=to_micros(tx.now()), lease=to_micros(tx.now() + TURN)):
                raise _not_our_turn()
            return tx.now()

        return Run(me=me, now=self._database.commit(work), schedule=schedule, folder=folder.absolute())

    def _walk(self, run: Run, walk: Walk) -> Iterator[Done]:
        """Settle every page that has something due; the place that was reached is noted with it, and at the end."""
        after = self._database.commit(lambda tx: _mark(tx, run, walk))
        looked, last = 0, after
        for page in self._pages(run, walk, after):
            looked, last = looked + 1, page.last
            if page.due or page.passed:
                looked = 0
                done = self._settle(run, walk, page)
                yield from [done] if done.messages else []
            elif looked % LOOKS == 0:
                self._note(run, walk, last)
        if looked:
            self._note(run, walk, last)

    def _pages(self, run: Run, walk: Walk, after: str) -> Iterator[Page]:
        while True:
            page = self._database.read(lambda tx, start=after: _page(tx, run, walk, start))  # type: ignore[misc]
            if page is None:
                return
            yield page
            after = page.last

    def _note(self, run: Run, walk: Walk, last: str, *, passed: Iterable[Old] = ()) -> None:
        def work(tx: Tx) -> None:
            _keep_turn(tx, run)
            for old in passed:
                tx.changed(sql.PASS_OVER, stage=walk.stage, message=old.id)
            _set_mark(tx, run, walk, last)

        self._database.commit(work)

    # --- one step --------------------------------------------------------------------------------------------------

    def _settle(self, run: Run, walk: Walk, page: Page) -> Done:
        """Archive and purge what is due of a page, in short commits; the last of them notes how far the walk came."""
        loaded = self._loaded(page.due) if walk.stage == "content" else {}
        archive, digest = self._archived(run, [old for old in page.due if old.archived and old.id in loaded], loaded)
        shares = [page.due[at : at + SHARE] for at in range(0, len(page.due), SHARE)]
        went = 0
        for share in shares:

            def work(tx: Tx, share: Sequence[Old] = share) -> int:
                _keep_turn(tx, run)
                if archive and share is shares[0]:
                    _end_archive(tx, archive, digest)
                return self._let_go(tx, walk, share, loaded, archive=archive)

            went += self._database.commit(work)
        self._note(run, walk, page.last, passed=page.passed)
        return Done(stage=walk.stage, messages=went, bytes=page.bytes, archive=archive)

    def _let_go(self, tx: Tx, walk: Walk, share: Iterable[Old], loaded: Mapping[str, Loaded], *, archive: str) -> int:
        """Purge or forget what is still due of a share; what is not any more is passed over. Says how many went."""
        holds, now, went = in_force(tx), tx.now(), 0
        for old in share:
            known = loaded.get(old.id)
            due = _still_due(tx, old, holds, walk.stage)  # which holds message and deliveries until the commit
            if not (due and (walk.stage == "record" or (known and complete(tx, known)))):
                tx.changed(sql.PASS_OVER, stage=walk.stage, message=old.id)
                continue
            if known:
                purge(tx, known, dossier=old.dossier, archive=archive, now=now)
            else:
                forget(tx, old.id, dossier=old.dossier, now=now)
            tx.changed(sql.PASS_NO_MORE, of=walk.stage, gone=old.id)
            went += 1
        return went

    def _loaded(self, due: Iterable[Old]) -> dict[str, Loaded]:
        """Read what is about to go; what cannot be decrypted stays, for its key may come back."""
        loaded = {}
        for old in due:
            try:
                loaded[old.id] = self._database.read(
                    lambda tx, each=old: load(tx, self._payloads, each.id, archived=each.archived)  # type: ignore[misc]
                )
            except Unavailable as error:
                if not error.problems[0].text.startswith("cipher."):
                    raise
        return loaded

    def _archived(self, run: Run, messages: Sequence[Old], loaded: Mapping[str, Loaded]) -> tuple[str, str]:
        """Write an archive of what is to be archived, whole on disk; gives its id and digest, both empty where there is nothing.

        Its row is there before the file, so that a file that is half of a step is known and removed by the next run.
        """
        kept = [each for old in messages if (each := loaded[old.id].kept)]
        if not kept:
            return "", ""
        archive = uuid7(run.now, self._entropy(10))
        path = archive_path(run.folder, archive, at=run.now)
        data, key = seal(archive, pack(archive, kept, at=run.now), cipher=self._payloads.cipher)
        until = _later(run.now, max(old.periods.archive for old in messages))
        row = {"id": archive, "path": str(path), "made_at": to_micros(run.now), "keep_until": to_micros(until), "key": key}
        self._database.commit(lambda tx: tx.changed(sql.BEGIN_ARCHIVE, **row, messages=len(kept), size=len(data)))
        write_archive(path, data)
        return archive, hashlib.sha256(data).hexdigest()

    # --- archives that end -----------------------------------------------------------------------------------------

    def _remove_half_made(self) -> None:
        """Remove archives of steps that were never made: what they hold is still in the database."""
        for archive, path in self._database.read(lambda tx: tx.rows(sql.HALF_MADE)):
            if remove_archive(Path(path)):
                self._database.commit(lambda tx, gone=archive: tx.changed(sql.FORGET_ARCHIVE, archived=gone))  # type: ignore[misc]

    def _expire(self, run: Run) -> Iterator[Done]:
        """Remove archives whose time is over, unless a hold covers something in them or their folder cannot be reached.

        That one goes is decided in a commit, for which whoever places a hold waits; then its file goes.
        """
        for archive, path in self._database.read(lambda tx: tx.rows(sql.EXPIRED, now=to_micros(run.now))):
            if reachable(Path(path)) and self._database.commit(partial(_give_up, run=run, archive=archive)):
                self._remove_given_up()
                yield Done(stage="archive", archive=archive)

    def _remove_given_up(self) -> None:
        """Remove the files of archives that were given up, those of a run that died or could not reach them too."""
        for archive, path in self._database.read(lambda tx: tx.rows(sql.GIVEN_UP)):
            if remove_archive(Path(path)):
                self._database.commit(lambda tx, gone=archive: tx.changed(sql.NOTE_GONE, archived=gone))  # type: ignore[misc]


# --- looking at messages ---------------------------------------------------------------------------------------------


def _walks(schedule: Schedule, stage: Stage) -> Iterator[Walk]:
    """Name what a stage walks: first what was passed over, then each period."""
    yield Walk(stage=stage)
    yield from (Walk(stage=stage, period=period) for period in sorted({Walk(stage=stage).of(periods) for periods in _known(schedule)}))


def _known(schedule: Schedule) -> list[Periods]:
    return [*schedule.procedures.values(), *schedule.parties.values(), *([schedule.otherwise] if schedule.otherwise else [])]


def _page(tx: Tx, run: Run, walk: Walk, after: str) -> Page | None:
    """Read and judge a stretch; it ends early where it holds much content. None where there is nothing more."""
    if walk.period is None:
        rows = tx.rows(sql.PASSED_OVER[walk.stage], stage=walk.stage, after=after, rows=BATCH)
        stretches = [(row[0], row[0]) for row in rows]
    else:
        rows = tx.rows(sql.OLD[walk.stage], after=after, before=_cutoff(run.now, walk.period), rows=BATCH)
        stretches = [(rows[0][0], rows[-1][0])] if rows else []
    receivers, unended = _receivers(tx, stretches)
    holds, page = in_force(tx), Page(last=after)
    for row in rows:
        old = _old(row, run.schedule, receivers=receivers[row[0]], ended=row[0] not in unended, stage=walk.stage)
        page.last = row[0]
        if not _mine(old, run, walk):
            continue
        (page.held if _held(holds, old) else page.due if old.ready else page.passed).append(old)
        page.bytes += _size(tx, old) if walk.stage == "content" and old in page.due[-1:] else 0
        if page.bytes >= BATCH_BYTES:
            break
    return page if rows else None


def _old(row: tuple[Any, ...], schedule: Schedule, *, receivers: set[str], ended: bool, stage: Stage) -> Old:
    message, _, procedure, sender, reference, previous, year, about, archive, purged = row
    parties = frozenset(receivers | ({sender} if sender else set()))
    own = f"{procedure}/{reference}/{year}"
    earlier = _earlier(about, previous, year, procedure) if stage == "content" else about
    return Old(
        id=message,
        procedure=procedure or "",
        parties=parties,
        dossiers=tuple(dict.fromkeys(name for name in (earlier, own if reference else None) if name)),
        periods=schedule.of(procedure or "", parties) or NEVER,
        ready=ended and (stage == "content" or (purged is not None and archive is None)),
    )


def _earlier(header: str | None, previous: str | None, year: str | None, procedure: str | None) -> str | None:
    """Name the dossier that a message continues; its year stands in the header alone."""
    if not previous:
        return None
    subject = json.loads(header)["subject"] if header else {}
    return f"{procedure}/{previous}/{subject.get('previous_year') or year}"


def _receivers(tx: Tx, stretches: Iterable[tuple[str, str]]) -> tuple[Mapping[str, set[str]], set[str]]:
    """Read who gets the messages of some stretches, and which of them have a delivery that has not ended."""
    parties: defaultdict[str, set[str]] = defaultdict(set)
    unended = set()
    for first, last in stretches:
        for message, party, still_open in tx.rows(sql.RECEIVERS, first=first, last=last):
            parties[message].add(party)
            unended |= {message} if still_open else set()
    return parties, unended


def _mine(old: Old, run: Run, walk: Walk) -> bool:
    """Say whether a message belongs to this walk: of its period; of those passed over, any whose period has ended."""
    period = walk.of(old.periods)
    return old.id < _cutoff(run.now, period) if walk.period is None else period == walk.period


def _held(holds: InForce, old: Old) -> bool:
    return holds.cover(message=old.id, dossiers=old.dossiers, parties=old.parties, procedure=old.procedure)


def _held_in(tx: Tx, run: Run, archive: str) -> bool:
    """Say whether a hold covers anything in an archive."""
    holds = in_force(tx)
    for row in tx.rows(sql.HELD_IN, archived=archive):
        receivers, _ = _receivers(tx, [(row[0], row[0])])
        if _held(holds, _old(row, run.schedule, receivers=receivers[row[0]], ended=True, stage="record")):
            return True
    return False


def _give_up(tx: Tx, *, run: Run, archive: str) -> bool:
    """Note that an archive is removed, unless a hold covers anything in it; says whether it may go."""
    _keep_turn(tx, run)
    if _held_in(tx, run, archive) or not tx.changed(sql.NOTE_REMOVED, archived=archive, now=to_micros(tx.now())):
        return False
    write_leaf(tx, Event(kind="archive.removed", at=tx.now(), values={"archive": archive}))
    return True


def _still_due(tx: Tx, old: Old, holds: InForce, stage: Stage) -> bool:
    """Look once more inside the commit: no hold was placed, no delivery was given a new life, nobody else was here."""
    there = tx.rows(sql.STILL_THERE if stage == "content" else sql.RECORDED, id=old.id)
    ended = not any(still_open for _, still_open in tx.rows(sql.LOCKED, message=old.id))
    return ended and bool(there) and not _held(holds, old)


def _size(tx: Tx, old: Old) -> int:
    return sum(size for (size,) in tx.rows(sql.SIZE, message=old.id))


def _cutoff(now: datetime, period: timedelta) -> str:
    """Give the id before which messages are older than a period: ids are in order of time."""
    return uuid7(now - period if period < now - EPOCH else EPOCH, bytes(10))


def _later(now: datetime, period: timedelta) -> datetime:
    return now + min(period, timedelta(days=366 * 1000))


# --- inside a commit -------------------------------------------------------------------------------------------------


def _mark(tx: Tx, run: Run, walk: Walk) -> str:
    """Find how far a walk came, or begin its mark; whoever releases a hold meanwhile takes the mark away, and then none is moved."""
    tx.changed(sql.FIRST_MARK, stage=walk.stage, seconds=walk.seconds, schedule=run.under)
    rows = tx.rows(sql.MARK, stage=walk.stage, seconds=walk.seconds)
    return rows[0][1] if rows and rows[0][0] == run.under else ""


def _set_mark(tx: Tx, run: Run, walk: Walk, last: str) -> None:
    if walk.period is not None:
        tx.changed(sql.MOVE_MARK, of=walk.stage, period=walk.seconds, under=run.under, reached=last)


def _forget_words(tx: Tx, run: Run) -> None:
    """Let staff's words go that stand in jobs older than any content is kept; those at deliveries go with their messages."""
    _keep_turn(tx, run)
    tx.changed(sql.DROP_ORDERED, before=_cutoff(run.now, max((periods.content for periods in _known(run.schedule)), default=timedelta.max)))


def _keep_turn(tx: Tx, run: Run) -> None:
    if not tx.changed(sql.KEEP_TURN, me=run.me, lease=to_micros(tx.now() + TURN)):
        raise _not_our_turn()


def _end_archive(tx: Tx, archive: str, digest: str) -> None:
    tx.changed(sql.END_ARCHIVE, archived=archive, digest=digest)
    write_leaf(tx, Event(kind="archive.made", at=tx.now(), values={"archive": archive, "sha256": digest}))


def _not_our_turn() -> Conflict:
    return Conflict(Code.CONFLICT, Problem(text="retention.under-way"))
