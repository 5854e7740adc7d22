"""A simulated national portal: sends signed applications when it is told to, takes what ministries decide and answers 99."""

from collections.abc import Mapping

from gateway.testing.applicant import Sent, send_application
from gateway.testing.contents import Consignment
from gateway.testing.journal import Mark
from gateway.testing.proof import unproven
from gateway.testing.simulator import SimContext, Simulator
from gateway.testing.vnsw import Partner
from gateway.xml.soap import escape_text

from .mapping import DIALECT

REPLY = (  # as Spring-WS writes it
    b'<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/"><SOAP-ENV:Header/><SOAP-ENV:Body>'
    b'<ns2:receiveResponse xmlns:ns2="http://com/vnsw/receive/gateway/generated"><ns2:responsePayload>%b</ns2:responsePayload>'
    b"</ns2:receiveResponse></SOAP-ENV:Body></SOAP-ENV:Envelope>"
)


def wrap(envelope: bytes) -> bytes:
    """Wrap a reply."""
    return REPLY % escape_text(envelope)


def submit(order: Mapping[str, object], context: SimContext) -> Mapping[str, object]:
    """Send an application to the gateway: {"number", "goods", "message_id", "client"}, each optional; says what it answered."""
    if context.pki is None or not context.gateway:
        raise ValueError("the portal was started without --pki or --gateway")
    consignment = Consignment(number=_whole(order, "number", 123), goods=_whole(order, "goods", 3))
    sent = send_application(
        context.gateway,
        context.pki,
        consignment,
        sent_at=context.clock(),
        message_id=str(order.get("message_id", "")),
        client=str(order.get("client", "saaj")),
    )
    context.journal.sent(
        Mark(id=sent.message_id, about=f"10/01 {consignment.file_code}"), at=context.clock(), status=sent.status, answer=sent.reply
    )
    return _told(sent, consignment)


def _whole(order: Mapping[str, object], name: str, usual: int) -> int:
    value = order.get(name, usual)
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{name} is a whole number")
    return value


def _told(sent: Sent, consignment: Consignment) -> Mapping[str, object]:
    return {
        "message_id": sent.message_id,
        "reference": consignment.file_code,
        "status": sent.status,
        "function": sent.answer.function,
        "errors": [list(error) for error in sent.answer.errors],
    }


PARTNER = Partner(DIALECT, wrap, unproven)
SIMULATOR = Simulator("portal", PARTNER.handle, mark=PARTNER.mark, acts={"send-application": submit})
