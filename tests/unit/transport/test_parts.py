"""Requests with attachments, over libcurl and real sockets."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes

import pytest

from gateway.errors import Code, Problem, Unavailable
from gateway.model import Attachment, Request
from gateway.testing.journal import SimReply, SimRequest
from gateway.testing.partners import partner, silent
from gateway.testing.simulator import RunningSimulator, SimContext, Simulator
from gateway.transport.http import HttpTransport, check_sendable
from gateway.transport.parts import Parts
from gateway.web.multipart import Parcel

TIMEOUT = timedelta(seconds=5)
PIECE = 700_001


def kept(contents: list[bytes]) -> tuple[tuple[Attachment, ...], dict[str, bytes]]:
    attachments = tuple(
        Attachment(name=f"hoá đơn {n}.pdf", media_type="application/pdf", size=len(c), sha256=hashlib.sha256(c).hexdigest(), id=f"{n:064}")
        for n, c in enumerate(contents)
    )
    return attachments, {a.id: c for a, c in zip(attachments, contents, strict=True)}


class Shelf:
    """Gives contents in pieces, and counts how often it was asked."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        self.contents = contents
        self.asked = 0

    def __call__(self, attachment: Attachment) -> Iterator[bytes]:
        self.asked += 1
        content = self.contents[attachment.id]
        yield from (content[at : at + PIECE] for at in range(0, len(content), PIECE))


@pytest.fixture
def seen() -> list[SimRequest]:
    return []


@pytest.fixture
def agency(seen: list[SimRequest]) -> Iterator[RunningSimulator]:
    def handle(request: SimRequest, _context: SimContext) -> SimReply:
        seen.append(request)
        return SimReply(body=f"{request.method} {len(request.body)}".encode())

    with Simulator("parts", handle).start() as running:
        yield running


class Counting:
    """An upload that keeps nothing but the digest."""

    def __init__(self, name: str, media_type: str) -> None:
        self.named = (name, media_type)
        self.content = b""

    def write(self, data: bytes) -> None:
        self.content += data

    def finish(self) -> Attachment:
        (attachment,), _ = kept([self.content])
        return replace(attachment, name=self.named[0], media_type=self.named[1])

    def discard(self) -> None:
        """Nothing is kept."""


def take(request: SimRequest) -> tuple[Attachment, ...]:
    """Read a request as the gateway's own door does."""
    parcel = Parcel(request.headers["content-type"], Counting)
    parcel.feed(request.body)
    return parcel.finish()[1]


def request_to(agency: RunningSimulator, attachments: tuple[Attachment, ...]) -> Request:
    headers = {"content-type": "text/xml; charset=utf-8"}
    return Request(endpoint=agency.url + "/", action="urn:receive", body=b"<a/>", headers=headers, attachments=attachments)


def test_body_and_attachments_arrive_as_parts(agency: RunningSimulator, seen: list[SimRequest]) -> None:
    contents = [os.urandom(2_000_000), b"", b"\r\n--"]
    attachments, shelf = kept(contents)

    with HttpTransport(read=Shelf(shelf)) as transport:
        transport.send(request_to(agency, attachments), timeout=TIMEOUT)

    (came,) = seen
    told = f"content-type: {came.headers['content-type']}\r\n\r\n".encode()
    root = next(part for part in message_from_bytes(told + came.body).walk() if not part.is_multipart())
    taken = take(came)
    assert came.headers["content-type"].startswith('multipart/related; type="text/xml"; start="<document>"')
    assert (came.headers["soapaction"], came.headers["content-length"]) == ('"urn:receive"', str(len(came.body)))
    assert (root.get_content_type(), root.get_payload(decode=True), root["content-id"]) == ("text/xml", b"<a/>", "<document>")
    assert [(a.name, a.media_type, a.size, a.sha256) for a in taken] == [(a.name, a.media_type, a.size, a.sha256) for a in attachments]


def test_connection_serves_plain_requests_afterwards(agency: RunningSimulator, seen: list[SimRequest]) -> None:
    attachments, shelf = kept([os.urandom(100_000)])
    with HttpTransport(read=Shelf(shelf)) as transport:
        with_parts = request_to(agency, attachments)
        plain = replace(with_parts, attachments=())
        for request in (plain, with_parts, plain, replace(plain, method="GET", body=b""), with_parts):
            transport.send(request, timeout=TIMEOUT)

    assert [request.method for request in seen] == ["POST", "POST", "POST", "GET", "POST"]
    assert [len(request.body) < 100 for request in seen] == [True, False, True, True, False]
    assert seen[1].body == seen[4].body


def test_content_that_cannot_be_read_breaks_the_request_off_with_its_own_reason(agency: RunningSimulator, seen: list[SimRequest]) -> None:
    attachments, shelf = kept([os.urandom(200_000), b"x"])

    def failing(attachment: Attachment) -> Iterator[bytes]:
        yield shelf[attachment.id][:1000]
        raise Unavailable(Code.UNAVAILABLE, Problem(text="attachments.missing"))

    with HttpTransport(read=failing) as transport, pytest.raises(Unavailable) as refused:
        transport.send(request_to(agency, attachments), timeout=TIMEOUT)

    assert refused.value.problems[0].text == "attachments.missing"
    assert [len(request.body) < int(request.headers["content-length"]) for request in seen] == [True] * len(seen)


def test_defect_while_reading_is_not_swallowed(agency: RunningSimulator) -> None:
    def broken(_attachment: Attachment) -> Iterator[bytes]:
        raise ZeroDivisionError

    with HttpTransport(read=broken) as transport, pytest.raises(ZeroDivisionError):
        transport.send(request_to(agency, kept([b"x"])[0]), timeout=TIMEOUT)


@pytest.mark.slow  # libcurl measures speed over five seconds
def test_partner_that_takes_nothing_is_left_after_the_routes_timeout() -> None:
    attachments, shelf = kept([bytes(30_000_000)])
    with partner(silent) as place, HttpTransport(read=Shelf(shelf)) as transport:
        request = Request(endpoint=f"http://{place}/", action="", body=b"<a/>", attachments=attachments)
        with pytest.raises(Unavailable) as refused:
            transport.send(request, timeout=timedelta(seconds=1))

    assert refused.value.problems[0].text == "transport.timeout"


def test_without_a_store_attachments_are_not_sent(agency: RunningSimulator) -> None:
    with HttpTransport() as transport, pytest.raises(Unavailable) as refused:
        transport.send(request_to(agency, kept([b"x"])[0]), timeout=TIMEOUT)

    assert refused.value.problems[0].text == "attachments.missing"


def test_question_has_no_attachments(agency: RunningSimulator) -> None:
    with pytest.raises(ValueError, match="one body"):
        check_sendable(replace(request_to(agency, kept([b"x"])[0]), method="GET"))


def test_body_begins_anew_on_a_new_connection(agency: RunningSimulator) -> None:
    attachments, shelf = kept([os.urandom(100)])
    parts = Parts(request_to(agency, attachments), Shelf(shelf), media_type="text/xml")
    first = parts.read(150)

    assert parts.seek(0, 0) == 0
    assert parts.read(150) == first
    assert parts.seek(10, 0) != 0


def test_header_of_a_part_cannot_be_broken_by_a_name(agency: RunningSimulator) -> None:
    (attachment,), shelf = kept([b"x"])
    hostile = replace(attachment, name='a"\r\nX-Evil: 1\r\n\r\n.pdf')
    parts = Parts(request_to(agency, (hostile,)), Shelf(shelf), media_type="text/xml")
    written = b""
    while piece := parts.read(65_536):
        assert isinstance(piece, bytes)
        written += piece

    assert b"\r\nX-Evil" not in written
    assert len(written) == parts.size


def test_boundary_says_nothing_about_contents(agency: RunningSimulator) -> None:
    attachments, shelf = kept([b"x"])

    media_type = Parts(request_to(agency, attachments), Shelf(shelf), media_type="text/xml").media_type

    assert attachments[0].id not in media_type
    assert attachments[0].sha256 not in media_type
