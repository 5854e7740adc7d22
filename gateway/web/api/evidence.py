"""GET /api/v1/messages/{id}/evidence: the container that proves a message, for whom the message concerns."""

from contextlib import ExitStack
from functools import partial
from io import SEEK_END
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Annotated, BinaryIO, cast

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from gateway.errors import Code, NotValid, Problem
from gateway.evidence.packing import CHUNK, MIMETYPE
from gateway.model import Channel

from .filters import MessagePath
from .gate import Gate, label
from .messages import visible
from .responses import refusals

if TYPE_CHECKING:
    from gateway.hub import Hub

HELD = 8 * CHUNK  # bytes of a container that are held while it is written; more goes to an unnamed file below NSW_HOME
_CONTENT = {"content": {MIMETYPE: {"schema": {"type": "string", "format": "binary"}}}, "description": "an ASiC-E container"}


def router(hub: "Hub", gate: Gate) -> APIRouter:
    """Give containers to those with the role "content", for documents are in them; a party gets what store/viewer.py says of its own."""
    routes = APIRouter(prefix="/api/v1", tags=["evidence"])
    content = gate.needs("content")

    @routes.get(
        "/messages/{message}/evidence",
        response_class=StreamingResponse,
        responses=refusals(404) | {200: _CONTENT},
        summary="A message's evidence",
    )
    def evidence(channel: Annotated[Channel, Depends(content)], message: MessagePath) -> StreamingResponse:
        """Give what proves a message in one file, to be verified with 'nsw evidence verify' without this gateway.

        A party gets of it what it may see of the message. The ledger is told who asked.
        """
        viewer = gate.viewer(channel)
        row, _ = visible(hub, viewer, message)
        if not viewer.parts(row):
            raise NotValid(Code.NOT_FOUND, Problem(text="web.no-content", values={"part": "evidence"}))
        with ExitStack() as opened:
            file = opened.enter_context(SpooledTemporaryFile(HELD, dir=str(hub.settings.home)))
            hub.evidence.export([message], cast("BinaryIO", file), by=label(channel), viewer=viewer)
            return _Sent(cast("BinaryIO", file), opened.pop_all(), message)

    return routes


class _Sent(StreamingResponse):
    """A container on its way; the file is closed whether or not the caller stays until its end."""

    def __init__(self, file: BinaryIO, opened: ExitStack, message: str) -> None:
        headers = {"content-disposition": f'attachment; filename="{message}.asice"', "content-length": str(file.seek(0, SEEK_END))}
        file.seek(0)
        super().__init__(iter(partial(file.read, CHUNK), b""), media_type=MIMETYPE, headers=headers)
        self._opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._opened:
            await super().__call__(scope, receive, send)
