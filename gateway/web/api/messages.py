"""GET /api/v1/messages: search, one message with its timeline, its content."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Query, Response

from gateway.errors import Code, NotValid, Problem
from gateway.model import Channel
from gateway.store.queries import MessageRow

from .filters import MessageFilters, MessagePath, Part
from .gate import Gate, party_of
from .responses import refusals
from .views import MessageDetail, MessagePage, message_detail, message_view, purged_at

if TYPE_CHECKING:
    from gateway.hub import Hub

MOST_DELIVERIES = 200  # of one message; real routes have one to three
XML = "application/xml"


def router(hub: "Hub", gate: Gate) -> APIRouter:
    """Show messages to readers and operators; a caller that belongs to a party sees that party's only."""
    routes = APIRouter(prefix="/api/v1", tags=["messages"])
    reader = gate.needs("reader", "operator")

    @routes.get("/messages", responses=refusals(), summary="Search messages")
    def search(channel: Annotated[Channel, Depends(reader)], filters: Annotated[MessageFilters, Query()]) -> MessagePage:
        """Search arrivals, accepted and refused, newest first."""
        asked = filters.model_dump() | {"party": party_of(channel, filters.party)}
        page = hub.queries.messages(**asked)
        return MessagePage(items=[message_view(row) for row in page.items], next_cursor=page.next_cursor)

    @routes.get("/messages/{message}", responses=refusals(404), summary="One message with its timeline")
    def show(channel: Annotated[Channel, Depends(reader)], message: MessagePath) -> MessageDetail:
        """Show a message, everything that happened to it, and its deliveries."""
        row = visible(hub, channel, message)
        deliveries = hub.queries.deliveries(message=message, limit=MOST_DELIVERIES).items
        return message_detail(row, hub.queries.timeline(message), deliveries)

    @routes.get(
        "/messages/{message}/document",
        response_class=Response,
        responses=refusals(404, 410) | {200: {"content": {XML: {"schema": {"type": "string"}}}, "description": "the bytes as received"}},
        summary="A message's content",
    )
    def document(channel: Annotated[Channel, Depends(reader)], message: MessagePath, part: Part = "document") -> Response:
        """Give the document, the whole body as received, or the answer, byte for byte."""
        visible(hub, channel, message)
        content = hub.queries.content(message, part)
        if not content and (purged := purged_at(hub.queries.timeline(message))):
            raise NotValid(Code.NOT_FOUND, Problem(text="web.purged", values={"part": part, "day": purged.date().isoformat()}))
        if content is None:
            raise NotValid(Code.NOT_FOUND, Problem(text="web.no-content", values={"part": part}))
        disposition = {"content-disposition": f'attachment; filename="{message}-{part}.xml"'}
        return Response(content, media_type=XML if part == "document" else "application/octet-stream", headers=disposition)

    return routes


def visible(hub: "Hub", channel: Channel, message: str) -> MessageRow:
    """Find a message that the caller may see; raises NotValid(NOT_FOUND) where there is none, without saying which it was."""
    row = hub.queries.message(message)
    if row is None or not _concerns(hub, channel, row):
        raise NotValid(Code.NOT_FOUND, Problem(text="web.no-message", values={"message": message}))
    return row


def _concerns(hub: "Hub", channel: Channel, row: MessageRow) -> bool:
    if channel.party in (None, row.sender):
        return True
    return bool(hub.queries.deliveries(message=row.id, party=channel.party, limit=1).items)
