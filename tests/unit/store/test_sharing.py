"""Who commits for whom: works that wait share the next commit, whoever makes it."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.errors import Code, Problem, Unavailable
from gateway.store.sharing import APART, MAX_SHARED, Sharing, Work

WAIT = 10


class Recorder:
    """Commits nothing; keeps which writer had which batch, and holds commits up until told."""

    def __init__(self, *, writers: int) -> None:
        self.batches: list[tuple[int, int]] = []
        self.begun = threading.Semaphore(0)
        self.gate = threading.Event()
        self.failing = False  # from the second batch on, after its first work
        self.sharing: Sharing[int] = Sharing(range(writers), self.commit)
        self.results: list[object] = []
        self.threads: list[threading.Thread] = []

    def commit(self, writer: int, batch: Sequence[Work]) -> None:
        self.begun.release()
        assert self.gate.wait(WAIT)
        self.batches.append((writer, len(batch)))
        if len(batch) > 1 and self.failing:
            batch[0].done = True
            raise Unavailable(Code.UNAVAILABLE, Problem(text="store.away"))
        for work in batch:
            work.result = work.run(None)  # type: ignore[arg-type]  # these works ask nothing of a transaction

    def bring(self, count: int, run: Any = lambda _: "done") -> None:
        """Bring works, each by a thread of its own."""

        def caller() -> None:
            try:
                self.results.append(self.sharing.commit(run))
            except Unavailable as error:
                self.results.append(error)

        started = [threading.Thread(target=caller) for _ in range(count)]
        for thread in started:
            thread.start()
        self.threads += started

    def wait_for(self, waiting: int) -> None:
        """Wait until so many works wait."""
        end = time.monotonic() + WAIT
        while len(self.sharing._waiting) < waiting:  # nothing else tells
            assert time.monotonic() < end
            time.sleep(0.001)

    def finish(self) -> None:
        self.gate.set()
        for thread in self.threads:
            thread.join(WAIT)


def test_a_lone_work_is_committed_by_its_own_thread() -> None:
    recorder = Recorder(writers=1)
    recorder.gate.set()

    assert recorder.sharing.commit(lambda _: threading.get_ident()) == threading.get_ident()
    assert recorder.batches == [(0, 1)]


def test_works_that_come_meanwhile_share_the_next_commit() -> None:
    recorder = Recorder(writers=1)
    recorder.bring(1)
    assert recorder.begun.acquire(timeout=WAIT)
    recorder.bring(20)
    recorder.wait_for(20)

    recorder.finish()

    assert recorder.batches == [(0, 1), (0, 20)]
    assert recorder.results == ["done"] * 21


def test_no_commit_is_shared_by_more_than_the_limit() -> None:
    recorder = Recorder(writers=1)
    recorder.bring(1)
    assert recorder.begun.acquire(timeout=WAIT)
    recorder.bring(MAX_SHARED + 5)
    recorder.wait_for(MAX_SHARED + 5)

    recorder.finish()

    assert [size for _, size in recorder.batches] == [1, MAX_SHARED, 5]


def test_a_second_writer_takes_what_waits_where_that_is_much() -> None:
    recorder = Recorder(writers=2)
    recorder.bring(1)
    assert recorder.begun.acquire(timeout=WAIT)
    recorder.bring(APART - 1)
    recorder.wait_for(APART - 1)

    recorder.bring(1)

    assert recorder.begun.acquire(timeout=WAIT)  # while the first still holds
    recorder.finish()
    assert sorted(recorder.batches) == [(0, APART), (1, 1)]


def test_a_second_writer_leaves_a_few_to_the_first() -> None:
    recorder = Recorder(writers=2)
    recorder.bring(1)
    assert recorder.begun.acquire(timeout=WAIT)

    recorder.bring(APART - 1)
    recorder.wait_for(APART - 1)

    recorder.finish()
    assert sorted(size for _, size in recorder.batches) == [1, APART - 1]


def test_whatever_a_commit_raises_is_heard_by_all_whose_work_was_not_committed_before() -> None:
    recorder = Recorder(writers=1)
    recorder.bring(1)
    assert recorder.begun.acquire(timeout=WAIT)
    recorder.failing = True
    recorder.bring(3)
    recorder.wait_for(3)

    recorder.finish()

    assert [isinstance(result, Unavailable) for result in recorder.results].count(True) == 3 - 1


def test_close_waits_for_what_is_under_way_and_refuses_what_comes_later() -> None:
    recorder = Recorder(writers=2)
    recorder.bring(1)
    assert recorder.begun.acquire(timeout=WAIT)
    closed: list[list[int]] = []
    closing = threading.Thread(target=lambda: closed.append(recorder.sharing.close()))
    closing.start()

    recorder.finish()
    closing.join(WAIT)

    assert sorted(closed[0]) == [0, 1]
    assert recorder.sharing.close() == []
    with pytest.raises(Unavailable):
        recorder.sharing.commit(lambda _: None)
