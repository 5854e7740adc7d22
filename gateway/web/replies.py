"""Sends a Reply over ASGI, with the headers that every answer has."""

import re
import traceback
from collections.abc import Iterable, Mapping

from starlette.responses import Response
from starlette.types import Message, Send

from gateway.errors import Code, GatewayError, Problem
from gateway.model import Reply
from gateway.ports import Watch

# Answers are for their caller alone: nothing sniffs, caches, frames or runs them.
SAFETY: Mapping[bytes, bytes] = {
    b"x-content-type-options": b"nosniff",
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
}
_FRAME = re.compile(r'File "[^"]*/([^"/]+/[^"/]+)", line (\d+), in (\S+)')


async def send_reply(send: Send, reply: Reply) -> None:
    """Send one whole answer."""
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()]
    headers += [(b"content-length", b"%d" % len(reply.body)), *SAFETY.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def with_safety(message: Message) -> Message:
    """Add the headers every answer has to the start of one, where it does not carry its own."""
    if message["type"] != "http.response.start":
        return message
    given: Iterable[tuple[bytes, bytes]] = message.get("headers", ())
    names = {name.lower() for name, _ in given}
    return {**message, "headers": [*given, *((name, value) for name, value in SAFETY.items() if name not in names)]}


def as_response(reply: Reply) -> Response:
    """Turn a Reply into what an endpoint returns."""
    return Response(reply.body, status_code=reply.status, headers=dict(reply.headers))


def defect(error: Exception, *, watch: Watch, door: str, number: str) -> GatewayError:
    """Tell a defect once, under a number, and make the refusal that tells the caller the number and nothing else.

    What is told names the exception's type and where it rose, never its words: they may quote a document.
    """
    watch("web.defect", {"door": door, "number": number, "error": type(error).__qualname__, "at": _places(error)})
    return GatewayError(Code.UNAVAILABLE, Problem(text="web.bug", values={"number": number}))


def refused(error: GatewayError, *, watch: Watch, door: str) -> None:
    """Tell that a request was refused before there was a message to keep."""
    watch("web.refused", {"door": door, "code": error.problems[0].text if error.problems else error.code.value})


def _places(error: Exception) -> list[str]:
    found = (_FRAME.search(line) for line in traceback.format_tb(error.__traceback__))
    return [f"{match[1]}:{match[2]} {match[3]}" for match in found if match]
