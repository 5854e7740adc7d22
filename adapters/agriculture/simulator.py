"""A simulated agriculture ministry: takes applications in its own dialect and answers 99, then decides on each by itself.

On a new 10/01 it sends application confirmed (13/07), fee notice (18/14) and certificate (21/18) to the gateway's door, unsigned as
the live system does, one after the other, each until it got its 99. Their ids are drawn from the application's id, so neither a
restart nor a second try can double them.
"""

from gateway.model import Header
from gateway.testing.builders import KINDS, ZONE
from gateway.testing.contents import Tree, read, write
from gateway.testing.journal import Mark, SimRequest
from gateway.testing.simulator import SimContext, Simulator
from gateway.testing.vnsw import Call, Partner, answer_header, read_call, send_until_received
from gateway.xml import envelope
from gateway.xml.soap import escape_text

from .mapping import DIALECT

APPLICATION = ("10", "01")
DECISIONS = ("13/07", "18/14", "21/18")
REPLY = (  # as .NET WCF writes it
    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
    b'<receiveResponse xmlns="http://mard.gov.vn/nsw/services">'
    b'<receiveResult xmlns:a="http://mard.gov.vn/nsw/data/contract" xmlns:i="http://www.w3.org/2001/XMLSchema-instance">'
    b"<a:responsePayload>%b</a:responsePayload></receiveResult></receiveResponse></s:Body></s:Envelope>"
)


def wrap(reply: bytes) -> bytes:
    """Wrap a reply."""
    return REPLY % escape_text(reply)


def objection(call: Call, _context: SimContext) -> str | None:
    """Refuse what the ministry's own schemas refuse: a signature, or an attribute of Content."""
    unknown = ("SystemSignature", "Body/Signature/*", "Body/Content[@Id]")
    if any(call.root.find(path) is not None for path in unknown):
        return "ERR02_CODE Phong bì có chữ ký hoặc thuộc tính không có trong lược đồ của Bộ"
    return None


def decide(request: SimRequest, context: SimContext) -> bool:
    """Send what the ministry decides about a new application; False where it was stopped before all was taken."""
    call = read_call(request, DIALECT)
    held = envelope.content(call.root)
    application = None if held is None else envelope.business(held)
    if application is None or (call.header.subject.type, call.header.subject.function) != APPLICATION:
        return True
    registered = read(application)
    return all(_sent(kind, registered, call.header, context) for kind in DECISIONS)


def _sent(kind: str, registered: Tree, received: Header, context: SimContext) -> bool:
    type_, function = kind.split("/")
    header = answer_header(received, type_, function, at=context.clock())
    payload = envelope.write(header, write(KINDS[kind].content(registered)), zone=ZONE)
    known_as = Mark(id=str(header.id), about=f"{kind} {received.subject.reference}")
    return send_until_received(context, payload, known_as)


PARTNER = Partner(DIALECT, wrap, objection)
SIMULATOR = Simulator("agriculture", PARTNER.handle, mark=PARTNER.mark, after=decide)
