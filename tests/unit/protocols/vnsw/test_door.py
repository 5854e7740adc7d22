from collections.abc import Callable
from dataclasses import replace

import pytest
from lxml import etree

from gateway.errors import Code, NotReadable, Problem
from gateway.model import Header, MessageId, Receipt, Refusal, Reply
from gateway.ports import Opened
from gateway.protocols.vnsw.dialects import DIALECTS, Dialect
from gateway.protocols.vnsw.door import VnswDoor
from gateway.protocols.vnsw.wrapping import request
from gateway.testing import builders

Refuse = Callable[..., Refusal]

ENVELOPE = builders.message("10/01")
SOAP = {"1.1": builders.SOAP11, "1.2": builders.SOAP12}
PROBLEM = Problem(text="vnsw.field-twice", path="/Envelope/Body", line=12, values={"field": "Content"})


def body(child: str, *, version: str = "1.1", header: str = "") -> bytes:
    return f'<s:Envelope xmlns:s="{SOAP[version]}">{header}<s:Body>{child}</s:Body></s:Envelope>'.encode()


def opened(door: VnswDoor, data: bytes, media_type: str = "text/xml") -> Opened:
    return door.open(builders.arrival(data, media_type=media_type))


def answered(reply: Reply) -> etree._Element:
    """The envelope inside a reply, found as the field's clients find it: by searching for its escaped tags."""
    text = reply.body.decode()
    start, end = text.index("&lt;Envelope&gt;"), text.rindex("&lt;/Envelope&gt;")
    escaped = text[start : end + len("&lt;/Envelope&gt;")]
    return etree.fromstring(escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


def text_of(envelope: etree._Element, path: str) -> str | None:
    return envelope.findtext(path)


def fault_code(reply: Reply) -> str:
    """The code of a SOAP fault: faultcode in 1.1, Code/Value in 1.2."""
    root = etree.fromstring(reply.body)
    return root.findtext(".//faultcode") or root.findtext(f".//{{{builders.SOAP12}}}Value") or ""


# --- opening ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.1", "1.2"])
@pytest.mark.parametrize("client", builders.CLIENTS)
def test_every_client_of_the_field_is_understood(door: VnswDoor, client: str, version: str) -> None:
    found = opened(door, builders.soap(ENVELOPE, client=client, version=version))

    assert found.payload == ENVELOPE
    assert found.wrapper.version == version
    assert (found.wrapper.office_code, found.wrapper.document_type) == ("BNN", builders.PROCEDURE)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_a_call_may_come_in_any_unicode_encoding(door: VnswDoor, encoding: str) -> None:
    text = builders.soap(ENVELOPE).decode()
    mark = "\ufeff" if encoding == "utf-16-le" else ""

    assert opened(door, (mark + text).encode(encoding)).payload == ENVELOPE


@pytest.mark.parametrize("action", ["", '"urn:anything"'])
def test_the_action_in_a_media_type_changes_nothing(door: VnswDoor, action: str) -> None:
    call = builders.soap(ENVELOPE, version="1.2")

    assert opened(door, call, f"application/soap+xml; charset=utf-8; action={action}").payload == ENVELOPE


def test_addressing_headers_are_left_unread(door: VnswDoor) -> None:
    block = '<a:To xmlns:a="http://www.w3.org/2005/08/addressing" s:mustUnderstand="1">http://x/ws</a:To>'
    child = f'<receiveRequest xmlns="{builders.SERVICE_NS}"><requestPayload>x</requestPayload></receiveRequest>'

    assert opened(door, body(child, version="1.2", header=f"<s:Header>{block}</s:Header>")).payload == b"x"


def test_a_header_that_must_be_understood_and_is_not_is_refused(door: VnswDoor) -> None:
    block = '<w:Security xmlns:w="urn:wss" s:mustUnderstand="1"/>'
    child = f'<receiveRequest xmlns="{builders.SERVICE_NS}"><requestPayload>x</requestPayload></receiveRequest>'

    with pytest.raises(NotReadable):
        opened(door, body(child, header=f"<s:Header>{block}</s:Header>"))


@pytest.mark.parametrize("version", ["1.1", "1.2"])
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
def test_every_dialect_is_found_by_its_name(door: VnswDoor, dialect: Dialect, version: str) -> None:
    spelled = replace(dialect, namespace="urn:anything") if dialect.namespace == "*" else dialect
    child = request(spelled, ENVELOPE, office="BNN", document_type=builders.PROCEDURE).decode()

    found = opened(door, body(child, version=version))

    assert found.payload == ENVELOPE
    assert found.wrapper.operation == f"{{{spelled.namespace}}}{spelled.request}"
    assert found.wrapper.office_code == ("BNN" if dialect.office else "")


def test_saaj_markers_written_as_text_come_off(door: VnswDoor) -> None:
    text = f"<![CDATA[{ENVELOPE.decode()}]]>".replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    child = f'<gen:receiveRequest xmlns:gen="{builders.SERVICE_NS}"><gen:requestPayload>{text}</gen:requestPayload></gen:receiveRequest>'

    assert opened(door, body(child)).payload == ENVELOPE


@pytest.mark.parametrize(
    "child",
    [
        '<g:receiveRequest xmlns:g="{ns}"><requestPayload>{payload}</requestPayload></g:receiveRequest>',
        '<receiveRequest xmlns="{ns}"><requestPayload xmlns="">{payload}</requestPayload></receiveRequest>',
        '<receiveRequest xmlns="{ns}"><officeCode/><!-- none --><requestPayload>{payload}</requestPayload></receiveRequest>',
        '<receiveRequest xmlns="{ns}"><GatewayData><requestPayload>{payload}</requestPayload></GatewayData></receiveRequest>',
        '<GatewayData><receiveRequest xmlns="{ns}"><requestPayload>{payload}</requestPayload></receiveRequest></GatewayData>',
    ],
)
def test_a_payload_is_found_however_it_is_qualified_or_held(door: VnswDoor, child: str) -> None:
    escaped = ENVELOPE.decode().replace("&", "&amp;").replace("<", "&lt;")

    assert opened(door, body(child.format(ns=builders.GATEWAY_NS, payload=escaped))).payload == ENVELOPE


def test_an_envelope_as_real_elements_is_tolerated(door: VnswDoor) -> None:
    child = f'<g:receiveRequest xmlns:g="{builders.GATEWAY_NS}"><g:requestPayload>{ENVELOPE.decode()}</g:requestPayload></g:receiveRequest>'

    assert opened(door, body(child)).payload == ENVELOPE


@pytest.mark.parametrize("inside", ["", "<requestPayload/>", "<requestPayload>  </requestPayload>", "<other>x</other>"])
def test_an_empty_payload_is_no_fault(door: VnswDoor, inside: str) -> None:
    found = opened(door, body(f'<receiveRequest xmlns="{builders.GATEWAY_NS}"><officeCode>BNN</officeCode>{inside}</receiveRequest>'))

    assert found.payload == b""
    assert found.wrapper.office_code == "BNN"


def test_two_payloads_are_refused(door: VnswDoor) -> None:
    payloads = "<requestPayload>a</requestPayload><requestPayload>b</requestPayload>"
    twice = f'<receiveRequest xmlns="{builders.GATEWAY_NS}">{payloads}</receiveRequest>'

    with pytest.raises(NotReadable) as refusal:
        opened(door, body(twice))

    assert refusal.value.code is Code.NOT_SOAP
    assert refusal.value.problems[0].text == "vnsw.field-twice"


@pytest.mark.parametrize("child", ['<receiveRequest xmlns="urn:other"/>', "<receiveRequest/>", f'<ping xmlns="{builders.GATEWAY_NS}"/>'])
def test_an_unknown_operation_is_refused_by_name(door: VnswDoor, child: str) -> None:
    with pytest.raises(NotReadable) as refusal:
        opened(door, body(child))

    assert refusal.value.code is Code.NOT_SOAP
    assert refusal.value.problems[0].text == "vnsw.operation"


@pytest.mark.parametrize("data", [b"", b"no xml", b"{}", ENVELOPE, b"<a/>", b"\x00\xff", b"<!DOCTYPE a []><a/>"])
def test_what_is_not_soap_is_refused(door: VnswDoor, data: bytes) -> None:
    with pytest.raises(NotReadable):
        opened(door, data)


# --- answering -------------------------------------------------------------------------------------------------------


def test_a_receipt_is_answered_with_from_and_to_exchanged(door: VnswDoor, receipt: Receipt) -> None:
    envelope = answered(door.answer(opened(door, builders.soap(ENVELOPE)), receipt))

    paths = ("Header/From/identity", "Header/To/identity", "Header/Subject/documentType", "Header/Subject/type")
    assert [text_of(envelope, path) for path in paths] == ["BNN", "NSW", builders.PROCEDURE, "10"]
    assert text_of(envelope, "Header/Subject/function") == "99"
    assert text_of(envelope, "Header/Subject/reference") == receipt.header.subject.reference
    assert text_of(envelope, "Header/Reference/messageId") == receipt.message
    assert text_of(envelope, "Body/Content/ReceiveDate") == "2026-10-12 09:30:01"


@pytest.mark.parametrize("version", ["1.1", "1.2"])
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
def test_a_reply_speaks_the_callers_dialect_and_version(door: VnswDoor, receipt: Receipt, dialect: Dialect, version: str) -> None:
    spelled = replace(dialect, namespace="urn:anything") if dialect.namespace == "*" else dialect
    call = opened(door, body(request(spelled, ENVELOPE).decode(), version=version))

    reply = door.answer(call, receipt)

    path = [spelled.response, spelled.result_holder]
    names = [f"{{{spelled.namespace}}}{name}" for name in path if name]
    names.append(f"{{{spelled.fields}}}{spelled.result}" if spelled.fields else spelled.result)
    element = etree.fromstring(reply.body).find(f"{{{SOAP[version]}}}Body")
    for name in names:
        assert element is not None
        (element,) = element
        assert element.tag == name
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/xml" if version == "1.1" else "application/soap+xml")


def test_the_same_receipt_gets_the_same_bytes(door: VnswDoor, receipt: Receipt) -> None:
    call = opened(door, builders.soap(ENVELOPE))

    assert door.answer(call, receipt) == door.answer(call, replace(receipt))


@pytest.mark.parametrize(("seal", "signed"), [("xmldsig", True), ("none", False)])
def test_only_a_sealed_result_is_signed(door: VnswDoor, receipt: Receipt, refuse: Refuse, seal: str, signed: bool) -> None:  # noqa: FBT001  # a parameter of the case
    call = opened(door, builders.soap(ENVELOPE))

    for result in (replace(receipt, seal=seal), refuse(header=builders.header("10/01"), seal=seal)):
        assert (b"&lt;!--signed--&gt;" in door.answer(call, result).body) is signed


def test_a_refusal_names_code_place_and_remedy_in_vietnamese(door: VnswDoor, refuse: Refuse) -> None:
    refusal = refuse(Code.SCHEMA, PROBLEM, header=builders.header("10/01"), sender="NSW")

    envelope = answered(door.answer(opened(door, builders.soap(ENVELOPE)), refusal))

    assert text_of(envelope, "Header/Subject/function") == "00"
    assert text_of(envelope, "Body/Content/ErrorList/Error/ErrorCode") == "ERR02_CODE"
    assert text_of(envelope, "Body/Content/ErrorList/Error/ErrorName") == (
        "Phần tử Content xuất hiện nhiều lần trong cùng một yêu cầu SOAP, không xác định được bản tin cần xử lý. "
        "Vị trí: /Envelope/Body, dòng 12. Mỗi yêu cầu chỉ gửi một bản tin trong đúng một phần tử Content."
    )


def test_a_refusal_speaks_the_partys_first_language_there_is(door: VnswDoor, refuse: Refuse) -> None:
    refusal = refuse(Code.SCHEMA, PROBLEM, header=builders.header("10/01"), sender="SG")

    envelope = answered(door.answer(opened(door, builders.soap(ENVELOPE)), refusal))

    assert (text_of(envelope, "Body/Content/ErrorList/Error/ErrorName") or "").startswith("The element Content stands")


def test_each_problem_is_an_error_up_to_twenty(door: VnswDoor, refuse: Refuse) -> None:
    refusal = refuse(Code.SCHEMA, *(replace(PROBLEM, line=n) for n in range(1, 31)), header=builders.header("10/01"))

    envelope = answered(door.answer(opened(door, builders.soap(ENVELOPE)), refusal))

    assert len(envelope.findall("Body/Content/ErrorList/Error")) == 20


def test_an_errors_name_stays_short_and_clean(door: VnswDoor, refuse: Refuse) -> None:
    wild = Problem(text="vnsw.field-twice", path="/a" * 5000, line=1, values={"field": "<&]]>\x00\ud800\n" * 5000})

    envelope = answered(door.answer(opened(door, builders.soap(ENVELOPE)), refuse(Code.SCHEMA, wild, header=builders.header("10/01"))))

    name = text_of(envelope, "Body/Content/ErrorList/Error/ErrorName") or ""
    assert len(name) <= 1300
    assert "\n" not in name
    assert "Vị trí: " in name


def test_without_a_header_the_gateway_answers_the_channels_party(door: VnswDoor, refuse: Refuse) -> None:
    call = opened(door, builders.soap(b"no xml"))

    envelope = answered(door.answer(call, refuse(sender="BNN")))

    assert text_of(envelope, "Header/From/identity") == "VNSWGW"
    assert text_of(envelope, "Header/To/identity") == "BNN"
    assert text_of(envelope, "Header/Subject/documentType") == builders.PROCEDURE
    assert text_of(envelope, "Header/Subject/function") == "00"


def test_without_a_header_and_a_party_nobody_is_addressed(door: VnswDoor, refuse: Refuse) -> None:
    envelope = answered(door.answer(opened(door, builders.soap(b"no xml")), refuse()))

    assert text_of(envelope, "Header/From/identity") == "VNSWGW"
    assert not text_of(envelope, "Header/To/identity")


def test_the_transport_ministry_reads_its_own_error_list(door: VnswDoor, refuse: Refuse, receipt: Receipt) -> None:
    call = opened(door, body('<NSWRequest xmlns="urn:bgtvt"><requestPayload>x</requestPayload></NSWRequest>'))

    refused = answered(door.answer(call, refuse(Code.SIGNATURE)))
    accepted = answered(door.answer(call, receipt))

    assert text_of(refused, "Body/Content/DS_Loi/Thongtin_Loi/ma_loi") == "ERR00_CODE"
    assert text_of(refused, "Body/Content/DS_Loi/Thongtin_Loi/ten_loi")
    assert text_of(accepted, "Body/Content/ngaythongbao") == "2026-10-12 09:30:01"


# --- faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "media_type", "status", "code"),
    [
        (b"no xml", "text/xml", 500, "Client"),
        (b"no xml", "application/soap+xml; charset=utf-8", 400, "Sender"),
        (body("<ping/>"), "application/soap+xml", 500, "Client"),
        (body("<ping/>", version="1.2"), "text/xml", 400, "Sender"),
    ],
)
def test_what_is_not_ours_gets_a_fault_in_its_version(
    door: VnswDoor, refuse: Refuse, data: bytes, media_type: str, status: int, code: str
) -> None:
    with pytest.raises(NotReadable) as error:
        opened(door, data, media_type)

    reply = door.answer(None, refuse(error.value.code, *error.value.problems))

    assert reply.status == status
    assert fault_code(reply).endswith(code)
    assert reply.headers["content-type"].startswith("text/xml" if status == 500 else "application/soap+xml")


@pytest.mark.parametrize(("version", "code"), [("1.1", "Server"), ("1.2", "Receiver")])
def test_our_own_trouble_is_a_fault_to_come_again(door: VnswDoor, refuse: Refuse, version: str, code: str) -> None:
    call = opened(door, builders.soap(ENVELOPE, version=version))

    reply = door.answer(call, refuse(Code.UNAVAILABLE, Problem(text="store.away"), header=builders.header("10/01")))

    assert reply.status == 500
    assert reply.headers["retry-after"] == "30"
    assert fault_code(reply).endswith(code)


def test_our_own_trouble_before_opening_is_a_fault_too(door: VnswDoor, refuse: Refuse) -> None:
    reply = door.answer(None, refuse(Code.UNAVAILABLE, Problem(text="store.away")))

    assert reply.status == 500
    assert reply.headers["retry-after"] == "30"


def test_a_receipt_for_nothing_is_a_defect(door: VnswDoor, receipt: Receipt) -> None:
    with pytest.raises(ValueError, match="without what was opened"):
        door.answer(None, receipt)


def test_a_header_full_of_markup_stays_text(door: VnswDoor, refuse: Refuse) -> None:
    header: Header = builders.header("10/01")
    evil = replace(header, subject=replace(header.subject, reference="</reference><x>]]>&"), id=MessageId("<"))

    envelope = answered(door.answer(opened(door, builders.soap(ENVELOPE)), refuse(Code.SCHEMA, PROBLEM, header=evil)))

    assert text_of(envelope, "Header/Subject/reference") == "</reference><x>]]>&"
