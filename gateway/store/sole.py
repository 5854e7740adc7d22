"""Keeps a second serving process away from one SQLite database."""

import fcntl
import os
from pathlib import Path

from gateway.errors import Code, Problem, Unavailable


class Sole:
    """A lock on a file, held by one process until it ends, however it ends."""

    def __init__(self, path: Path) -> None:
        """Take the lock; raises Unavailable where another process holds it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._file)
            raise Unavailable(Code.UNAVAILABLE, Problem(text="store.busy", values={"path": str(path.with_suffix(""))})) from error

    def release(self) -> None:
        """Let the next process in."""
        os.close(self._file)
