"""The body of a request, limited in size and time while it is read."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from types import TracebackType
from typing import Self, TypeVar

from starlette.types import Receive, Scope

from gateway.errors import Code, NotReadable, Problem, Unavailable

MAX_XML = 10_000_000  # libxml2's own limit for one text, and what the field's back ends take
MAX_SMALL = 65_536  # every other body is a few words of JSON
BLOCK = 262_144  # bytes of a streamed body that are handed on at once, and that must come within READ_SECONDS
READ_SECONDS = 30.0  # partners themselves give up after 15
MAX_HELD = 268_435_456  # bytes of all bodies in memory at once: what a small machine can spare

T = TypeVar("T")

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
        self.coming: dict[Body, asyncio.Timeout] = {}  # what is being read, and until when

    def one(self, *, limit: int) -> "Body":
        """Open the account of one request's body; its bytes count until the `with` ends."""
        return Body(self, limit)

    def make_room(self) -> None:
        """While too many bytes are held, give up the body that comes slowest for what it holds; one of a few words never."""
        while self.held > self.at_most and (large := [body for body in self.coming if body.held > MAX_SMALL]):
            now = asyncio.get_running_loop().time()
            slowest = max(large, key=lambda body: (now - body.since) / body.held)
            slowest.give_up(self.coming.pop(slowest))


class Body:
    """One body: what it may hold, what it holds."""

    __slots__ = ("_bodies", "_given_up", "_limit", "_size", "held", "since")

    def __init__(self, bodies: Bodies, limit: int) -> None:
        self._bodies = bodies
        self._limit = limit
        self._size = 0
        self._given_up = False
        self.since = 0.0  # by the event loop's clock: when it was last waited for
        self.held = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bodies.held -= self.held

    async def read(self, head: Head, receive: Receive) -> bytes:
        """Read it to its end.

        Raises NotReadable where it is encoded, too large (by its declared length before anything is read, else while reading) or
        too slow, Unavailable where too many bodies are held already, Gone where the caller left.
        """
        self._refuse_early(head)
        return await self._in_time(self._collect(receive))

    async def blocks(self, head: Head, receive: Receive) -> AsyncIterator[bytes]:
        """Give it block by block; whoever takes one says by hold() how much of it stays in memory. Raises what read() raises."""
        self._refuse_early(head)
        more = True
        while more:
            block, more = await self._in_time(self._block(receive))
            yield block
            self.hold(-len(block))

    def hold(self, size: int) -> None:
        """Count bytes that are held, or with a minus are held no more; raises Unavailable where too many bodies are held already."""
        self.held += size
        self._bodies.held += size
        if size > 0 and self._bodies.held > self._bodies.at_most:
            self._bodies.make_room()
            if self._given_up or self._bodies.held > self._bodies.at_most:
                raise self._busy()

    def give_up(self, time: asyncio.Timeout) -> None:
        """Make room for others at once: whoever waits for its bytes is told so."""
        self._given_up = True
        self._bodies.held -= self.held
        self.held = 0
        if not time.expired():
            time.reschedule(0)

    async def _in_time(self, reading: Coroutine[None, None, T]) -> T:
        """Wait for bytes; raises NotReadable where they take too long, Unavailable where others need the room."""
        self.since = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(self.since + self._bodies.seconds) as time:
                self._bodies.coming[self] = time
                found = await reading
        except TimeoutError:
            raise (self._busy() if self._given_up else self._too_slow()) from None
        finally:
            self._bodies.coming.pop(self, None)
        if self._given_up:  # as its last bytes came
            raise self._busy()
        return found

    async def _block(self, receive: Receive) -> tuple[bytes, bool]:
        parts, size, more = [], 0, True
        while more and size < BLOCK:
            part, more = await self._piece(receive)
            parts.append(part)
            size += len(part)
        return b"".join(parts), more

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
        parts, more = [], True
        while more:
            part, more = await self._piece(receive)
            parts.append(part)
        return b"".join(parts)

    async def _piece(self, receive: Receive) -> tuple[bytes, bool]:
        """Take what came, and say whether more will."""
        message = await receive()
        if message["type"] != "http.request":
            raise Gone
        part: bytes = message.get("body", b"")
        self._size += len(part)
        if self._size > self._limit:
            raise self._too_large()
        self.hold(len(part))
        return part, message.get("more_body", False)

    def _busy(self) -> Unavailable:
        return Unavailable(Code.UNAVAILABLE, Problem(text="web.busy"))

    def _too_slow(self) -> NotReadable:
        return NotReadable(Code.LIMIT, Problem(text="web.body-too-slow", values={"seconds": f"{self._bodies.seconds:g}"}))

    def _too_large(self) -> NotReadable:
        return NotReadable(Code.LIMIT, Problem(text="web.body-too-large", values={"limit": f"{self._limit:,}".replace(",", " ")}))
