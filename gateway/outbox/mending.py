"""Staff's orders over one delivery or millions: in bounded batches, resumable by any process, approved by a second person where asked."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Executable

from gateway.audit import Event
from gateway.errors import Code, Conflict, NotProven, NotValid, Problem, StaleClaim
from gateway.lifecycle import State
from gateway.model import DeliveryId, uuid7
from gateway.ports import Database, Entropy, Tx
from gateway.store.leaves import write_leaf
from gateway.store.queries import Page
from gateway.store.times import to_micros

from .acts import Acts, Row, Word, hindrance, read_row
from .orders import APPROVE_WITHIN, JOB_MOVES, Act, Choice, FourEyes, Job, JobState, Order, read_job
from .sql import mending as sql

BATCH = 100  # deliveries in one commit: some milliseconds, because on SQLite whoever records a message waits for it
FEWER: Mapping[Act, int] = {Act.REDIRECT: 50, Act.RETURN: 20}  # acts that write more than one update
STRETCH = 5_000  # positions looked at for one commit, so that a rare choice costs no more than a frequent one
LEASE = timedelta(seconds=30)  # a batch takes a fraction of it; whoever died is succeeded after this
NEWEST = "~"  # sorts after every id


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A job in the hands of one process; `token` guards every batch."""

    job: str
    token: str


class Mending:
    """Takes orders and carries them out; every method may be called from any thread and raises Unavailable where the database is away."""

    def __init__(
        self,
        database: Database,
        acts: Acts,
        *,
        entropy: Entropy,
        four_eyes: FourEyes,
        wake: Callable[[], None] = lambda: None,
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        """`wake` calls whoever delivers, `begin` whoever carries jobs out; both only hurry them."""
        self._database = database
        self._acts = acts
        self._entropy = entropy
        self.four_eyes = four_eyes
        self._wake = wake
        self._begin = begin

    # --- orders ----------------------------------------------------------------------------------------------------

    def count(self, choice: Choice, order: Order | None = None) -> int:
        """Say how many deliveries a choice means now, and whether an order could be carried out; raises NotValid."""
        if order:
            self._acts.check(order)
        choice.check()
        return self._database.read(lambda tx: _count(tx, choice, _last(tx)))

    def foresee(self, order: Order, choice: Choice) -> tuple[int, Mapping[str, int]]:
        """Say how many deliveries an order is for, and how many would be passed over as they stand now, by cause; raises NotValid."""
        self._acts.check(order)
        choice.check()
        standing = self._database.read(lambda tx: _standing(tx, choice, _last(tx)))
        skips: Counter[str] = Counter()
        for state, perhaps_taken, count in standing:
            skips[hindrance(order, State(state), perhaps_taken)] += count
        return skips.total(), {text: count for text, count in skips.items() if text}

    def once(self, order: Order, delivery: DeliveryId, *, by: str) -> Job | None:
        """Do one act now, or propose it where a second person must approve even that; gives the proposal.

        Raises NotValid (unknown, or not to be done so) or Conflict (its state does not allow it).
        """
        self._acts.check(order)
        if self.four_eyes is FourEyes.ALL:
            return self.order(order, Choice(ids=(delivery,)), by=by)

        def work(tx: Tx) -> None:
            self._acts.perform(tx, _one(tx, delivery, sql.HELD_ONE), Word(order=order, by=by))

        self._database.commit(work)
        self._wake()
        return None

    def order(self, order: Order, choice: Choice, *, by: str, repeat_key: str | None = None) -> Job:
        """Make a job of an order, running or proposed; one that is repeated under its key is given back as it stands.

        Raises NotValid where order or choice cannot be meant, Conflict where the key stands for another order.
        """
        self._acts.check(order)
        choice.check()
        if order.accept_duplicate and len(choice.ids) != 1:
            raise NotValid(Code.SCHEMA, Problem(text="mending.duplicate-one"))
        upto = self._database.read(_last)
        total = self._database.read(lambda tx: _count(tx, choice, upto))
        waits = self.four_eyes is not FourEyes.OFF

        def work(tx: Tx) -> Job:
            if repeat_key and (found := tx.rows(sql.REPEATED_JOB, by=by, key=repeat_key)):
                return _repeated(_job(found[0]), order, choice)
            for delivery in choice.ids:
                _one(tx, delivery)  # a name that is not known is a mistake, and nothing is begun
            now = tx.now()
            job = Job(
                id=uuid7(now, self._entropy(10)), state=JobState.PROPOSED if waits else JobState.RUNNING, order=order, choice=choice,
                proposed_by=by, approved_by=None, total=total, done=0, skipped=0, skips={}, reached=0, upto=upto, created_at=now,
                updated_at=now, expires_at=now + APPROVE_WITHIN if waits else None, repeat_key=repeat_key,
            )  # fmt: skip
            tx.changed(sql.INSERT_JOB, **job.row())
            _tell(tx, "job.proposed" if waits else "job.started", job, by=by, choice=_told(choice), total=str(total))
            return job

        ordered = self._database.commit(work)
        self._begin()
        return ordered

    # --- jobs ------------------------------------------------------------------------------------------------------

    def job(self, job: str) -> Job:
        """Find a job, of a proposal with the number of deliveries it means now; raises NotValid where there is none."""

        def read(tx: Tx) -> Job:
            found = _found(tx, job)
            return replace(found, total=_count(tx, found.choice, found.upto)) if found.state is JobState.PROPOSED else found

        return self._database.read(read)

    def jobs(self, *, state: JobState | None = None, before: str = NEWEST, limit: int = 50) -> Page[Job]:
        """List jobs, newest first."""
        statement, values = (sql.JOBS_BEFORE, {}) if state is None else (sql.JOBS_IN_STATE, {"state": state.value})
        rows = self._database.read(lambda tx: tx.rows(statement, before=before, rows=limit + 1, **values))
        items = tuple(map(_job, rows[:limit]))
        return Page(items=items, next_cursor=items[-1].id if len(rows) > limit else None)

    def approve(self, job: str, *, by: str) -> Job:
        """Let a proposal run, for what it means now. Raises NotProven for whoever proposed it, Conflict where it is none or too late."""

        def allow(tx: Tx, found: Job) -> None:
            if found.proposed_by == by:
                raise NotProven(Code.NOT_ALLOWED, Problem(text="mending.own-proposal", values={"job": job}))
            if found.expires_at is not None and found.expires_at <= tx.now():
                raise Conflict(Code.CONFLICT, Problem(text="mending.expired", values={"job": job}))

        total = self.job(job).total
        return self._move_job(job, JobState.RUNNING, by=by, kind="job.approved", only=JobState.PROPOSED, allow=allow, total=total)

    def pause(self, job: str, *, by: str) -> Job:
        """Let a job rest after the batch under way; raises Conflict where it does not run."""
        return self._move_job(job, JobState.PAUSED, by=by, kind="job.paused")

    def resume(self, job: str, *, by: str) -> Job:
        """Let a paused job go on; raises Conflict where it is not paused."""
        return self._move_job(job, JobState.RUNNING, by=by, kind="job.resumed", only=JobState.PAUSED)

    def stop(self, job: str, *, by: str) -> Job:
        """End a job; what it did stays done. Raises Conflict where it has ended."""
        return self._move_job(job, JobState.CANCELLED, by=by, kind="job.cancelled")

    def _move_job(
        self,
        job: str,
        to: JobState,
        *,
        by: str,
        kind: str,
        only: JobState | None = None,
        allow: Callable[[Tx, Job], None] = lambda _tx, _job: None,
        total: int | None = None,
    ) -> Job:
        def work(tx: Tx) -> Job:
            found = _found(tx, job)
            if to not in JOB_MOVES[found.state] or only not in (None, found.state):
                raise _job_state(found, to)
            allow(tx, found)
            approver = by if kind == "job.approved" else None
            values = {"from": found.state.value, "to": to.value, "approver": approver, "counted": total}
            if not tx.changed(sql.MOVE_JOB, job=job, now=to_micros(tx.now()), **values):
                raise _job_state(found, to)
            _tell(tx, kind, found, by=by, done=str(found.done))
            return _found(tx, job)

        moved = self._database.commit(work)
        self._begin()
        return moved

    # --- carrying them out -----------------------------------------------------------------------------------------

    def take(self, job: str | None = None) -> Hold | None:
        """Take a running job that nobody holds, the oldest unless one is named; ends proposals nobody approved. None: nothing to do."""
        token = self._entropy(12).hex()

        def waiting(tx: Tx) -> tuple[list[Any], list[Any]]:
            now = to_micros(tx.now())
            return tx.rows(sql.FREE_JOB, now=now), tx.rows(sql.OVERDUE, now=now)

        def work(tx: Tx) -> Hold | None:
            free, overdue = waiting(tx)
            _expire(tx, map(_job, overdue))
            chosen = job or (free[0][0] if free else None)
            now = tx.now()
            taken = chosen and tx.changed(sql.TAKE_JOB, job=chosen, new_token=token, lease=to_micros(now + LEASE), now=to_micros(now))
            return Hold(job=chosen, token=token) if chosen and taken else None

        return self._database.commit(work) if any(self._database.read(waiting)) else None

    def step(self, hold: Hold) -> Job:
        """Do one batch and count it, in one commit; gives the job as it then stands.

        Raises StaleClaim where the job was paused, ended, or taken over: the batch did not happen.
        """

        def work(tx: Tx) -> Job:
            now = tx.now()
            if not tx.changed(sql.HOLD_JOB, job=hold.job, held=hold.token, lease=to_micros(now + LEASE), now=to_micros(now)):
                raise StaleClaim(Code.CONFLICT, Problem(text="outbox.stale", values={"delivery": hold.job}))
            before = _found(tx, hold.job)
            rows, reached = _batch(tx, before)
            skips = self._perform(tx, rows, before)
            after = _advanced(before, rows=len(rows), skips=skips, reached=reached)
            progress = {f"new_{name}": after.row()[name] for name in ("state", "reached", "done", "skipped", "skips")}
            tx.changed(sql.ADVANCE_JOB, job=hold.job, held=hold.token, **progress)
            if after.state is JobState.DONE:
                tx.changed(sql.LEAVE_JOB, job=hold.job, held=hold.token)
                _tell(tx, "job.finished", after, by=after.proposed_by, done=str(after.done), skipped=str(after.skipped))
            return after

        after = self._database.commit(work)
        self._wake()
        return after

    def leave(self, hold: Hold) -> None:
        """Give a job back, for another process to go on with it at once."""
        self._database.commit(lambda tx: tx.changed(sql.LEAVE_JOB, job=hold.job, held=hold.token))

    def _perform(self, tx: Tx, rows: Iterable[Row], job: Job) -> Mapping[str, int]:
        """Do the act to each; what cannot be done is passed over, and counted by its cause."""
        word = Word(order=job.order, by=job.proposed_by, job=job.id)
        skips: Counter[str] = Counter()
        for row in rows:
            try:
                self._acts.perform(tx, row, word)
            except (Conflict, NotValid) as refused:
                skips[refused.problems[0].text] += 1
        return skips


def _batch(tx: Tx, job: Job) -> tuple[list[Row], int]:
    """Choose the next deliveries of a job, and say how far that came."""
    if job.choice.ids:
        named = (row for delivery in job.choice.ids for row in map(read_row, tx.rows(sql.HELD_ONE, id=delivery)))
        return sorted(named, key=lambda row: row.position), job.upto
    conditions = job.choice.conditions()
    last = min(job.reached + STRETCH, job.upto)
    most = FEWER.get(job.order.act, BATCH)
    rows = tx.rows(sql.chosen(frozenset(conditions)), after=job.reached, last=last, rows=most, **conditions)
    full = len(rows) == most
    return list(map(read_row, rows)), rows[-1][0] if full else last


def _advanced(job: Job, *, rows: int, skips: Mapping[str, int], reached: int) -> Job:
    skipped = sum(skips.values())
    return replace(
        job,
        state=JobState.DONE if reached >= job.upto else job.state,
        reached=reached,
        done=job.done + rows - skipped,
        skipped=job.skipped + skipped,
        skips=dict(Counter(job.skips) + Counter(skips)),
    )


def _expire(tx: Tx, overdue: Iterable[Job]) -> None:
    for job in overdue:
        values = {"from": JobState.PROPOSED.value, "to": JobState.EXPIRED.value, "approver": None, "counted": None}
        if tx.changed(sql.MOVE_JOB, job=job.id, now=to_micros(tx.now()), **values):
            _tell(tx, "job.expired", job)


def _count(tx: Tx, choice: Choice, last: int) -> int:
    return len(choice.ids) or sum(count for *_, count in _standing(tx, choice, last))


def _standing(tx: Tx, choice: Choice, last: int) -> list[tuple[str, int, int]]:
    """Count the deliveries of a choice by their state, and by whether the party may have them."""
    if choice.ids:
        return [(row.state, row.perhaps_taken, 1) for row in (_one(tx, delivery) for delivery in choice.ids)]
    conditions = choice.conditions()
    return [(state, taken, count) for state, taken, count in tx.rows(sql.count(frozenset(conditions)), last=last, **conditions)]


def _last(tx: Tx) -> int:
    ((last,),) = tx.rows(sql.LAST)
    return last or 0


def _one(tx: Tx, delivery: str, statement: Executable = sql.CHOSEN_ONE) -> Row:
    found = tx.rows(statement, id=delivery)
    if not found:
        raise NotValid(Code.NOT_FOUND, Problem(text="outbox.no-delivery", values={"delivery": delivery}))
    return read_row(found[0])


def _found(tx: Tx, job: str) -> Job:
    found = tx.rows(sql.JOB, id=job)
    if not found:
        raise NotValid(Code.NOT_FOUND, Problem(text="mending.no-job", values={"job": job}))
    return _job(found[0])


def _job(row: tuple[Any, ...]) -> Job:
    return read_job(dict(zip(sql.JOB_COLUMNS, row, strict=True)))


def _repeated(job: Job, order: Order, choice: Choice) -> Job:
    if (job.order, job.choice) != (order, choice):
        raise Conflict(Code.CONFLICT, Problem(text="mending.repeat-key"))
    return job


def _told(choice: Choice) -> str:
    """Tell the ledger what was chosen: conditions in full, named deliveries by their number, for each has an entry of its own."""
    return json.dumps({"ids": len(choice.ids)}) if choice.ids else choice.written()


def _tell(tx: Tx, kind: str, job: Job, **values: str) -> None:
    told: dict[str, str] = {"job": job.id, "act": job.order.act.value, **values}
    write_leaf(tx, Event(kind=kind, at=tx.now(), values=told))


def _job_state(job: Job, to: JobState) -> Conflict:
    return Conflict(Code.CONFLICT, Problem(text="mending.job-state", values={"job": job.id, "state": job.state, "to": to}))
