"""GET /api/v1/messages: search, one message with its timeline, its content."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Query, Response

from gateway.errors import Code, NotValid, Problem
from gateway.model import Channel
from gateway.store.queries import DeliveryRow, MessageRow
from gateway.store.viewer import Viewer

from .filters import MessageFilters, MessagePath, Part
from .gate import Gate, label, whose
from .responses import refusals
from .views import MessageDetail, MessagePage, message_detail, message_view, purged_at

if TYPE_CHECKING:
    from gateway.hub import Hub

MOST_DELIVERIES = 200  # of one message; real routes have one to three
XML = "application/xml"


def router(hub: "Hub", gate: Gate) -> APIRouter:
    """Show messages to readers and operators, their content to those with the role "content"; store/viewer.py says what of which."""
    routes = APIRouter(prefix="/api/v1", tags=["messages"])
    reader, content = gate.needs("reader", "operator"), gate.needs("content")

    @routes.get("/messages", responses=refusals(), summary="Search messages")
    def search(channel: Annotated[Channel, Depends(reader)], filters: Annotated[MessageFilters, Query()]) -> MessagePage:
        """Search arrivals, accepted and refused, newest first."""
        asked = filters.model_dump() | whose(channel, filters.party)
        page = hub.queries.messages(**asked)
        seen = map(gate.viewer(channel).message, page.items)
        return MessagePage(items=[message_view(row) for row in seen], next_cursor=page.next_cursor)

    @routes.get("/messages/{message}", responses=refusals(404), summary="One message with its timeline")
    def show(channel: Annotated[Channel, Depends(reader)], message: MessagePath) -> MessageDetail:
        """Show a message, everything that happened to it, and its deliveries."""
        viewer = gate.viewer(channel)
        row, deliveries = visible(hub, viewer, message)
        timeline = viewer.timeline(row, deliveries, hub.queries.timeline(message))
        return message_detail(viewer.message(row), timeline, viewer.deliveries(row, deliveries))

    @routes.get(
        "/messages/{message}/document",
        response_class=Response,
        responses=refusals(404, 410) | {200: {"content": {XML: {"schema": {"type": "string"}}}, "description": "the bytes as received"}},
        summary="A message's content",
    )
    def document(channel: Annotated[Channel, Depends(content)], message: MessagePath, part: Part = "document") -> Response:
        """Give the document, the whole body as received, or the answer, byte for byte; to a receiver the document only.

        The ledger is told who of the staff looked.
        """
        viewer = gate.viewer(channel)
        row, _ = visible(hub, viewer, message)
        found = _content(hub, viewer, row, part)
        record_look(hub, channel, message, part)
        disposition = {"content-disposition": f'attachment; filename="{message}-{part}.xml"'}
        return Response(found, media_type=XML if part == "document" else "application/octet-stream", headers=disposition)

    return routes


def _content(hub: "Hub", viewer: Viewer, row: MessageRow, part: Part) -> bytes:
    """Give a part of a message's content; raises NotValid where there is none, it is not the caller's, or it was purged."""
    content = hub.queries.content(row.id, part) if part in viewer.parts(row) else None
    if not content and (purged := purged_at(hub.queries.timeline(row.id))):
        raise NotValid(Code.NOT_FOUND, Problem(text="web.purged", values={"part": part, "day": purged.date().isoformat()}))
    if content is None:
        raise NotValid(Code.NOT_FOUND, Problem(text="web.no-content", values={"part": part}))
    return content


def record_look(hub: "Hub", channel: Channel, message: str, part: str) -> None:
    """Tell the ledger that one of the staff is given content; a party that reads its own is nobody else's affair."""
    if channel.party is None:
        hub.history.record_look(message, part, by=label(channel))


def visible(hub: "Hub", viewer: Viewer, message: str) -> tuple[MessageRow, tuple[DeliveryRow, ...]]:
    """Find a message that concerns the caller, and its deliveries; raises NotValid(NOT_FOUND), whether it is absent or another's."""
    row = hub.queries.message(message)
    deliveries = hub.queries.deliveries(message=message, limit=MOST_DELIVERIES).items
    if row is None or not viewer.concerned(row, deliveries):
        raise NotValid(Code.NOT_FOUND, Problem(text="web.no-message", values={"message": message}))
    return row, deliveries
