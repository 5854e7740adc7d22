import pytest
from lxml import etree

from gateway.errors import NotReadable
from gateway.protocols.vnsw.dialects import GATEWAY, MARD, SCIENCE_MINISTRY, SERVICE
from gateway.protocols.vnsw.wrapping import field_of, hint_of, operation_of, request, response


def test_the_gateways_request_reads_as_its_clients_write_it() -> None:
    assert request(GATEWAY, b"<E/>", office="BNN", document_type="BNN&PTNT0300002") == (
        b'<receiveRequest xmlns="http://com/vnsw/receive/gateway/generated"><officeCode>BNN</officeCode>'
        b"<documentType>BNN&amp;PTNT0300002</documentType><requestPayload>&lt;E/&gt;</requestPayload></receiveRequest>"
    )


def test_the_ministrys_request_holds_its_fields_in_a_data_contract() -> None:
    assert request(MARD, b"<E/>", office="BNN", document_type="X") == (
        b'<receive xmlns="http://mard.gov.vn/nsw/services"><receiveRequest>'
        b'<officeCode xmlns="http://mard.gov.vn/nsw/data/contract">BNN</officeCode>'
        b'<documentType xmlns="http://mard.gov.vn/nsw/data/contract">X</documentType>'
        b'<requestPayload xmlns="http://mard.gov.vn/nsw/data/contract">&lt;E/&gt;</requestPayload></receiveRequest></receive>'
    )


def test_the_ministrys_response_is_nested_as_its_clients_read_it() -> None:
    root = etree.fromstring(response(MARD, b"<E/>"))

    path = "{http://mard.gov.vn/nsw/services}receiveResult/{http://mard.gov.vn/nsw/data/contract}responsePayload"
    assert root.tag == "{http://mard.gov.vn/nsw/services}receiveResponse"
    assert root.findtext(path) == "<E/>"


def test_an_unqualified_dialect_takes_its_fields_out_of_the_namespace() -> None:
    root = etree.fromstring(request(SCIENCE_MINISTRY, b"<E/>"))

    assert root.tag == "{http://ws.viettel.com/}ImportDocument"
    assert root.findtext("data") == "<E/>"


def test_a_dialect_without_hints_writes_none() -> None:
    assert b"officeCode" not in request(SERVICE, b"<E/>", office="BNN", document_type="X")


def test_a_field_is_found_at_most_three_deep() -> None:
    shallow = etree.fromstring("<r><a><b><p>x</p></b></a></r>")
    deep = etree.fromstring("<r><a><b><c><p>x</p></c></b></a></r>")

    found = field_of(shallow, "p")

    assert found is not None
    assert found.text == "x"
    assert field_of(deep, "p") is None


def test_a_field_that_stands_twice_is_refused_with_its_line() -> None:
    with pytest.raises(NotReadable) as refusal:
        field_of(etree.fromstring("<r>\n<p/>\n<a:p xmlns:a='urn:a'/></r>"), "p")

    assert refusal.value.problems[0].line == 3


def test_a_hint_is_read_beside_the_payload_only() -> None:
    root = etree.fromstring("<r><o> BNN </o><p><o>XX</o></p></r>")

    assert hint_of(root, "o") == "BNN"
    assert hint_of(root, "missing") == ""
    assert hint_of(root, "") == ""


def test_the_optional_wrapper_is_taken_off_where_it_holds_one_operation() -> None:
    one = etree.fromstring("<x:GatewayData xmlns:x='urn:x'><op/></x:GatewayData>")
    two = etree.fromstring("<GatewayData><op/><op/></GatewayData>")

    assert operation_of(one).tag == "op"
    assert operation_of(two) is two
