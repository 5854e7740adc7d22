"""What every Adapter promises: its functions are pure, and whatever an agency answers becomes an outcome."""

import builtins
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NoReturn
from unittest.mock import patch

from gateway.errors import NotValid
from gateway.lifecycle import Accepted, Deferred, Delivered, Failed, Outcome, Rejected
from gateway.model import Attachment, Envelope, Reply, Request, Route
from gateway.ports import Adapter, Pollable, SignsReplies
from gateway.xml import soap
from gateway.xml.parse import parse
from gateway.xml.receipts import envelope_in, subject_of

from .checks import holds, same

KNOWN = (Delivered, Accepted, Rejected, Deferred, Failed)
PAGE = b"<!DOCTYPE html><html><body>Service Unavailable</body></html>"
BOMB = b'<!DOCTYPE a [<!ENTITY x "y"><!ENTITY z "&x;&x;">]><a>&z;</a>'
UNREADABLE = (  # what stands where an answer should
    b"", b" ", b"\x00", b"\xff\xfe<\x00", b"\xef\xbb\xbf", b"not xml", b"<", b"<a>", b"<a/>", PAGE, BOMB, b"<a>" * 5_000,
    b'{"status": "ok"}', b"<Envelope><Header/><Body/></Envelope>",
    *(soap.wrap(b"<other/>", version=version) for version in ("1.1", "1.2")),
)  # fmt: skip
ATTACHMENTS = tuple(
    Attachment(name=f"tệp {n}.pdf", media_type="application/pdf", size=n, sha256=f"{n}" * 64, id=f"{n}" * 64) for n in (1, 2)
)
STATUSES = (200, 202, 204, 302, 400, 401, 404, 500, 502, 503)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An adapter under its entry point's name, a route to its party, and messages, of which it takes at least one."""

    name: str
    adapter: Adapter
    route: Route
    envelopes: Sequence[Envelope]

    def requests(self) -> Sequence[Request]:
        """Encode what the adapter takes; NotValid is its way to say that a message is not for its agency."""
        return [request for request in map(self._encoded, self.envelopes) if request is not None]

    def _encoded(self, envelope: Envelope) -> Request | None:
        try:
            return self.adapter.encode(envelope, self.route)
        except NotValid:
            return None


def is_named_as_its_entry_point(subject: Subject) -> None:
    """Parties name an adapter by its entry point."""
    same(subject.adapter.profile.name, subject.name)


def says_what_it_implements(subject: Subject) -> None:
    """The profile names a protocol the gateway has, and the agency's specification."""
    holds(subject.adapter.profile.protocol in {"vnsw", "wsdl", "as4"}, f"unknown protocol {subject.adapter.profile.protocol}")
    holds(subject.adapter.profile.specification, "the profile names no specification")


def takes_at_least_one_message(subject: Subject) -> None:
    """A suite that encodes nothing proves nothing."""
    holds(subject.requests(), "no message given is for this agency")


def writes_the_same_request_twice(subject: Subject) -> None:
    """What is sent again is what was sent: the agency recognises it, and the evidence matches."""
    same(subject.requests(), subject.requests())


def writes_to_the_routes_endpoint(subject: Subject) -> None:
    """Where a message goes is the rules' business."""
    same({request.endpoint for request in subject.requests()}, {subject.route.endpoint})


def writes_xml_ready_to_leave(subject: Subject) -> None:
    """The body, or what the sealer will make of it, is well-formed; a media type says what it is."""
    for request in subject.requests():
        holds(request.seal is None or not request.body, "a request is either sealed later or has its body")
        parse(request.seal.wrap(request.seal.document) if request.seal else request.body)
        holds("content-type" in map(str.lower, request.headers), "the request has no content-type")


def writes_what_a_signed_reply_is_held_to(subject: Subject) -> None:
    """Of an agency that signs envelopes, what was sent is an envelope too: a signed reply is compared with it."""
    if not isinstance(subject.adapter, SignsReplies):
        holds(not subject.adapter.profile.replies_signed or subject.adapter.profile.protocol != "vnsw", "no signed_part for signed replies")
        return
    for request in subject.requests():
        sent = subject_of(request.seal.document if request.seal else envelope_in(request.body))
        holds(sent and sent.document_type, "a signed reply could not be compared with the request")


def hands_on_every_attachment_or_none(subject: Subject) -> None:
    """What came beside a message leaves beside it, where the profile says so; nothing is dropped, and nothing is made up."""
    for envelope in subject.envelopes:
        beside = replace(subject, envelopes=[replace(envelope, attachments=ATTACHMENTS)])
        expected = ATTACHMENTS if subject.adapter.profile.attachments else ()
        same({request.attachments for request in beside.requests()} | {expected}, {expected})


def touches_neither_network_nor_disk(subject: Subject) -> None:
    """Encoding, decoding and polling are pure, once the adapter's own files have been read."""
    _use(subject)

    with _cut_off():
        _use(subject)


def reads_no_success_in_what_it_cannot_read(subject: Subject) -> None:
    """Garbage, of whatever status, is an outcome; it is never taken for a delivery and never for a lasting refusal."""
    for body in UNREADABLE:
        for status in STATUSES:
            outcome = subject.adapter.decode(Reply(status=status, body=body))
            holds(isinstance(outcome, Failed), f"{outcome!r} for HTTP {status} with {body[:40]!r}")


def reads_no_success_in_a_fault(subject: Subject) -> None:
    """A SOAP fault, ours or theirs to blame, is no delivery."""
    for version in ("1.1", "1.2"):
        for sender in (True, False):
            fault = soap.fault(version, sender=sender, text="Hệ thống bận", language="vi")
            outcome = subject.adapter.decode(Reply(status=500, body=fault))
            holds(isinstance(outcome, Rejected | Failed), f"{outcome!r} for a fault of SOAP {version}")


def reads_a_reply_the_same_way_twice(subject: Subject) -> None:
    """Decoding keeps nothing from one reply to the next."""
    replies = [Reply(status=status, body=body) for body in UNREADABLE for status in STATUSES]

    same(_outcomes(subject, replies), _outcomes(subject, replies))


def asks_the_same_question_twice(subject: Subject) -> None:
    """An adapter whose agency is asked later writes one question for one number, to the route's endpoint."""
    adapter = subject.adapter
    if isinstance(adapter, Pollable):
        same(adapter.poll("1", subject.route), adapter.poll("1", subject.route))
        same(adapter.poll("1", subject.route).endpoint, subject.route.endpoint)


CHECKS: Sequence[Callable[[Subject], None]] = (
    is_named_as_its_entry_point,
    says_what_it_implements,
    takes_at_least_one_message,
    writes_the_same_request_twice,
    writes_to_the_routes_endpoint,
    writes_xml_ready_to_leave,
    writes_what_a_signed_reply_is_held_to,
    hands_on_every_attachment_or_none,
    touches_neither_network_nor_disk,
    reads_no_success_in_what_it_cannot_read,
    reads_no_success_in_a_fault,
    reads_a_reply_the_same_way_twice,
    asks_the_same_question_twice,
)


def _use(subject: Subject) -> None:
    subject.requests()
    _outcomes(subject, [Reply(status=200, body=body) for body in UNREADABLE])
    asks_the_same_question_twice(subject)


def _outcomes(subject: Subject, replies: Sequence[Reply]) -> list[Outcome]:
    outcomes = [subject.adapter.decode(reply) for reply in replies]
    holds(all(isinstance(outcome, KNOWN) for outcome in outcomes), "decode gave something that is no outcome")
    return outcomes


@contextmanager
def _cut_off() -> Iterator[None]:
    """Make every file and socket raise."""

    def refuse(*_arguments: object, **_options: object) -> NoReturn:
        raise AssertionError("an adapter opened a file or a socket")

    with patch.object(builtins, "open", refuse), patch.object(socket, "socket", refuse), patch.object(socket, "getaddrinfo", refuse):
        yield
