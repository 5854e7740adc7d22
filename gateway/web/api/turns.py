"""Answers that are large while they last: how many a caller may have under way, whoever reads them slowly on purpose."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from gateway.errors import Code, Problem, Unavailable


class Turns:
    """Counts answers of one kind under way, by caller; called from any thread."""

    def __init__(self, *, most: int, of_one: int, busy: Callable[[Mapping[str, str]], Problem]) -> None:
        """Take how many there may be in all and of one caller, and what one too many is told, with the `limit` of one."""
        self._most = most
        self._of_one = of_one
        self._busy = busy
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def one(self, caller: str) -> Iterator[None]:
        """Let one more be made and sent; raises Unavailable where there are as many as may be."""
        with self._lock:
            if self._taken[caller] >= self._of_one or self._taken.total() >= self._most:
                raise Unavailable(Code.UNAVAILABLE, self._busy({"limit": str(self._of_one)}))
            self._taken[caller] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[caller] -= 1
                self._taken += Counter()  # drops who has none


class Streamed(StreamingResponse):
    """An answer on its way; what was opened for it is closed whether or not the caller stays until its end."""

    def __init__(self, chunks: Iterator[bytes], opened: ExitStack, *, media_type: str, headers: Mapping[str, str]) -> None:
        """Take over what was opened."""
        super().__init__(chunks, media_type=media_type, headers=headers)
        self._opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, then close."""
        with self._opened:
            await super().__call__(scope, receive, send)
