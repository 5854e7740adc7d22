"""A simulated customs side: takes certificates and other results, answers 99 and keeps them (GET /_effects/ID)."""

from gateway.testing.proof import unproven
from gateway.testing.vnsw import Partner
from gateway.xml.soap import escape_text

from .mapping import DIALECT

REPLY = (  # as SAAJ writes it
    b'<S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/"><S:Body>'
    b'<sendToMinistryResponse xmlns="http://com/vnsw/ws/generated"><responsePayload>%b</responsePayload></sendToMinistryResponse>'
    b"</S:Body></S:Envelope>"
)


def wrap(envelope: bytes) -> bytes:
    """Wrap a reply."""
    return REPLY % escape_text(envelope)


SIMULATOR = Partner(DIALECT, wrap, unproven).simulator("customs")
