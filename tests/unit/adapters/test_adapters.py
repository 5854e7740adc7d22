"""Each agency's golden exchange: an accepted message, the request it becomes, and replies as the agency writes them."""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.agriculture.adapter import ADAPTER as AGRICULTURE
from adapters.customs.adapter import ADAPTER as CUSTOMS
from adapters.portal.adapter import ADAPTER as PORTAL
from gateway.lifecycle import Delivered, Failed, Outcome, Rejected
from gateway.model import Document, Envelope, Party, PartyCode, Reply, Request, SealProfile
from gateway.ports import Adapter
from gateway.testing import builders
from gateway.xml.envelope import read_header
from gateway.xml.parse import parse

GOLDEN = Path(__file__).parent / "golden"
ADAPTERS: Mapping[str, Adapter] = {"agriculture": AGRICULTURE, "customs": CUSTOMS, "portal": PORTAL}
PARTIES: Mapping[str, Party] = {
    "agriculture": builders.party("BNN"),
    "customs": builders.party("HQ", adapter="customs"),
    "portal": builders.party("NSW", adapter="portal", signature="xmldsig"),
}
each = pytest.mark.parametrize("name", ADAPTERS)


def golden(name: str, part: str) -> bytes:
    return (GOLDEN / name / f"{part}.xml").read_bytes().removesuffix(b"\n")


def accepted(payload: bytes) -> Envelope:
    header = read_header(parse(payload), zone=builders.ZONE)
    subject = header.subject
    document = Document(
        type=f"{subject.document_type}{subject.type}{subject.function}", content=payload, sha256=sha256(payload).hexdigest()
    )
    return replace(builders.envelope(payload=payload), header=header, sender=PartyCode(header.sender.identity), document=document)


def encoded(name: str) -> Request:
    return ADAPTERS[name].encode(accepted(golden(name, "message")), builders.route(PARTIES[name]))


def decoded(name: str, part: str, *, status: int = 200) -> Outcome:
    return ADAPTERS[name].decode(Reply(status=status, body=golden(name, part)))


def wrapped(request: Request) -> bytes:
    """The body as it leaves, without the signature that the sealer puts in."""
    return request.seal.wrap(request.seal.document) if request.seal else request.body


@each
def test_a_message_becomes_the_golden_request(name: str) -> None:
    assert wrapped(encoded(name)) == golden(name, "request")


@each
def test_a_request_is_made_twice_the_same(name: str) -> None:
    assert encoded(name) == encoded(name)


@each
def test_the_golden_acceptance_is_delivered(name: str) -> None:
    assert decoded(name, "reply-accepted") == Delivered(reference=f"{name}-0001")


@each
def test_the_golden_refusal_is_rejected_with_its_reason(name: str) -> None:
    assert decoded(name, "reply-refused") == Rejected(
        reason="ERR04_CODE: Message Type: Không tồn tại; ERR05_CODE: Nội dung bản tin không có dữ liệu, hoặc không hợp lệ."
    )


@each
def test_an_adapter_is_named_as_its_entry_point(name: str) -> None:
    profile = ADAPTERS[name].profile

    assert (profile.name, profile.protocol) == (name, "vnsw")


@each
@given(start=st.integers(0, 3000), length=st.integers(0, 40), filling=st.binary(max_size=8), part=st.sampled_from(["accepted", "refused"]))
def test_a_damaged_reply_is_an_outcome_and_never_an_exception(name: str, start: int, length: int, filling: bytes, part: str) -> None:
    body = golden(name, f"reply-{part}")
    damaged = body[:start] + filling + body[start + length :]

    assert isinstance(ADAPTERS[name].decode(Reply(status=200, body=damaged)), Outcome)


@each
@given(body=st.binary(max_size=400), status=st.integers(100, 599))
def test_an_unreadable_reply_is_a_failure_and_never_an_exception(name: str, body: bytes, status: int) -> None:
    assert isinstance(ADAPTERS[name].decode(Reply(status=status, body=body)), Failed)


def test_agriculture_is_told_the_operation_it_knows() -> None:
    assert encoded("agriculture").action == "http://mard.gov.vn/nsw/services/IMardGateway/receive"


def test_agriculture_that_could_not_save_is_tried_again() -> None:
    assert decoded("agriculture", "reply-not-saved") == Failed(code="BNN06_CODE", detail="BNN06_CODE: Không lưu được dữ liệu!")


def test_the_same_code_from_the_portal_is_a_refusal() -> None:
    body = golden("portal", "reply-refused").replace(b"ERR04_CODE", b"BNN06_CODE").replace(b"ERR05_CODE", b"BNN06_CODE")

    assert isinstance(PORTAL.decode(Reply(status=200, body=body)), Rejected)


@pytest.mark.parametrize(("signature", "sealed"), [("none", False), ("xmldsig", True)])
@each
def test_a_request_waits_for_its_signature_where_the_party_takes_one(name: str, signature: str, sealed: bool) -> None:  # noqa: FBT001  # a case's column
    party = replace(PARTIES[name], accepts=SealProfile(signature=signature))

    request = ADAPTERS[name].encode(accepted(golden(name, "message")), builders.route(party))

    assert (request.seal is not None) is sealed
    assert bool(request.body) is not sealed
