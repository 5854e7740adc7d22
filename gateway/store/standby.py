"""A standby that is read first, so that searches and counts cost the primary nothing; while it is away the primary answers them."""

import time
from collections.abc import Callable
from typing import TypeVar

from gateway.errors import Unavailable
from gateway.ports import Database, Tx

T = TypeVar("T")

AWAY_SECONDS = 10.0  # how long a standby that did not answer is left alone
SLOW = frozenset({"busy", "QueryCanceled"})  # it is there: what is too much for it would be too much for the primary too


class StandbyFirst:
    """Reads from a standby where that answers, and from the primary otherwise; `close` leaves the primary to its owner."""

    def __init__(self, standby: Database, primary: Database, *, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._standby = standby
        self._primary = primary
        self._elapsed = elapsed
        self._again_at = elapsed()
        self.kind = primary.kind
        self.commit = primary.commit
        self.close = standby.close

    def read(self, work: Callable[[Tx], T]) -> T:
        """Run work that only reads, on data that may be a moment old; raises Unavailable where neither answers, or it takes too long."""
        if self._elapsed() < self._again_at:
            return self._primary.read(work)
        try:
            return self._standby.read(work)
        except Unavailable as error:
            if error.problems[0].values.get("cause") in SLOW:
                raise
            self._again_at = self._elapsed() + AWAY_SECONDS
            return self._primary.read(work)
