"""Takes a document with attachments in at a door: blocks as they come, each parsed and stored in one of the doors' threads."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from starlette.types import Receive

from gateway.model import Attachment, Reply

from .bodies import Body, Head
from .crew import Crew
from .multipart import Begin, Parcel

Accept = Callable[[bytes, bytes, tuple[Attachment, ...]], Reply]  # of a document, its detached signature, what came beside it
HELD = 1_572_864  # bytes that one attachment on its way holds: a chunk, and its copy while it is sealed


def turns_of(threads: int) -> asyncio.Semaphore:
    """Say how many uploads may store at once: half of the doors' threads, so that storage that hangs leaves some for documents alone."""
    return asyncio.Semaphore(max(1, threads // 2))


async def take_parcel(
    body: Body, head: Head, receive: Receive, *, media_type: str, begin: Begin, crew: Crew, accept: Accept, turns: asyncio.Semaphore
) -> Reply:
    """Read a multipart body and have it accepted; what is refused or breaks off is taken back. Raises what the parts raise, and Gone."""
    parcel = Parcel(media_type, begin)
    body.hold(HELD)

    async def store(work: Callable[[], None]) -> None:
        async with turns:
            await crew.run(work)

    try:
        async for block in body.blocks(head, receive):
            held = parcel.held
            await store(lambda taken=block: parcel.feed(taken))  # type: ignore[misc]  # a default binds the block
            body.hold(parcel.held - held)
        document, attachments = await crew.run(parcel.finish)
        signature = await crew.run(parcel.signature)
        reply = await crew.run(lambda: accept(document, signature, attachments))
        if reply.status >= HTTPStatus.BAD_REQUEST:
            await store(parcel.discard)
    except Exception:  # a defect leaves nothing behind either
        await store(parcel.discard)
        raise
    return reply
