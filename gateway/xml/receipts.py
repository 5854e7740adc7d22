"""What an answer says that it is about: read without knowing whose dialect it is in, and compared with what was sent. No trust decision."""

from collections.abc import Iterator
from datetime import UTC

from lxml.etree import _Element

from gateway.errors import GatewayError
from gateway.model import Subject

from . import soap
from .header import read_header
from .parse import parse
from .payload import payload_of

RECEIVED = "99"  # the function of an answer that takes a message in
ENVELOPE = "Envelope"
_OPENING = b"<Envelope"
_COMPARED = ("document_type", "type", "reference", "year")


def envelopes(child: _Element) -> Iterator[bytes]:
    """Find envelopes in what stands in a SOAP body: as the text of an element, or as an element."""
    for element in child.iter():
        if element.tag == ENVELOPE and (parent := element.getparent()) is not None:
            yield payload_of(parent)
        elif len(element) == 0 and ENVELOPE in (element.text or "") and (payload := payload_of(element)).startswith(_OPENING):
            yield payload


def envelope_in(message: bytes) -> bytes:
    """Give the envelope that a message is, or that a SOAP message holds; empty where there is none. Never raises."""
    try:
        return message if parse(message).tag == ENVELOPE else next(envelopes(soap.unwrap(message).child), b"")
    except GatewayError:
        return b""


def subject_of(envelope: bytes) -> Subject | None:
    """Read what an envelope is about; None where it is not XML. Of a header that cannot be read there is the function alone."""
    try:
        root = parse(envelope)
    except GatewayError:
        return None
    try:
        return read_header(root, zone=UTC).subject
    except GatewayError:
        function = (root.findtext("Header/Subject/function") or "").strip()
        return Subject(document_type="", type="", function=function, reference="", year="")


def differences(sent: Subject, told: Subject) -> tuple[str, ...]:
    """Name what an answer says of another message than was sent; a refusal may leave out what it could not read."""
    found = [(name, getattr(told, name), getattr(sent, name)) for name in _COMPARED]
    return tuple(name for name, said, wrote in found if said != wrote and (said or told.function == RECEIVED))
