"""A simulated transport ministry: takes documents, answers 99 and keeps them (GET /_effects/ID)."""

from gateway.testing.simulator import SimContext
from gateway.testing.vnsw import Call, Partner
from gateway.xml.soap import escape_text

from .mapping import DIALECT, NAMESPACE

REPLY = (
    b'<S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/"><S:Body>'
    b'<NSWResponse xmlns="%b"><responsePayload>%b</responsePayload></NSWResponse></S:Body></S:Envelope>'
)


def wrap(envelope: bytes) -> bytes:
    """Wrap a reply."""
    return REPLY % (NAMESPACE.encode(), escape_text(envelope))


def objection(call: Call, _context: SimContext) -> str | None:
    """Refuse a signature: the ministry's schemas know none."""
    return None if call.root.find("SystemSignature") is None else "ERR02_CODE"


SIMULATOR = Partner(DIALECT, wrap, objection).simulator("transport_ministry")
