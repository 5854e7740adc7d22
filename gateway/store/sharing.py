"""Group commit: concurrent works share commits, and each caller returns when its own work is durable."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from threading import Condition, Lock
from typing import Any, Generic, TypeVar, cast

from gateway.errors import Code, Problem, Unavailable
from gateway.ports import Tx

T = TypeVar("T")
W = TypeVar("W")

APART = 8  # works that wait before a second writer begins beside a busy one: a few apart would cost more than they gain
MAX_SHARED = 64  # works in one commit: enough that a slow disk is shared well, few enough that none waits long


def _held() -> Lock:
    """Make a lock that is already held, so that it can be waited for."""
    lock = Lock()
    lock.acquire()
    return lock


@dataclass(slots=True)
class Work:
    """One caller's work on its way to a commit; `turn` is released when it is done, or when its caller shall commit next."""

    run: Callable[[Tx], Any]
    turn: Lock = field(default_factory=_held)
    writer: Any = None  # handed over by whoever committed before
    done: bool = False  # its commit returned, or failed
    result: Any = None
    failure: BaseException | None = None


class Sharing(Generic[W]):
    """Deals writers out to callers; each writer commits one batch at a time.

    Whoever comes while nobody commits does so at once, by its own thread; whoever comes meanwhile waits, and the first of them
    then commits for all that wait. So a lone caller needs no other thread, and concurrent callers share a commit. Where many
    wait, another writer takes them while the first waits for the disk.
    """

    def __init__(self, writers: Iterable[W], commit: Callable[[W, Sequence[Work]], None]) -> None:
        """Take the writers, and what commits a batch by one: it sets results and failures, and marks what is `done` if it raises."""
        self._free = list(writers)
        self._commit = commit
        self._writers = len(self._free)
        self._waiting: deque[Work] = deque()
        self._closed = False
        self._idle = Condition(Lock())  # guards the above; held for a few instructions only

    def commit(self, run: Callable[[Tx], T]) -> T:
        """Run work and return when it is durable; raises what committing or the work raises, and Unavailable after the close."""
        mine = Work(run=run)
        writer = self._join(mine)
        if writer is None:
            mine.turn.acquire()  # until whoever commits releases it
            writer = mine.writer
        if writer is not None:
            self._commit_for_all(writer, mine)
        if mine.failure is not None:
            raise mine.failure
        return cast("T", mine.result)

    def close(self) -> list[W]:
        """Wait for what is under way, and give the writers back; empty where that was done before."""
        with self._idle:
            first, self._closed = not self._closed, True
            self._idle.wait_for(lambda: len(self._free) == self._writers)
            return self._free if first else []

    def _join(self, work: Work) -> W | None:
        """Give a free writer, or have the work wait for one."""
        with self._idle:
            if self._closed:
                raise away("closed")
            if self._may_begin(1 + len(self._waiting)):
                return self._free.pop()
            self._waiting.append(work)
            return None

    def _may_begin(self, works: int) -> bool:
        """Say whether a commit of so many works may begin now."""
        return bool(self._free) and (len(self._free) == self._writers or works >= APART)

    def _commit_for_all(self, writer: W, mine: Work) -> None:
        """Commit what waits, tell its callers, and let the next one commit if there is any."""
        with self._idle:
            batch = [mine, *(self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_SHARED - 1)))]
        try:
            self._commit(writer, batch)
        except BaseException as error:  # noqa: BLE001  # whatever it is, every caller must hear of it
            for work in batch:
                work.failure = work.failure if work.done else error
        self._hand_over(writer)
        for work in batch:
            work.done = True
            work.turn.release()

    def _hand_over(self, writer: W) -> None:
        with self._idle:
            self._free.append(writer)
            if not self._waiting or not self._may_begin(len(self._waiting)):
                self._idle.notify_all()
                return
            following = self._waiting.popleft()
            following.writer = self._free.pop()
        following.turn.release()


def away(cause: str) -> Unavailable:
    """Say that the database is away, or what it could not do; never with content."""
    return Unavailable(Code.UNAVAILABLE, Problem(text="store.away", values={"cause": cause}))
