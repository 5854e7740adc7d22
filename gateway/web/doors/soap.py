"""The SOAP door: a bare ASGI endpoint that reads a message, takes it in and sends the answer."""

from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.types import Receive, Scope, Send

from gateway.errors import Code, GatewayError, NotProven, NotReadable, Problem
from gateway.model import Refusal, Reply
from gateway.ports import Inbound
from gateway.web.auth import Access
from gateway.web.bodies import MAX_XML, Bodies, Gone, Head, read_head
from gateway.web.crew import Crew
from gateway.web.problems import HEADERS, STATUS_OF_TEXT
from gateway.web.replies import defect, refused, send_reply

from .arrivals import arrival

if TYPE_CHECKING:
    from gateway.hub import Hub

MEDIA_TYPES = frozenset({"text/xml", "application/soap+xml", "application/xml", ""})  # hand-written clients send none


class SoapDoor:
    """Takes POSTed SOAP messages in through one protocol's door; every refusal is a SOAP answer too."""

    def __init__(self, hub: "Hub", *, name: str, access: Access, bodies: Bodies, crew: Crew) -> None:
        """`name` is the door's in the hub."""
        self._hub = hub
        self._name = name
        self._door: Inbound = hub.doors[name]
        self._access = access
        self._bodies = bodies
        self._crew = crew

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read, take in, answer; says nothing to a caller that has left."""
        with self._bodies.one(limit=MAX_XML) as body:
            try:
                head = read_head(scope)
                media_type = _media_type(head)
                content = await body.read(head, receive)
                reply = await self._crew.run(lambda: self._take_in(scope, head, media_type, content))
            except Gone:
                return
            except GatewayError as refusal:
                refused(refusal, watch=self._hub.watch, door=self._name)
                reply = self._refuse(scope, refusal)
            except Exception as error:  # noqa: BLE001  # a catch-all: told once, without details
                reply = self._refuse(scope, defect(error, watch=self._hub.watch, door=self._name, number=self._hub.new_id()))
        await send_reply(send, reply)

    def _take_in(self, scope: Scope, head: Head, media_type: str, content: bytes) -> Reply:
        channel = self._access.channel(scope, head)
        came = arrival(self._hub, scope, door=self._name, channel=channel, media_type=media_type, body=content)
        return self._hub.intake.receive(came, self._door)

    def _refuse(self, scope: Scope, error: GatewayError) -> Reply:
        """Say in SOAP what is wrong with the request; nothing was read that could be kept."""
        media_type = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
        spoken = "1.2" if b"soap+xml" in media_type.lower() else "1.1"
        problems = tuple(replace(p, values={**p.values, "soap": spoken}) for p in error.problems)
        refusal = Refusal(message=self._hub.new_id(), refused_at=self._hub.clock(), code=error.code, problems=problems)
        reply = self._door.answer(None, refusal)
        status = STATUS_OF_TEXT.get(problems[0].text, reply.status)
        return replace(reply, status=status, headers={**reply.headers, **HEADERS.get(status, {})})


def _media_type(head: Head) -> str:
    """Give the media type as it came; raises NotReadable for one that no SOAP message has, NotProven for a page's request."""
    if b"origin" in head:  # only browsers send it, and a message never comes from a page
        raise NotProven(Code.NOT_ALLOWED, Problem(text="web.origin"))
    media_type = head.get(b"content-type", b"").decode("latin-1")
    if media_type.partition(";")[0].strip().lower() not in MEDIA_TYPES:
        raise NotReadable(Code.NOT_XML, Problem(text="web.media-type", values={"accepted": "text/xml, application/soap+xml"}))
    return media_type
