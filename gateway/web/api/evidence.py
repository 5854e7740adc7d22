"""GET /api/v1/messages/{id}/evidence: the container that proves a message, for whom the message concerns."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Response

from gateway.errors import Code, NotValid, Problem
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
    """Give containers to those with the role "content", for documents are in them; a party gets what store/viewer.py says of its own."""
    routes = APIRouter(prefix="/api/v1", tags=["evidence"])
    content = gate.needs("content")

    @routes.get(
        "/messages/{message}/evidence",
        response_class=Response,
        responses=refusals(404) | {200: _CONTENT},
        summary="A message's evidence",
    )
    def evidence(channel: Annotated[Channel, Depends(content)], message: MessagePath) -> Response:
        """Give what proves a message in one file, to be verified with 'nsw evidence verify' without this gateway.

        A party gets of it what it may see of the message. The ledger is told who asked.
        """
        viewer = gate.viewer(channel)
        row, _ = visible(hub, viewer, message)
        if not viewer.parts(row):
            raise NotValid(Code.NOT_FOUND, Problem(text="web.no-content", values={"part": "evidence"}))
        container = hub.evidence.export([message], by=label(channel), viewer=viewer)
        return Response(container, media_type=MIMETYPE, headers={"content-disposition": f'attachment; filename="{message}.asice"'})

    return routes
