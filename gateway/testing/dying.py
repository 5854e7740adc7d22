"""Ports that die: whoever calls them meets a death before or after any of their steps."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from gateway.ports import ChunkStore, Database, Tx

T = TypeVar("T")


class Killed(BaseException):
    """The process died here."""


class Dying:
    """Lets so many steps happen, then dies: before the next one, or right after it."""

    def __init__(self, *, steps: int, after: bool) -> None:
        self.left = steps
        self.after = after

    def __call__(self, step: Callable[[], T]) -> T:
        """Make one step, or die of it."""
        self.left -= 1
        if self.left < 0 and not self.after:
            raise Killed
        result = step()
        if self.left < 0:
            raise Killed
        return result


class DyingDatabase:
    """A database whose caller dies before or after a commit."""

    def __init__(self, database: Database, dying: Dying) -> None:
        self._database = database
        self._dying = dying
        self.kind = database.kind

    def commit(self, work: Callable[[Tx], T]) -> T:
        """Commit, or die."""
        return self._dying(lambda: self._database.commit(work))

    def read(self, work: Callable[[Tx], T]) -> T:
        """Read; nobody dies of that."""
        return self._database.read(work)

    def close(self) -> None:
        """Leave it to the owner."""


class DyingStore:
    """A store whose caller dies before or after it changed something."""

    def __init__(self, store: ChunkStore, dying: Dying) -> None:
        self.name = store.name
        self._store = store
        self._dying = dying

    def add(self, upload: str, number: int, sealed: bytes) -> None:
        """Add a chunk, or die."""
        self._dying(lambda: self._store.add(upload, number, sealed))

    def keep(self, upload: str, digest: str) -> None:
        """Keep, or die."""
        self._dying(lambda: self._store.keep(upload, digest))

    def chunks(self, upload: str, digest: str, count: int) -> Iterator[bytes]:
        """Give the chunks."""
        return self._store.chunks(upload, digest, count)

    def remove(self, upload: str, digest: str) -> None:
        """Remove, or die."""
        self._dying(lambda: self._store.remove(upload, digest))
