"""The threads in which the doors run the synchronous story.

An executor costs two to three times as much for each message: it makes a second future, a lock and a chain of callbacks. Here a
thread takes the work from a queue and tells the event loop directly.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

from gateway.errors import Code, Problem, Unavailable

T = TypeVar("T")
Job = tuple[Callable[[], object], asyncio.AbstractEventLoop, "asyncio.Future[object]"]

MAX_WAITING = 256  # works taken but not finished; a partner's pool of connections is an order smaller


class Crew:
    """A bounded number of threads with a bounded queue; they start with the first work. Called from one event loop."""

    def __init__(self, threads: int, *, waiting: int = MAX_WAITING) -> None:
        self._size = threads
        self._threads: list[threading.Thread] = []
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._waiting = waiting
        self._taken = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Run work in a thread; raises what it raises, and Unavailable where too many wait already."""
        if self._taken >= self._waiting:
            raise Unavailable(Code.UNAVAILABLE, Problem(text="web.busy"))
        if not self._threads:
            self._start()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[object] = loop.create_future()
        self._taken += 1
        self._jobs.put((work, loop, done))
        try:
            return await done  # type: ignore[return-value]  # the queue holds works of every type
        finally:
            self._taken -= 1

    def close(self, *, seconds: float = 10.0) -> None:
        """Let the threads finish what they hold and end."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(seconds)
        self._threads = []

    def _start(self) -> None:
        self._threads = [threading.Thread(target=self._work, name=f"door-{n}", daemon=True) for n in range(self._size)]
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        while job := self._jobs.get():
            work, loop, done = job
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001  # whatever it is belongs to the caller, not to this thread
                loop.call_soon_threadsafe(_fail, done, error)
            else:
                loop.call_soon_threadsafe(_finish, done, result)


def _finish(done: "asyncio.Future[object]", result: object) -> None:
    if not done.done():  # cancelled by a forced shutdown
        done.set_result(result)


def _fail(done: "asyncio.Future[object]", error: BaseException) -> None:
    if not done.done():
        done.set_exception(error)
