"""The partner's side of VNSW: a simulated agency that takes envelopes over SOAP, answers 99 or 00, and sends its own."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import uuid5

from lxml import etree

from gateway.errors import Code, GatewayError, NotReadable, Problem
from gateway.model import Header
from gateway.protocols.vnsw.dialects import GATEWAY, Answers, Dialect
from gateway.xml import soap
from gateway.xml.canonical import canonical
from gateway.xml.envelope import business, content, swap, write
from gateway.xml.header import read_header, text_element
from gateway.xml.parse import parse

from . import builders
from .client import post
from .journal import Mark, SimReply, SimRequest
from .simulator import SimContext, Simulator

RECEIVED, REFUSED = "99", "00"
MEDIA_TYPE = {"content-type": "text/xml; charset=utf-8"}
SOAP_REQUEST = {**MEDIA_TYPE, "soapaction": '""'}
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0  # seconds between tries of a message that was not taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """An envelope that reached an agency, and what it says."""

    root: etree._Element
    header: Header


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a synchronous reply says: its function and its errors; function "" where it is none."""

    function: str
    errors: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Partner:
    """One agency's own way: the dialect it is called in, how it wraps a reply, and what it refuses (the reason, None where it takes it)."""

    dialect: Dialect
    wrap: Callable[[bytes], bytes]
    objection: Callable[[Call, SimContext], str | None]

    def handle(self, request: SimRequest, context: SimContext) -> SimReply:
        """Answer 99, 00 with the reason, or a SOAP fault."""
        try:
            call = read_call(request, self.dialect)
        except GatewayError as error:
            return _fault("; ".join(f"{problem.text} {problem.path or ''}" for problem in error.problems))
        reason, at, names = self.objection(call, context), context.clock(), self.dialect.answers
        envelope = _received(call, at, names) if reason is None else _refused(call, at, names, reason)
        return SimReply(body=self.wrap(envelope), headers=MEDIA_TYPE, effect=reason is None)

    def mark(self, request: SimRequest) -> Mark:
        """Recognise a message by its id, and its content by what it says and what it is about; nothing where it is no envelope."""
        try:
            call = read_call(request, self.dialect)
        except GatewayError:
            return Mark()
        about = _about(call)
        return Mark(id=call.header.id or about, about=about)

    def simulator(self, name: str) -> Simulator:
        """Make an agency that only takes messages."""
        return Simulator(name, self.handle, mark=self.mark)


def read_call(request: SimRequest, dialect: Dialect) -> Call:
    """Read the envelope out of a SOAP request, the way a strict partner does; raises GatewayError where it is none."""
    child = soap.unwrap(request.body).child
    if child.tag != f"{{{dialect.namespace}}}{dialect.request}":
        raise NotReadable(Code.NOT_SOAP, Problem(text="vnsw.operation", path=child.tag))
    payload = next(child.iter(f"{{*}}{dialect.payload}"), None)
    if payload is None or len(payload):
        raise NotReadable(Code.NOT_XML, Problem(text="xml.not-envelope", path=dialect.payload))
    root = parse((payload.text or "").encode())
    return Call(root=root, header=read_header(root, zone=builders.ZONE))


def read_answer(body: bytes) -> Answer:
    """Read a synchronous reply of the gateway's; the function is empty where it cannot be read."""
    try:
        child = soap.unwrap(body).child
        payload = next((e.text or "" for e in child.iter(f"{{*}}{GATEWAY.result}")), "")
        root = parse(payload.encode())
    except GatewayError:
        return Answer(function="")
    errors = root.iterfind("Body/Content/ErrorList/Error")
    return Answer(
        function=root.findtext("Header/Subject/function") or "",
        errors=tuple((error.findtext("ErrorCode") or "", error.findtext("ErrorName") or "") for error in errors),
    )


def send(context: SimContext, payload: bytes, known_as: Mark, *, client: str = "wcf") -> Answer:
    """Send an envelope to the gateway's SOAP door as one of the field's clients, and note it; raises OSError where nobody answers."""
    try:
        reply = post(f"{context.gateway}/ws", builders.soap(payload, client=client), SOAP_REQUEST)
    except OSError as error:
        context.journal.sent(known_as, at=context.clock(), status=0, answer=type(error).__name__.encode())
        raise
    context.journal.sent(known_as, at=context.clock(), status=reply.status, answer=reply.body)
    return read_answer(reply.body)


def send_until_received(context: SimContext, payload: bytes, known_as: Mark) -> bool:
    """Send until it is answered 99, with growing pauses; False where the agency was stopped before."""
    pause = FIRST_PAUSE
    while not context.stopping.is_set():
        if context.gateway and _received_by_gateway(context, payload, known_as):
            return True
        context.pause(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
    return False


def answer_header(received: Header, type_: str, function: str, *, at: datetime) -> Header:
    """Write the header of a later message about a dossier: turned round, under an id drawn from the first message's."""
    subject = replace(received.subject, type=type_, function=function, previous=received.subject.reference)
    message_id = str(uuid5(builders.IDS, f"{received.id or received.subject.reference} {type_}/{function}"))
    return replace(swap(received), id=message_id, subject=subject, sent_at=at)


def _received_by_gateway(context: SimContext, payload: bytes, known_as: Mark) -> bool:
    try:
        return send(context, payload, known_as).function == RECEIVED
    except OSError:
        return False


def _about(call: Call) -> str:
    held = content(call.root)
    inside = None if held is None else business(held)
    digest = hashlib.sha256(b"" if inside is None else canonical(inside)).hexdigest()
    subject = call.header.subject
    return f"{subject.document_type} {subject.type}/{subject.function} {subject.reference}/{subject.year} {digest}"


def _received(call: Call, at: datetime, names: Answers) -> bytes:
    day = at.astimezone(builders.ZONE).strftime("%Y-%m-%d %H:%M:%S")
    return _reply(call, RECEIVED, text_element(names.received, day), at)


def _refused(call: Call, at: datetime, names: Answers, reason: str) -> bytes:
    code, _, name = reason.partition(" ")
    error = _element(names.error, text_element(names.code, code) + text_element(names.name, name))
    return _reply(call, REFUSED, _element(names.errors, error), at)


def _element(name: str, inside: bytes) -> bytes:
    return b"<%b>%b</%b>" % (name.encode(), inside, name.encode())


def _reply(call: Call, function: str, inside: bytes, at: datetime) -> bytes:
    subject = replace(call.header.subject, function=function)
    message_id = str(uuid5(builders.IDS, f"{call.header.id} {function}"))
    return write(replace(swap(call.header), id=message_id, subject=subject, sent_at=at), inside, zone=builders.ZONE)


def _fault(text: str) -> SimReply:
    return SimReply(status=500, body=soap.fault("1.1", sender=True, text=text, language="en"), headers=MEDIA_TYPE, effect=False)
