"""GET /api/v1/messages/{id}/evidence: the container that proves a message, for whom the message concerns."""

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from io import SEEK_END
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Annotated, BinaryIO, cast

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse

from gateway.errors import Code, NotValid, Problem, Unavailable
from gateway.evidence.packing import CHUNK, MIMETYPE
from gateway.model import Channel

from .filters import MessagePath
from .gate import Gate, label
from .messages import visible
from .responses import refusals
from .turns import Streamed, Turns

if TYPE_CHECKING:
    from gateway.hub import Hub

HELD = 8 * CHUNK  # bytes of a container that are held while it is written; more goes to an unnamed file below NSW_HOME
MOST, MOST_OF_ONE = 16, 4  # containers under way at once, in all and of one caller; with attachments each may have 200 MB and more
_CONTENT = {"content": {MIMETYPE: {"schema": {"type": "string", "format": "binary"}}}, "description": "an ASiC-E container"}


def router(hub: "Hub", gate: Gate) -> APIRouter:
    """Give containers to those with the role "content", for documents are in them; a party gets what store/viewer.py says of its own."""
    routes = APIRouter(prefix="/api/v1", tags=["evidence"])
    content, turns = gate.needs("content"), Turns(most=MOST, of_one=MOST_OF_ONE, busy=_busy)

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
            opened.enter_context(turns.one(label(channel)))
            try:
                file = opened.enter_context(SpooledTemporaryFile(HELD, dir=str(hub.settings.home)))
                hub.evidence.export([message], cast("BinaryIO", file), by=label(channel), viewer=viewer)
            except OSError as error:
                values = {"cause": type(error).__name__}
                raise Unavailable(Code.UNAVAILABLE, Problem(text="web.container-disk", values=values)) from error
            return _sent(cast("BinaryIO", file), opened.pop_all(), message)

    return routes


def _sent(file: BinaryIO, opened: ExitStack, message: str) -> Streamed:
    """Send a container from its beginning."""
    headers = {"content-disposition": f'attachment; filename="{message}.asice"', "content-length": str(file.seek(0, SEEK_END))}
    file.seek(0)
    return Streamed(iter(partial(file.read, CHUNK), b""), opened, media_type=MIMETYPE, headers=headers)


def _busy(values: Mapping[str, str]) -> Problem:
    return Problem(text="web.containers-busy", values=values)
