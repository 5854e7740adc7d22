"""Each agency's golden exchange: an accepted message, the request it becomes, and replies as the agency writes them.

A folder under golden/ that holds a golden.toml is one; its name is the adapter's. Nothing is to be written here for a new one.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import cache
from hashlib import sha256
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from gateway.lifecycle import Accepted, Deferred, Delivered, Failed, Outcome, Rejected
from gateway.model import Document, Envelope, Party, PartyCode, Reply, Request, SealProfile
from gateway.ports import Adapter
from gateway.routing.forms import PartyForm
from gateway.routing.parties import make_party
from gateway.testing import builders
from gateway.xml.envelope import read_header
from gateway.xml.parse import parse

GOLDEN = Path(__file__).parent / "golden"
STATED: Mapping[str, Mapping[str, Any]] = {
    file.parent.name: tomllib.loads(file.read_text("utf-8")) for file in sorted(GOLDEN.glob("*/golden.toml"))
}
OUTCOMES = {"delivered": Delivered, "accepted": Accepted, "rejected": Rejected, "deferred": Deferred, "failed": Failed}
SHIPPED = ("agriculture", "customs", "portal")  # their golden requests are ours, so each byte of them counts
each = pytest.mark.parametrize("name", STATED)
shipped = pytest.mark.parametrize("name", SHIPPED)
each_reply = pytest.mark.parametrize(
    ("name", "reply"),
    [pytest.param(name, reply, id=f"{name}-{reply['file']}") for name, stated in STATED.items() for reply in stated["reply"]],
)


def golden(name: str, file: str) -> bytes:
    return (GOLDEN / name / file).read_bytes().removesuffix(b"\n")


@cache
def adapter(name: str) -> Adapter:
    found: Adapter = entry_points(group="nsw_gateway.adapters")[name].load()
    return found


def party(name: str) -> Party:
    return make_party(PartyForm.model_validate(STATED[name]["party"]), endpoint="", zone=builders.ZONE)


def accepted(payload: bytes) -> Envelope:
    header = read_header(parse(payload), zone=builders.ZONE)
    subject = header.subject
    document = Document(
        type=f"{subject.document_type}{subject.type}{subject.function}", content=payload, sha256=sha256(payload).hexdigest()
    )
    return replace(builders.envelope(payload=payload), header=header, sender=PartyCode(header.sender.identity), document=document)


def encoded(name: str) -> Request:
    return adapter(name).encode(accepted(golden(name, "message.xml")), builders.route(party(name)))


def decoded(name: str, reply: Mapping[str, Any]) -> Outcome:
    return adapter(name).decode(Reply(status=reply.get("status", 200), body=golden(name, reply["file"])))


def outcome(reply: Mapping[str, Any]) -> Outcome:
    """What is stated about a reply; a number stands for seconds."""
    word = next(word for word in OUTCOMES if word in reply)
    values = {key: timedelta(seconds=value) if type(value) is int else value for key, value in reply[word].items()}
    stated: Outcome = OUTCOMES[word](**values)
    return stated


def wrapped(request: Request) -> bytes:
    """The body as it leaves, without the signature that the sealer puts in."""
    return request.seal.wrap(request.seal.document) if request.seal else request.body


def said(document: bytes) -> str:
    """What a document says, also in XML that stands in it as text, whatever prefixes, white space and escapes its writer likes."""
    root = parse(document.strip())
    for element in root.iter("*"):
        if (element.text or "").lstrip().startswith("<"):
            element.text = said((element.text or "").encode())
    return str(etree.canonicalize(root, strip_text=True, rewrite_prefixes=True))


@shipped
def test_a_message_becomes_the_golden_request_byte_for_byte(name: str) -> None:
    assert wrapped(encoded(name)) == golden(name, "request.xml")


@each
def test_a_message_becomes_the_golden_request(name: str) -> None:
    assert said(wrapped(encoded(name))) == said(golden(name, "request.xml"))


@each
def test_a_request_is_made_twice_the_same(name: str) -> None:
    assert encoded(name) == encoded(name)


@each_reply
def test_a_golden_reply_means_what_is_stated(name: str, reply: Mapping[str, Any]) -> None:
    assert decoded(name, reply) == outcome(reply)


@each
def test_a_golden_exchange_has_a_message_taken_and_one_refused(name: str) -> None:
    words = {word for reply in STATED[name]["reply"] for word in OUTCOMES if word in reply}

    assert "rejected" in words
    assert words & {"delivered", "accepted"}


@each
def test_an_adapter_is_named_as_its_entry_point(name: str) -> None:
    assert adapter(name).profile.name == name == STATED[name]["party"]["adapter"]


@shipped
def test_a_shipped_adapter_of_the_field_speaks_vnsw(name: str) -> None:
    assert adapter(name).profile.protocol == "vnsw"


@each_reply
@given(start=st.integers(0, 3000), length=st.integers(0, 40), filling=st.binary(max_size=8))
def test_a_damaged_reply_is_an_outcome_and_never_an_exception(
    name: str, reply: Mapping[str, Any], start: int, length: int, filling: bytes
) -> None:
    body = golden(name, reply["file"])
    damaged = body[:start] + filling + body[start + length :]

    assert isinstance(adapter(name).decode(Reply(status=200, body=damaged)), Outcome)


@each
@given(body=st.binary(max_size=400), status=st.integers(100, 599))
def test_an_unreadable_reply_is_a_failure_and_never_an_exception(name: str, body: bytes, status: int) -> None:
    assert isinstance(adapter(name).decode(Reply(status=status, body=body)), Failed)


def test_agriculture_is_told_the_operation_it_knows() -> None:
    assert encoded("agriculture").action == "http://mard.gov.vn/nsw/services/IMardGateway/receive"


def test_the_same_code_from_the_portal_is_a_refusal() -> None:
    body = golden("portal", "reply-refused.xml").replace(b"ERR04_CODE", b"BNN06_CODE").replace(b"ERR05_CODE", b"BNN06_CODE")

    assert isinstance(adapter("portal").decode(Reply(status=200, body=body)), Rejected)


@pytest.mark.parametrize(("signature", "sealed"), [("none", False), ("xmldsig", True)])
@shipped
def test_a_request_waits_for_its_signature_where_the_party_takes_one(name: str, signature: str, sealed: bool) -> None:  # noqa: FBT001  # a case's column
    taking = replace(party(name), accepts=SealProfile(signature=signature))

    request = adapter(name).encode(accepted(golden(name, "message.xml")), builders.route(taking))

    assert (request.seal is not None) is sealed
    assert bool(request.body) is not sealed


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (b'<p:a xmlns:p="urn:x"><p:b><![CDATA[<c> <d/> </c>]]></p:b>\n</p:a>', True),
        (b'<a xmlns="urn:x"><b>&lt;c&gt;&lt;e/&gt;&lt;/c&gt;</b></a>', False),
        (b'<a xmlns="urn:y"><b>&lt;c&gt;&lt;d/&gt;&lt;/c&gt;</b></a>', False),
    ],
)
def test_a_sample_is_compared_by_what_it_says(other: bytes, same: bool) -> None:  # noqa: FBT001  # a case's column
    assert (said(b'<a xmlns="urn:x"><b>&lt;c&gt;&lt;d/&gt;&lt;/c&gt;</b></a>') == said(other)) is same
