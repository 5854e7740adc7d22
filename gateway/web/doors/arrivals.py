"""Names what came in at a door, before anything of it is parsed."""

from typing import TYPE_CHECKING

from starlette.types import Scope

from gateway.model import Arrival, Attachment, Channel

if TYPE_CHECKING:
    from gateway.hub import Hub


def arrival(
    hub: "Hub",
    scope: Scope,
    *,
    door: str,
    channel: Channel,
    media_type: str,
    body: bytes,
    repeat_key: str | None = None,
    attachments: tuple[Attachment, ...] = (),
) -> Arrival:
    """Give an arrival its id and its time."""
    return Arrival(
        id=hub.new_id(),
        received_at=hub.clock(),
        channel=channel,
        door=door,
        path=scope["path"],
        media_type=media_type,
        body=body,
        repeat_key=repeat_key,
        attachments=attachments,
    )
