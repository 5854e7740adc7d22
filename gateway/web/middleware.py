"""What every request and every answer passes on its way through the application."""

from collections.abc import Callable, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import Code, GatewayError, NotProven, Problem
from gateway.ports import Watch

from .address import local_host, same_origin
from .bodies import MAX_SMALL, Bodies, Gone, Head, read_head
from .problems import problem_reply
from .replies import defect, refused, send_reply, with_safety

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Doors:
    """Hands a POST to one of the doors' paths over at once: the framework's own cost would be paid for every message."""

    def __init__(self, app: ASGIApp, *, doors: Mapping[str, ASGIApp]) -> None:
        self._app = app
        self._doors = doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to a door or to the rest."""
        door = self._doors.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        await (door or self._app)(scope, receive, send)


class Answers:
    """What every answer has: safety headers, no body after HEAD, a problem document for whatever was raised. The one catch-all."""

    def __init__(self, app: ASGIApp, *, watch: Watch, number: Callable[[], str]) -> None:
        """`number` makes the id under which a defect is told."""
        self._app = app
        self._watch = watch
        self._number = number

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and answer for whatever is raised."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headless = scope["method"] == "HEAD"
        started = False

        async def out(message: Message) -> None:
            nonlocal started
            started = True
            await send({**message, "body": b""} if headless and "body" in message else with_safety(message))

        try:
            await self._app({**scope, "method": "GET"} if headless else scope, receive, out)
        except Gone:
            return
        except GatewayError as refusal:
            refused(refusal, watch=self._watch, door="rest")
            await send_reply(out, problem_reply(refusal))
        except Exception as error:  # noqa: BLE001  # a catch-all: told once, without details
            fault = defect(error, watch=self._watch, door="rest", number=self._number())
            if not started:
                await send_reply(out, problem_reply(fault))


class Requests:
    """What every request is held to: single headers, a body of its size read in its time, and no page elsewhere behind it."""

    def __init__(
        self, app: ASGIApp, *, bodies: Bodies, large: Mapping[str, int], guarded: bool, streamed: frozenset[str] = frozenset()
    ) -> None:
        """`large` gives the paths that take more than a few words; `guarded` where callers prove who they are.

        At `streamed` paths a multipart body is left to the endpoint.
        """
        self._app = app
        self._bodies = bodies
        self._large = large
        self._guarded = guarded
        self._streamed = streamed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or read the body and pass the request on; raises what Answers tells the caller."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        head = read_head(scope)
        self._refuse_pages(scope, head)
        if scope["path"] in self._streamed and head.get(b"content-type", b"").lower().startswith(b"multipart/"):
            await self._app(scope, receive, send)
            return
        with self._bodies.one(limit=self._large.get(scope["path"], MAX_SMALL)) as body:
            whole = await body.read(head, receive)
            await self._app(scope, _once(whole, receive), send)

    def _refuse_pages(self, scope: Scope, head: Head) -> None:
        """A page in a browser may call loopback under its own name or another one; nobody else sends these headers."""
        origin = head.get(b"origin")
        foreign = origin is not None and scope["method"] not in SAFE_METHODS and not same_origin(origin, head.get(b"host"))
        rebound = not self._guarded and scope["path"].startswith("/api/") and not local_host(head.get(b"host"))
        if foreign or rebound:
            raise NotProven(Code.NOT_ALLOWED, Problem(text="web.origin"))


def _once(body: bytes, receive: Receive) -> Receive:
    """Give the body that was read, then whatever comes after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
