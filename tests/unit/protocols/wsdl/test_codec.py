import logging
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, NotReadable, NotValid, explain, remedy
from gateway.protocols.wsdl.codec import Codec, Decoded, Fault
from gateway.xml.shipped import shipped

HUB = Codec(shipped("xsd") / "ippc" / "17" / "hub.wsdl")
NS = "http://ephyto.ippc.int/"
ENTITIES = "http://ephyto.ippc.int/HUB.Entities"
HEADER = {"From": "VN", "To": "NL", "CertificateType": 851, "CertificateStatus": 70, "NPPOCertificateNumber": "26-0123/KDTV"}
ENVELOPE = {**HEADER, "Content": "<a>Chứng nhận & kiểm dịch</a>"}


def soap(body: str, *, version: str = "http://schemas.xmlsoap.org/soap/envelope/") -> bytes:
    return f'<s:Envelope xmlns:s="{version}"><s:Body>{body}</s:Body></s:Envelope>'.encode()


def decoded(body: bytes) -> Decoded:
    found = HUB.decode(body)
    assert isinstance(found, Decoded)
    return found


def fault(body: bytes) -> Fault:
    found = HUB.decode(body)
    assert isinstance(found, Fault)
    return found


def given_values(values: object) -> Mapping[str, object]:
    assert isinstance(values, dict)
    return {name: value for name, value in values.items() if value is not None}


# --- writing -------------------------------------------------------------------------------------------------------


def test_request_reads_back_as_it_was_written() -> None:
    message = HUB.encode("DeliverEnvelope", {"env": ENVELOPE})

    call = decoded(message.body)

    assert (call.operation, call.answer) == ("DeliverEnvelope", False)
    assert given_values(call.values["env"]) == ENVELOPE


def test_request_has_the_operations_action_and_media_type() -> None:
    message = HUB.encode("AdvancedAcknowledgeEnvelopeReceipt", {"hubTrackingNumber": "1", "warningMessage": "w"})

    assert message.action == "http://ephyto.ippc.int/IDeliveryService/NegativeAcknowledgeEnvelopeReceipt"
    assert message.media_type == "text/xml; charset=utf-8"


def test_equal_values_give_equal_bytes() -> None:
    assert HUB.encode("DeliverEnvelope", {"env": ENVELOPE}) == HUB.encode("DeliverEnvelope", {"env": dict(reversed(ENVELOPE.items()))})


def test_answer_reads_back_as_an_answer() -> None:
    message = HUB.answer("GetEnvelopeTrackingInfo", {"GetEnvelopeTrackingInfoResult": {**HEADER, "To": "JP"}})

    call = decoded(message.body)

    assert (call.operation, call.answer) == ("GetEnvelopeTrackingInfo", True)
    assert given_values(call.values["GetEnvelopeTrackingInfoResult"])["To"] == "JP"


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"env": {}},
        {"env": {**ENVELOPE, "From": None}},
        {"env": {**ENVELOPE, "Colour": "red"}},
        {"env": {**ENVELOPE, "CertificateType": "phytosanitary"}},
        {"env": {**ENVELOPE, "Content": "\x00"}},
        {"envelope": ENVELOPE},
    ],
)
def test_values_that_do_not_fit_are_refused(values: Mapping[str, object]) -> None:
    with pytest.raises(NotValid) as refusal:
        HUB.encode("DeliverEnvelope", values)

    assert refusal.value.code is Code.SCHEMA
    assert refusal.value.problems[0].values["operation"] == "DeliverEnvelope"


def test_unknown_operation_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        HUB.encode("Launch", {})


# --- reading -------------------------------------------------------------------------------------------------------


def test_absent_elements_are_absent_values() -> None:
    body = soap(f'<GetEnvelopeTrackingInfoResponse xmlns="{NS}"><GetEnvelopeTrackingInfoResult/></GetEnvelopeTrackingInfoResponse>')

    assert not decoded(body).values.get("GetEnvelopeTrackingInfoResult")


def test_incomplete_header_is_read_as_far_as_it_goes() -> None:
    header = f'<HUBTrackingInfo xmlns="{ENTITIES}">EnvelopeNotExists</HUBTrackingInfo>'
    body = soap(f'<e:GetEnvelopeTrackingInfoResponse xmlns:e="{NS}"><e:GetEnvelopeTrackingInfoResult>{header}'
                "</e:GetEnvelopeTrackingInfoResult></e:GetEnvelopeTrackingInfoResponse>")  # fmt: skip

    assert given_values(decoded(body).values["GetEnvelopeTrackingInfoResult"]) == {"HUBTrackingInfo": "EnvelopeNotExists"}


def test_comments_are_passed_over() -> None:
    body = soap(
        f'<GetEnvelopeTrackingInfo xmlns="{NS}"><!-- a --><hubTrackingNumber>4<!-- c -->2</hubTrackingNumber></GetEnvelopeTrackingInfo>'
    )

    assert decoded(body).values == {"hubTrackingNumber": "42"}


def test_value_of_another_type_is_absent_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    header = f'<CertificateType xmlns="{ENTITIES}">secret</CertificateType>'
    body = soap(f'<e:GetEnvelopeTrackingInfoResponse xmlns:e="{NS}"><e:GetEnvelopeTrackingInfoResult>{header}'
                "</e:GetEnvelopeTrackingInfoResult></e:GetEnvelopeTrackingInfoResponse>")  # fmt: skip

    with caplog.at_level(logging.DEBUG):
        call = decoded(body)

    assert given_values(call.values["GetEnvelopeTrackingInfoResult"]) == {}
    assert "secret" not in caplog.text


def test_hub_exception_is_a_value() -> None:
    message = HUB.fault(f"{{{NS}}}HubWebException", {"message": "không nhận & trả lại"}, sender=True, text="refused")

    assert fault(message.body) == Fault(sender=True, text="refused", detail="HubWebException", values={"message": "không nhận & trả lại"})


@pytest.mark.parametrize(("code", "sender"), [("s:Client", True), ("s:Client.Authentication", True), ("s:Server", False), ("", False)])
def test_fault_code_says_whose_fault_it_is(code: str, sender: bool) -> None:  # noqa: FBT001 - a table's column
    body = soap(f"<s:Fault><faultcode>{code}</faultcode><faultstring>no</faultstring></s:Fault>")

    assert fault(body) == Fault(sender=sender, text="no")


def test_undeclared_detail_is_named_without_values() -> None:
    body = soap("<s:Fault><faultcode>s:Server</faultcode><detail><trace xmlns='urn:x'>at com.example</trace></detail></s:Fault>")

    assert fault(body) == Fault(sender=False, text="", detail="trace")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html/>",
        b"not XML",
        soap(""),
        soap("<a/><b/>"),
        soap("<Unknown/>"),
        soap(f'<Unknown xmlns="{NS}"/>'),
        soap(f'<GetEnvelopeTrackingInfo xmlns="{NS}"/>', version="http://www.w3.org/2003/05/soap-envelope"),
        b'<!DOCTYPE a [<!ENTITY b "c">]>' + soap("<a>&b;</a>"),
    ],
)
def test_what_is_no_message_of_this_wsdl_is_refused(body: bytes) -> None:
    with pytest.raises(NotReadable) as refusal:
        HUB.decode(body)

    for language in ("vi", "en"):
        assert explain(refusal.value.problems[0], language) not in {"", refusal.value.problems[0].text}
        assert remedy(refusal.value.problems[0], language)


@given(st.binary(max_size=200))
def test_garbage_in_a_reply_raises_nothing_but_not_readable(garbage: bytes) -> None:
    reply = HUB.answer("DeliverEnvelope", {"DeliverEnvelopeResult": HEADER}).body

    for body in (garbage, reply[: len(garbage)] + garbage + reply[len(garbage) :]):
        with pytest.raises(NotReadable):
            HUB.decode(body + b"<")


@given(st.integers(0, 700), st.sampled_from(["<!--", "<a/>", "&#0;", "xsi:type='a:b'", " xmlns='urn:x'", ">", "\N{SNOWMAN}", "<ns0:env/>"]))
def test_altered_reply_is_read_or_refused(at: int, text: str) -> None:
    reply = HUB.answer("DeliverEnvelope", {"DeliverEnvelopeResult": {**HEADER, "hubDeliveryNumber": "1"}}).body.decode()

    try:
        found = HUB.decode((reply[:at] + text + reply[at:]).encode())
    except NotReadable:
        return

    assert isinstance(found, Decoded | Fault)


@pytest.mark.parametrize("name", ["ns0:Envelope", "xs:int", "unbound:type", "ns1:HUBTrackingInfo", "", "::"])
def test_type_named_by_the_reply_changes_no_more_than_values(name: str) -> None:
    reply = HUB.answer("DeliverEnvelope", {"DeliverEnvelopeResult": HEADER}).body.decode()
    typed = f'<ns0:DeliverEnvelopeResult xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="{name}">'

    try:
        found = HUB.decode(reply.replace("<ns0:DeliverEnvelopeResult>", typed).encode())
    except NotReadable:
        return

    assert isinstance(found, Decoded)


# --- loading -------------------------------------------------------------------------------------------------------


def wsdl_that_imports(location: str, folder: Path) -> Path:
    path = folder / "wsdl" / "service.wsdl"
    path.parent.mkdir()
    text = (shipped("xsd") / "ippc" / "17" / "hub.wsdl").read_text("utf-8")
    path.write_text(text.replace('schemaLocation="hub.xsd"', f'schemaLocation="{location}"'), "utf-8")
    return path


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:9/hub.xsd", "https://127.0.0.1:9/hub.xsd", "../hub.xsd", "/etc/hostname", "file:///etc/hostname"]
)
def test_nothing_outside_the_wsdls_folder_is_opened(location: str, tmp_path: Path) -> None:
    (tmp_path / "hub.xsd").write_text("<a/>")

    with pytest.raises(Exception, match=r"is not in|forbid|Forbidden|127\.0\.0\.1") as refusal:
        Codec(wsdl_that_imports(location, tmp_path))

    assert type(refusal.value).__name__ in {"PermissionError", "ExternalReferenceForbidden"}


def test_codec_never_sends() -> None:
    with pytest.raises(PermissionError, match="does not call"):
        HUB._client.service.GetEnvelopeTrackingInfo("1")
