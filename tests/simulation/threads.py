"""Threads, locks, conditions and events as actors of a stage, under the names of `threading`, for the modules that start threads."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self
from unittest.mock import patch

from gateway.outbox import heartbeat, workers

from .stage import Actor, Process, Stage

LATE = 40  # how many times longer than asked the workers' timed waits may last: idle machines are slow, and idle steps show nothing


class _Line:
    """Actors that wait for something."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._waiting: list[Actor] = []

    def wait(self, seconds: float | None) -> bool:
        """Wait to be called, at most so long; says whether it was called."""
        actor = self._stage.current
        self._waiting.append(actor)
        try:
            return not self._stage.sleep(seconds)
        finally:
            with suppress(ValueError):  # called already
                self._waiting.remove(actor)

    def call(self, count: int) -> None:
        for _ in range(min(count, len(self._waiting))):
            self._stage.wake(self._waiting.pop(0))


class _Lock:
    def __init__(self, stage: Stage) -> None:
        self._line = _Line(stage)
        self._held = False

    def __enter__(self) -> bool:
        while self._held:
            self._line.wait(None)
        self._held = True
        return True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._held = False
        self._line.call(1)


class _Condition:
    def __init__(self, stage: Stage, lock: _Lock, late: float) -> None:
        self._stage = stage
        self._late = late
        self._lock = lock
        self._line = _Line(stage)

    def __enter__(self) -> Self:
        self._lock.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lock.__exit__(kind, error, trace)

    def wait(self, timeout: float | None = None) -> bool:
        self._lock.__exit__(None, None, None)
        try:
            return self._line.wait(_stretched(self._stage, timeout, self._late))
        finally:
            self._lock.__enter__()

    def wait_for(self, holds: Callable[[], bool], timeout: float | None = None) -> bool:
        while not (held := holds()) and self.wait(timeout):
            pass
        return held or holds()

    def notify(self, n: int = 1) -> None:
        self._line.call(n)

    def notify_all(self) -> None:
        self._line.call(1_000_000)


class _Event:
    def __init__(self, stage: Stage, late: float) -> None:
        self._stage = stage
        self._late = late
        self._line = _Line(stage)
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        self._line.call(1_000_000)

    def clear(self) -> None:
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self._set:
            self._line.wait(_stretched(self._stage, timeout, self._late))
        return self._set


def _stretched(stage: Stage, seconds: float | None, late: float) -> float | None:
    return None if seconds is None else seconds * stage.rng.uniform(1, late)


class _Thread:
    def __init__(self, threads: "Threads", target: Callable[[], None], name: str) -> None:
        self._threads = threads
        self._target = target
        self._name = name

    def start(self) -> None:
        process = self._threads.process
        self._threads.stage.enter(f"{process.name if process else ''}/{self._name}", self._target, process)


class Threads:
    """Stands in for the module `threading`; whatever starts, starts in `process`."""

    def __init__(self, stage: Stage, *, late: float = 1.0) -> None:
        """Make threads of a stage's actors, whose timed waits last up to `late` times as long as asked."""
        self.stage = stage
        self._late = late
        self.process: Process | None = None

    def Thread(self, *, target: Callable[[], None], name: str = "", daemon: bool = False) -> _Thread:  # noqa: ARG002, N802  # as threading has it
        """Make a thread."""
        return _Thread(self, target, name)

    def Lock(self) -> _Lock:  # noqa: N802  # as threading has it
        """Make a lock."""
        return _Lock(self.stage)

    def Condition(self, lock: _Lock | None = None) -> _Condition:  # noqa: N802  # as threading has it
        """Make a condition."""
        return _Condition(self.stage, lock or _Lock(self.stage), self._late)

    def Event(self) -> _Event:  # noqa: N802  # as threading has it
        """Make an event."""
        return _Event(self.stage, self._late)


@contextmanager
def staged(stage: Stage) -> Iterator[Threads]:
    """Let the threads of workers be actors, until the stage is empty; the heart beats in time."""
    threads = Threads(stage, late=LATE)
    with patch.object(workers, "threading", threads), patch.object(heartbeat, "threading", Threads(stage)):
        yield threads
