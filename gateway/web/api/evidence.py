"""GET /api/v1/messages/{id}/evidence: the container that proves a message, for whom the message concerns."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Response

from gateway.evidence.packing import MIMETYPE
from gateway.model import Channel

from .filters import MessagePath
from .gate import Gate, label
from .messages import visible
from .responses import refusals

if TYPE_CHECKING:
    from gateway.hub import Hub

_CONTENT = {"content": {MIMETYPE: {"schema": {"type": "string", "format": "binary"}}}, "description": "an ASiC-E container"}


def router(hub: "Hub", gate: Gate) -> APIRouter:
    """Give containers to readers and operators; a caller that belongs to a party gets those of that party's messages."""
    routes = APIRouter(prefix="/api/v1", tags=["evidence"])
    reader = gate.needs("reader", "operator")

    @routes.get(
        "/messages/{message}/evidence",
        response_class=Response,
        responses=refusals(404) | {200: _CONTENT},
        summary="A message's evidence",
    )
    def evidence(channel: Annotated[Channel, Depends(reader)], message: MessagePath) -> Response:
        """Give everything that proves a message in one file, to be verified with 'nsw evidence verify' without this gateway.

        What was exchanged with receivers comes along for the role `content`; a party gets of it its own part only. The ledger is told who
        asked.
        """
        visible(hub, channel, message)
        container = hub.evidence.export([message], by=label(channel), shows=partial(shows, channel))
        return Response(container, media_type=MIMETYPE, headers={"content-disposition": f'attachment; filename="{message}.asice"'})

    def shows(channel: Channel, party: str) -> bool:
        return party == channel.party if channel.party else gate.may(channel, "content")

    return routes
