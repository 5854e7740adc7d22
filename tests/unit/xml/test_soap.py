"""SOAP wrappers, both versions, on and off."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, NotReadable
from gateway.xml.namespaces import SOAP11, SOAP12
from gateway.xml.parse import parse
from gateway.xml.soap import escape_text, fault, media_type, unwrap, wrap

VERSIONS = {"1.1": SOAP11, "1.2": SOAP12}
WSA = "http://www.w3.org/2005/08/addressing"


def soap(inside: str, namespace: str = SOAP11) -> bytes:
    return f'<s:Envelope xmlns:s="{namespace}">{inside}</s:Envelope>'.encode()


def refused(data: bytes) -> NotReadable:
    with pytest.raises(NotReadable) as caught:
        unwrap(data)
    assert caught.value.code is Code.NOT_SOAP
    return caught.value


@pytest.mark.parametrize("version", VERSIONS)
def test_unwraps_what_it_wrapped(version: str) -> None:
    body = unwrap(wrap(b"<call xmlns='urn:x'>1</call>", version=version))

    assert (body.version, body.child.tag, body.child.text) == (version, "{urn:x}call", "1")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_unwraps_any_encoding_with_header_comments_and_white_space(encoding: str) -> None:
    data = soap("\n <s:Header><a/></s:Header>\n <!-- x --> <s:Body>\n <!-- y --> <call/>\n </s:Body>\n").decode().encode(encoding)

    assert unwrap(data).child.tag == "call"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "xml.no-element"),
        (b"{}", "xml.no-element"),
        (b"<Envelope><Body><a/></Body></Envelope>", "xml.soap-root"),
        (b"<Envelope xmlns='urn:x'/>", "xml.soap-root"),
        (f"<Body xmlns='{SOAP11}'/>".encode(), "xml.soap-root"),
        (soap(""), "xml.soap-body"),
        (soap("<s:Header/>"), "xml.soap-body"),
        (soap("<Body><a/></Body>"), "xml.soap-body"),
        (soap("<s:Body><a/></s:Body><s:Body><a/></s:Body>"), "xml.soap-body"),
        (soap("<x><s:Body><a/></s:Body></x>"), "xml.soap-body"),
        (soap("<s:Body/>"), "xml.soap-child"),
        (soap("<s:Body>text</s:Body>"), "xml.soap-child"),
        (soap("<s:Body><a/><b/></s:Body>"), "xml.soap-child"),
        (b"<!DOCTYPE a>" + soap("<s:Body><a/></s:Body>"), "xml.doctype"),
        (soap("<s:Body><a/></s:Body>")[:-5], "xml.tag-open"),
        (soap("<s:Body><?pi?><a/></s:Body>"), "xml.instruction"),
    ],
)
def test_refuses_what_is_not_a_soap_message(data: bytes, text: str) -> None:
    assert refused(data).problems[0].text == text


@pytest.mark.parametrize("value", ["1", "true", " true "])
def test_refuses_a_header_that_demands_to_be_understood(value: str) -> None:
    data = soap(f"<s:Header><k:Security xmlns:k='urn:k' s:mustUnderstand='{value}'/></s:Header><s:Body><a/></s:Body>")

    assert refused(data).problems[0].values["found"] == "{urn:k}Security"


@pytest.mark.parametrize(
    "header",
    [
        "<k:a xmlns:k='urn:k' s:mustUnderstand='0'/>",
        "<k:a xmlns:k='urn:k' mustUnderstand='1'/>",
        f"<k:Action xmlns:k='{WSA}' s:mustUnderstand='1'/>",
    ],
)
def test_passes_over_headers_that_demand_nothing_and_addresses(header: str) -> None:
    assert unwrap(soap(f"<s:Header>{header}</s:Header><s:Body><a/></s:Body>")).child.tag == "a"


def test_opens_the_outside_messages_and_says_which_has_a_security_header(outside: Path) -> None:
    messages = {p.name: p.read_bytes() for p in (outside / "certex-ics2").glob("ie4*.xml")}
    demanding = messages.pop("ie4n05-v1.xml")

    assert {unwrap(m).version for m in messages.values()} == {"1.2"}
    assert unwrap(demanding).secured


# --- faults ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sender", "code"), [(True, "soap:Client"), (False, "soap:Server")])
def test_writes_a_fault_of_soap_1_1(*, sender: bool, code: str) -> None:
    child = unwrap(fault("1.1", sender=sender, text="Sai <thẻ> & dấu", language="vi")).child

    assert child.tag == f"{{{SOAP11}}}Fault"
    assert [(e.tag, e.text) for e in child] == [("faultcode", code), ("faultstring", "Sai <thẻ> & dấu")]
    assert child[1].get("{http://www.w3.org/XML/1998/namespace}lang") == "vi"


@pytest.mark.parametrize(("sender", "code"), [(True, "soap:Sender"), (False, "soap:Receiver")])
def test_writes_a_fault_of_soap_1_2(*, sender: bool, code: str) -> None:
    child = unwrap(fault("1.2", sender=sender, text="Wrong", language="en")).child

    assert child.tag == f"{{{SOAP12}}}Fault"
    assert child.findtext(f"{{{SOAP12}}}Code/{{{SOAP12}}}Value") == code
    assert child.findtext(f"{{{SOAP12}}}Reason/{{{SOAP12}}}Text") == "Wrong"


def test_names_the_media_types() -> None:
    assert media_type("1.1") == "text/xml; charset=utf-8"
    assert media_type("1.2") == "application/soap+xml; charset=utf-8"


# --- text --------------------------------------------------------------------------------------------------------------

XML_CHARACTERS = st.characters(exclude_categories=["Cs"]).filter(lambda c: c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff"))


@given(st.text(XML_CHARACTERS))
def test_escaped_text_reads_back(text: str) -> None:
    assert (parse(b"<a>" + escape_text(text) + b"</a>").text or "") == text
    assert escape_text(text) == escape_text(text.encode())


@given(st.text(st.characters()))
def test_escaped_text_is_always_xml(text: str) -> None:
    assert parse(b"<a>" + escape_text(text) + b"</a>").tag == "a"


def test_replaces_characters_that_xml_cannot_hold() -> None:
    assert escape_text("a\0b\ud800c\uffff") == "a\ufffdb\ufffdc\ufffd".encode()
