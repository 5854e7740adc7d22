"""GET /api/v1/messages/{id}/evidence: the container that proves a message, for whom the message concerns."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from io import SEEK_END
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Annotated, BinaryIO, cast

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from gateway.errors import Code, NotValid, Problem, Unavailable
from gateway.evidence.packing import CHUNK, MIMETYPE
from gateway.model import Channel

from .filters import MessagePath
from .gate import Gate, label
from .messages import visible
from .responses import refusals

if TYPE_CHECKING:
    from gateway.hub import Hub

HELD = 8 * CHUNK  # bytes of a container that are held while it is written; more goes to an unnamed file below NSW_HOME
MOST, MOST_OF_ONE = 16, 4  # containers under way at once, in all and of one caller; with attachments each may have 200 MB and more
_CONTENT = {"content": {MIMETYPE: {"schema": {"type": "string", "format": "binary"}}}, "description": "an ASiC-E container"}


def router(hub: "Hub", gate: Gate) -> APIRouter:
    """Give containers to those with the role "content", for documents are in them; a party gets what store/viewer.py says of its own."""
    routes = APIRouter(prefix="/api/v1", tags=["evidence"])
    content, turns = gate.needs("content"), _Turns()

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
            return _Sent(cast("BinaryIO", file), opened.pop_all(), message)

    return routes


class _Turns:
    """Containers under way, by caller: each lies on the disk until its reader, who may be slow on purpose, has it."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def one(self, caller: str) -> Iterator[None]:
        """Let one more be made and sent; raises Unavailable where there are as many as may be."""
        with self._lock:
            if self._taken[caller] >= MOST_OF_ONE or self._taken.total() >= MOST:
                raise Unavailable(Code.UNAVAILABLE, Problem(text="web.containers-busy", values={"limit": str(MOST_OF_ONE)}))
            self._taken[caller] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[caller] -= 1
                self._taken += Counter()  # drops who has none


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
