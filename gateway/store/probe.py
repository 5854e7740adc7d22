"""Whether a database takes writes: reading goes on for long after the disk is full."""

import time
from collections.abc import Callable
from threading import Lock

from sqlalchemy import bindparam, delete, insert

from gateway.errors import Problem, Unavailable
from gateway.ports import Database, Entropy, Tx

from .sharing import away
from .tables import DOSSIERS

FRESH = 1.0  # seconds that an answer stands: whoever asks often costs no more than a commit a second
PATIENCE = 2.0  # seconds that one asker waits for the look of another

# A dossier of a name that nobody else can have comes and goes in one commit: no two processes wait for each other's row.
_PUT = insert(DOSSIERS).values(id=bindparam("name"), state=None, message="", updated_at=0)
_TAKE = delete(DOSSIERS).where(DOSSIERS.c.id == bindparam("name"))


class Probe:
    """Looks whether a database takes writes; `problems` may be called from any thread."""

    def __init__(self, database: Database, *, entropy: Entropy, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._entropy = entropy
        self._elapsed = elapsed
        self._looking = Lock()
        self._looked = -FRESH
        self._found: tuple[Problem, ...] = ()

    def problems(self) -> tuple[Problem, ...]:
        """Say why nothing can be written; empty where it can."""
        if not self._looking.acquire(timeout=PATIENCE):
            return away("busy").problems  # whoever looks has been waiting for the database all this time
        try:
            if self._elapsed() - self._looked >= FRESH:
                self._found = self._look()
                self._looked = self._elapsed()
            return self._found
        finally:
            self._looking.release()

    def _look(self) -> tuple[Problem, ...]:
        name = f"probe/{self._entropy(12).hex()}"
        try:
            self._database.commit(lambda tx: _touch(tx, name))
        except Unavailable as error:
            return error.problems
        return ()


def _touch(tx: Tx, name: str) -> None:
    tx.changed(_PUT, name=name)
    tx.changed(_TAKE, name=name)
