"""Opens a file the way the gateway's doors do: an XML document as it is, an envelope in SOAP taken out of its wrapper."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from gateway.errors import NotReadable
from gateway.model import Arrival, Channel, MessageId
from gateway.ports import Inbound
from gateway.xml.namespaces import SOAP11, SOAP12
from gateway.xml.parse import parse

from .excerpt import decoded

_WRAPPERS = frozenset({f"{{{SOAP11}}}Envelope", f"{{{SOAP12}}}Envelope"})
_ENTRANCE = Channel(kind="open", name="file")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedFile:
    """What a file holds: `document` is what is judged. `wrapper` names the SOAP version it was wrapped in, empty where in none.

    `first` is the line of the file in which the document begins; None where it stands there escaped, so that its lines are its own.
    """

    document: bytes
    wrapper: str = ""
    first: int | None = 1


def open_file(data: bytes, door: Callable[[], Inbound], *, at: datetime) -> OpenedFile:
    """Open a file; `door` is asked only where the file is SOAP. Raises NotReadable as intake would; an envelope is not yet parsed."""
    root = parse(data)
    if root.tag not in _WRAPPERS:
        return OpenedFile(document=data)
    media_type = "application/soap+xml" if root.tag == f"{{{SOAP12}}}Envelope" else "text/xml"
    arrival = Arrival(id=MessageId(""), received_at=at, channel=_ENTRANCE, door="file", path="", media_type=media_type, body=data)
    opened = door().open(arrival)
    return OpenedFile(
        document=opened.payload,
        wrapper=opened.wrapper.version,
        first=_first_line(data, opened.payload),
    )


def unwrapped(data: bytes, door: Callable[[], Inbound], *, at: datetime) -> OpenedFile | None:
    """Give the envelope inside a SOAP file; None where the file is none, or holds no envelope of ours."""
    try:
        opened = open_file(data, door, at=at)
    except NotReadable:
        return None
    return opened if opened.wrapper else None


def _first_line(data: bytes, payload: bytes) -> int | None:
    text, inside = decoded(data).replace("\r\n", "\n"), payload.decode("utf-8", "replace").replace("\r\n", "\n")
    at = text.find(inside)
    return None if at < 0 or not inside else text.count("\n", 0, at) + 1
