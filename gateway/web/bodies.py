"""The body of a request, limited in size and time while it is read."""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from starlette.types import Receive, Scope

from gateway.errors import Code, NotReadable, Problem, Unavailable

MAX_XML = 10_000_000  # libxml2's own limit for one text, and what the field's back ends take
MAX_SMALL = 65_536  # every other body is a few words of JSON
READ_SECONDS = 30.0  # partners themselves give up after 15
MAX_HELD = 268_435_456  # bytes of all bodies in memory at once: what a small machine can spare

WANTED = frozenset({
    b"authorization", b"content-encoding", b"content-length", b"content-type", b"host", b"idempotency-key", b"origin", b"x-api-key",
})  # fmt: skip
Head = Mapping[bytes, bytes]  # the headers a door looks at, each at most once


class Gone(Exception):
    """The caller left before the request was whole: there is nobody to answer."""


def read_head(scope: Scope) -> Head:
    """Pick the headers the doors look at; raises NotReadable where one of them stands twice."""
    found = [pair for pair in scope["headers"] if pair[0] in WANTED]
    head = dict(found)
    if len(head) != len(found):
        raise NotReadable(Code.SCHEMA, Problem(text="web.header-twice"))
    return head


class Bodies:
    """Bytes of all bodies held in memory; lives in one event loop and needs no lock."""

    def __init__(self, *, at_most: int = MAX_HELD, seconds: float = READ_SECONDS) -> None:
        self.held = 0
        self.at_most = at_most
        self.seconds = seconds

    def one(self, *, limit: int) -> "Body":
        """Open the account of one request's body; its bytes count until the `with` ends."""
        return Body(self, limit)


class Body:
    """One body: what it may hold, what it holds."""

    __slots__ = ("_bodies", "_limit", "_size")

    def __init__(self, bodies: Bodies, limit: int) -> None:
        self._bodies = bodies
        self._limit = limit
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bodies.held -= self._size

    async def read(self, head: Head, receive: Receive) -> bytes:
        """Read it to its end.

        Raises NotReadable where it is encoded, too large (by its declared length before anything is read, else while reading) or
        too slow, Unavailable where too many bodies are held already, Gone where the caller left.
        """
        self._refuse_early(head)
        try:
            async with asyncio.timeout(self._bodies.seconds):
                return await self._collect(receive)
        except TimeoutError:
            raise NotReadable(Code.LIMIT, Problem(text="web.body-too-slow", values={"seconds": f"{self._bodies.seconds:g}"})) from None

    def _refuse_early(self, head: Head) -> None:
        encoding = head.get(b"content-encoding", b"identity")
        if encoding.strip().lower() not in (b"identity", b""):
            raise NotReadable(Code.NOT_XML, Problem(text="web.body-encoded"))
        length = head.get(b"content-length", b"0")
        if not (length.isdigit() and len(length) < 20):  # noqa: PLR2004  # more digits than any size has
            raise NotReadable(Code.SCHEMA, Problem(text="web.content-length"))
        if int(length) > self._limit:
            raise self._too_large()

    async def _collect(self, receive: Receive) -> bytes:
        parts = []
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise Gone
            part = message.get("body", b"")
            self._grow(len(part))
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)

    def _grow(self, size: int) -> None:
        self._size += size
        self._bodies.held += size
        if self._size > self._limit:
            raise self._too_large()
        if self._bodies.held > self._bodies.at_most:
            raise Unavailable(Code.UNAVAILABLE, Problem(text="web.busy"))

    def _too_large(self) -> NotReadable:
        return NotReadable(Code.LIMIT, Problem(text="web.body-too-large", values={"limit": f"{self._limit:,}".replace(",", " ")}))
