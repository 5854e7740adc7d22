"""Whatever arrives, only a GatewayError leaves the door, and what it says can be answered."""

from datetime import UTC, datetime

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from gateway.errors import Code, GatewayError, Problem
from gateway.model import MessageId, Refusal
from gateway.ports import Opened
from gateway.protocols.vnsw.door import VnswDoor
from gateway.testing import builders
from gateway.xml.envelope import try_header

SEEDS = tuple(
    builders.soap(builders.message(kind), client=client, version=version)
    for kind in ("10/01", "18/14")
    for client in builders.CLIENTS
    for version in ("1.1", "1.2")
)
TOKENS = (
    b"<",
    b">",
    b"&",
    b"]]>",
    b"<![CDATA[",
    b"<!--",
    b"<!DOCTYPE a [<!ENTITY b 'c'>]>",
    b"<?xml version='1.0' encoding='UTF-16'?>",
    b"&lt;",
    b"&amp;lt;",
    b"&#0;",
    b"&#xD800;",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\x00",
    b"</s:Body>",
    b"<receiveRequest/>",
    b"<requestPayload>",
    b"</requestPayload>",
    b'xmlns=""',
    b'xmlns:s="urn:x"',
    b"Envelope",
    "Giấy".encode(),
)
QUIET = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good call with up to five places cut, doubled or overwritten."""
    data = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 60)))
        filling = draw(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=8), st.just(data[start:end] * 2)))
        data = data[:start] + filling + data[end:]
    return data


def brought_in(door: VnswDoor, data: bytes, media_type: str) -> tuple[Opened | None, Refusal]:
    """What intake does with a message that is going to be refused."""
    opened, error = None, GatewayError(Code.SCHEMA, Problem(text="vnsw.service"))
    try:
        opened = door.open(builders.arrival(data, media_type=media_type))
    except GatewayError as refused:
        error = refused
    header = try_header(opened.payload, zone=builders.ZONE) if opened else None
    refusal = Refusal(
        message=MessageId("019a2b3c-4d5e-7f60-8a1b-2c3d4e5f6071"),
        refused_at=datetime(2026, 10, 12, tzinfo=UTC),
        code=error.code,
        problems=error.problems,
        header=header,
    )
    return opened, refusal


@QUIET
@given(data=st.one_of(mutated(), st.binary(max_size=200)), media_type=st.sampled_from(["text/xml", "application/soap+xml", "", "a/b"]))
def test_nothing_but_a_refusal_leaves_and_every_refusal_is_answered(door: VnswDoor, data: bytes, media_type: str) -> None:
    opened, refusal = brought_in(door, data, media_type)

    reply = door.answer(opened, refusal)

    assert reply.status == 200 if opened else reply.status in (400, 500)
    assert etree.QName(etree.fromstring(reply.body)).localname == "Envelope"


@QUIET
@given(text=st.text(max_size=60), hint=st.text(max_size=60))
def test_any_text_in_a_call_is_opened_or_refused(door: VnswDoor, text: str, hint: str) -> None:
    call = etree.Element(f"{{{builders.GATEWAY_NS}}}receiveRequest")
    clean = [value if value.isprintable() else "" for value in (hint, hint, text)]
    for name, value in zip(("officeCode", "documentType", "requestPayload"), clean, strict=True):
        etree.SubElement(call, f"{{{builders.GATEWAY_NS}}}{name}").text = value
    data = b'<s:Envelope xmlns:s="%b"><s:Body>%b</s:Body></s:Envelope>' % (builders.SOAP11.encode(), etree.tostring(call))

    opened, refusal = brought_in(door, data, "text/xml")

    assert opened is not None
    assert door.answer(opened, refusal).status == 200
