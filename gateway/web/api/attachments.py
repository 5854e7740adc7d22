"""GET /api/v1/messages/{id}/attachments: what came beside a message, and its content as a stream."""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path
from fastapi.responses import StreamingResponse

from gateway.errors import Code, NotValid, Problem
from gateway.model import Attachment, Channel
from gateway.store.viewer import Viewer

from .filters import MessagePath
from .gate import Gate, label
from .messages import record_look, visible
from .responses import refusals
from .turns import Streamed, Turns
from .views import AttachmentList, AttachmentView

if TYPE_CHECKING:
    from gateway.hub import Hub

OPAQUE = "application/octet-stream"
MOST, MOST_OF_ONE = 128, 32  # under way at once, in all and to one caller; each holds some 3 MB
Number = Annotated[int, Path(ge=1, le=1000, description="which one, from 1, as they came")]
_CONTENT: dict[int | str, dict[str, Any]] = {200: {"content": {OPAQUE: {}}, "description": "the bytes as received"}}


def router(hub: "Hub", gate: Gate) -> APIRouter:
    """Show what came beside messages to those with the role "content"; a party that collects fetches its own."""
    routes = APIRouter(prefix="/api/v1", tags=["messages"])
    caller, turns = gate.needs("content", "collector"), Turns(most=MOST, of_one=MOST_OF_ONE, busy=_busy)

    def reader(channel: Annotated[Channel, Depends(caller)]) -> Channel:
        return channel if "content" in channel.roles else gate.belonging(channel)  # who only collects, collects for a party

    @routes.get("/messages/{message}/attachments", responses=refusals(404), summary="A message's attachments")
    def listed(channel: Annotated[Channel, Depends(reader)], message: MessagePath) -> AttachmentList:
        """List what came beside a message, in its order; empty where nothing did. The ledger is told who of the staff looked."""
        beside = of(channel, message)
        if beside:
            record_look(hub, channel, message, "attachments")
        return AttachmentList(items=attachment_views(beside))

    @routes.get(
        "/messages/{message}/attachments/{number}",
        response_class=StreamingResponse,
        responses=refusals(404) | _CONTENT,
        summary="An attachment's content",
    )
    def content(channel: Annotated[Channel, Depends(reader)], message: MessagePath, number: Number) -> StreamingResponse:
        """Give one attachment, byte for byte; where its end cannot be vouched for, the answer breaks off before it.

        The ledger is told who of the staff looked.
        """
        beside = of(channel, message)
        if number > len(beside):
            raise NotValid(Code.NOT_FOUND, Problem(text="web.no-attachment", values={"number": str(number)}))
        with ExitStack() as opened:
            opened.enter_context(turns.one(label(channel)))
            begun = _begun(hub.attachments.read(beside[number - 1]))
            record_look(hub, channel, message, f"attachment-{number}")
            return Streamed(begun, opened.pop_all(), media_type=OPAQUE, headers=_headers(beside[number - 1]))

    def of(channel: Channel, message: str) -> tuple[Attachment, ...]:
        viewer = Viewer(party=channel.party, content=True)
        row, _ = visible(hub, viewer, message)
        return hub.attachments.of(message) if viewer.parts(row) else ()

    return routes


def attachment_views(attachments: tuple[Attachment, ...]) -> list[AttachmentView]:
    """Show attachments, numbered from 1."""
    return [
        AttachmentView(number=n, name=a.name, media_type=a.media_type, size=a.size, sha256=a.sha256)
        for n, a in enumerate(attachments, start=1)
    ]


def _begun(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Read the first chunk before the answer begins, so that what cannot be read is refused in words."""
    return chain([next(chunks)], chunks)


def _headers(attachment: Attachment) -> dict[str, str]:
    return {
        "content-type": attachment.media_type,
        "content-length": str(attachment.size),
        "content-disposition": f"attachment; filename*=UTF-8''{quote(attachment.name, safe='')}",
        "repr-digest": f"sha-256=:{b64encode(bytes.fromhex(attachment.sha256)).decode()}:",  # RFC 9530
    }


def _busy(values: Mapping[str, str]) -> Problem:
    return Problem(text="web.attachments-busy", values=values)
