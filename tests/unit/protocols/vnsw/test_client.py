from dataclasses import replace

import pytest
from lxml import etree

from gateway.lifecycle import Delivered, Failed, Rejected
from gateway.model import Reply, Route, SealProfile
from gateway.protocols.vnsw.client import decode, encode
from gateway.protocols.vnsw.dialects import DIALECTS, GATEWAY, MARD, SERVICE, Dialect
from gateway.protocols.vnsw.door import VnswDoor
from gateway.protocols.vnsw.wrapping import response
from gateway.testing import builders
from gateway.xml import soap


def route(**changes: object) -> Route:
    party = builders.party("BNN")
    return builders.route(replace(party, **changes))  # type: ignore[arg-type]  # fields by name, as the cases list them


def replied(content: str, *, function: str = "00", dialect: Dialect = GATEWAY, status: int = 200) -> Reply:
    envelope = (
        "<Envelope><Header><Reference><messageId>their-id</messageId></Reference><Subject><documentType>BNN&amp;PTNT0300002"
        f"</documentType><type>10</type><function>{function}</function></Subject></Header><Body><Content>{content}</Content></Body></Envelope>"
    )
    return Reply(status=status, body=soap.wrap(response(dialect, envelope.encode()), version="1.1"))


def test_an_unsigned_request_can_be_opened_by_a_door(door: VnswDoor) -> None:
    request = encode(MARD, builders.envelope(), route())

    opened = door.open(builders.arrival(request.body))

    envelope = etree.fromstring(opened.payload)
    assert request.seal is None
    assert envelope.findtext("Header/Subject/documentType") == builders.PROCEDURE
    assert envelope.findtext("Header/Reference/messageId") == builders.header("10/01").id
    assert (opened.wrapper.office_code, opened.wrapper.document_type) == ("BNN", builders.PROCEDURE)


def test_a_signing_party_gets_its_body_only_when_it_is_sealed(door: VnswDoor) -> None:
    request = encode(GATEWAY, builders.envelope(), route(accepts=SealProfile(signature="xmldsig")))

    assert request.body == b""
    assert request.seal is not None
    assert request.seal.profile == "xmldsig"
    sealed = request.seal.document.replace(b"</Envelope>", b"<x></x></Envelope>")
    assert door.open(builders.arrival(request.seal.wrap(sealed))).payload == sealed


def test_the_portal_is_called_under_the_senders_code(door: VnswDoor) -> None:
    request = encode(GATEWAY, builders.envelope("21/18"), builders.route(builders.party("NSW")))

    assert door.open(builders.arrival(request.body)).wrapper.office_code == "BNN"


@pytest.mark.parametrize("signature", ["none", "xmldsig"])
def test_the_same_message_makes_the_same_request(signature: str) -> None:
    to = route(accepts=SealProfile(signature=signature))

    assert encode(MARD, builders.envelope(), to) == encode(MARD, builders.envelope(), to)


def test_soap_1_1_leaves_its_action_to_the_transport() -> None:
    request = encode(MARD, builders.envelope(), route())

    assert request.action == MARD.action
    assert request.headers == {"content-type": "text/xml; charset=utf-8"}


def test_soap_1_2_says_its_action_in_the_media_type() -> None:
    request = encode(MARD, builders.envelope(), route(dialect={"soap": "1.2"}))

    assert request.headers == {"content-type": f'application/soap+xml; charset=utf-8; action="{MARD.action}"'}


def test_a_partys_data_changes_the_dialect(door: VnswDoor) -> None:
    wanted = {
        "holder": "request",
        "action": "urn:receive",
        "version": "01",
        "office_code": "MARD",
        builders.PROCEDURE: "BNNPTNT0300002",
    }

    request = encode(MARD, builders.envelope(), route(dialect=wanted))

    opened = door.open(builders.arrival(request.body))
    envelope = etree.fromstring(opened.payload)
    assert request.action == "urn:receive"
    assert b"<request><officeCode" in request.body
    assert (opened.wrapper.office_code, opened.wrapper.document_type) == ("MARD", "BNNPTNT0300002")
    assert envelope.findtext("Header/Subject/documentType") == "BNNPTNT0300002"
    assert envelope.findtext("Header/Reference/version") == "01"


# --- replies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
def test_99_is_delivered_under_the_partners_id(dialect: Dialect) -> None:
    spelled = replace(dialect, namespace="urn:any") if dialect.namespace == "*" else dialect

    reply = replied("<ReceiveDate>2026-10-12 09:30:01</ReceiveDate>", function="99", dialect=spelled)

    assert decode(dialect, reply) == Delivered(reference="their-id")


def test_00_is_rejected_with_every_code_and_name() -> None:
    errors = (
        "<ErrorList><Error><ErrorCode>ERR02_CODE</ErrorCode><ErrorName>Sai cấu trúc</ErrorName></Error>"
        "<Error><ErrorCode>ERR05_CODE</ErrorCode><ErrorName>Thiếu\n nội dung</ErrorName></Error></ErrorList>"
    )

    assert decode(GATEWAY, replied(errors)) == Rejected(reason="ERR02_CODE: Sai cấu trúc; ERR05_CODE: Thiếu nội dung")


def test_the_transport_ministrys_errors_are_read_too() -> None:
    errors = "<DS_Loi><Thongtin_Loi><ma_loi>E1</ma_loi><ten_loi>Sai mã</ten_loi></Thongtin_Loi></DS_Loi>"

    assert decode(GATEWAY, replied(errors)) == Rejected(reason="E1: Sai mã")


def test_a_refusal_without_a_reason_is_a_refusal() -> None:
    assert decode(GATEWAY, replied("", function="0")) == Rejected(reason="00")


def test_a_refusal_counts_whatever_the_status() -> None:
    assert isinstance(decode(GATEWAY, replied("", status=500)), Rejected)


def test_a_code_for_later_is_a_failure_only_when_it_is_alone() -> None:
    later, never = (
        "<Error><ErrorCode>BNN06_CODE</ErrorCode><ErrorName>Không lưu được</ErrorName></Error>",
        "<Error><ErrorCode>ERR01_CODE</ErrorCode></Error>",
    )
    codes = frozenset({"BNN06_CODE"})

    alone = decode(GATEWAY, replied(f"<ErrorList>{later}</ErrorList>"), try_later=codes)
    mixed = decode(GATEWAY, replied(f"<ErrorList>{later}{never}</ErrorList>"), try_later=codes)

    assert alone == Failed(code="BNN06_CODE", detail="BNN06_CODE: Không lưu được")
    assert isinstance(mixed, Rejected)


def test_99_with_a_bad_status_is_not_delivered() -> None:
    assert decode(GATEWAY, replied("", function="99", status=503)) == Failed(code="http-503")


@pytest.mark.parametrize("function", ["12", "", "x"])
def test_another_function_is_no_reply(function: str) -> None:
    assert decode(GATEWAY, replied("", function=function)) == Failed(code="reply-unreadable", detail="neither 99 nor 00")


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_a_fault_is_a_failure_with_its_text(version: str) -> None:
    fault = soap.fault(version, sender=True, text="Thao tác không tồn tại", language="vi")

    assert decode(GATEWAY, Reply(status=500, body=fault)) == Failed(code="soap-fault", detail="Thao tác không tồn tại")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>Bao tri</body></html>",
        b"{}",
        b"\xff\xfe\x00",
        soap.wrap(b"<a/>", version="1.1"),
        soap.wrap(response(GATEWAY, b""), version="1.1"),
        soap.wrap(response(GATEWAY, b"<Envelope>"), version="1.1"),
        soap.wrap(response(GATEWAY, b"99"), version="1.1"),
        soap.wrap(b'<r xmlns="u"><responsePayload>a</responsePayload><responsePayload>b</responsePayload></r>', version="1.1"),
    ],
)
@pytest.mark.parametrize(("status", "code"), [(200, "reply-unreadable"), (404, "http-404"), (503, "http-503"), (302, "http-302")])
def test_what_cannot_be_read_is_a_failure(body: bytes, status: int, code: str) -> None:
    assert decode(GATEWAY, Reply(status=status, body=body)) == Failed(code=code)


def test_a_long_reason_is_cut() -> None:
    outcome = decode(SERVICE, replied(f"<ErrorList><Error><ErrorName>{'x' * 9000}</ErrorName></Error></ErrorList>"))

    assert isinstance(outcome, Rejected)
    assert len(outcome.reason) == 1000
