"""WS-Security: what is signed is proved on SOAP 1.1 and 1.2, and each published way around it is refused by its number."""

import copy
from datetime import timedelta

import pytest
from lxml import etree
from lxml.etree import _Element

from gateway.errors import GatewayError
from gateway.security import wss
from gateway.testing.signing import NOW, Bench
from gateway.xml import soap
from gateway.xml.namespaces import DS, SOAP11, SOAP12, WSSE, WSU
from gateway.xml.parse import parse

SOAP = {"1.1": SOAP11, "1.2": SOAP12}
INNER = b'<m:Receive xmlns:m="urn:m"><m:payload>&lt;Envelope/&gt;</m:payload></m:Receive>'
WSU_ID = f"{{{WSU}}}Id"


def message(version: str = "1.1") -> bytes:
    return soap.wrap(INNER, version=version)


@pytest.fixture(scope="module")
def signed(bench: Bench) -> bytes:
    return wss.sign(message(), bench.portal, at=NOW)


def verify(bench: Bench, data: bytes, *, later: timedelta = timedelta()) -> wss.MessageProof:
    known = {bench.portal.certificates[0], bench.rsa.certificates[0], bench.p384.certificates[0]}
    return wss.verify(data, at=NOW + later, registered=known.__contains__)


def check_of(bench: Bench, data: bytes | _Element, *, later: timedelta = timedelta()) -> str:
    with pytest.raises(GatewayError) as refused:
        verify(bench, data if isinstance(data, bytes) else etree.tostring(data), later=later)
    return refused.value.problems[0].values.get("check", "-")


def find(root: _Element, name: str) -> _Element:
    return next(root.iter(name))


@pytest.mark.parametrize("version", SOAP)
@pytest.mark.parametrize("kind", ["portal", "rsa", "p384"])
def test_signed_message_is_proved(bench: Bench, version: str, kind: str) -> None:
    key = getattr(bench, kind)

    proof = verify(bench, wss.sign(message(version), key, at=NOW))

    assert (proof.certificate, proof.created) == (key.certificates[0], NOW)
    assert proof.signer.covers == ("/soap:Envelope/soap:Body",)


def test_body_is_still_what_it_was(bench: Bench, signed: bytes) -> None:
    assert verify(bench, signed)
    assert etree.tostring(parse(signed)[1][0], method="c14n", exclusive=True) == INNER


def test_headers_that_are_there_stay(bench: Bench) -> None:
    with_header = message().replace(b"<soap:Body>", b'<soap:Header><a:To xmlns:a="urn:a">x</a:To></soap:Header><soap:Body>')

    signed = wss.sign(with_header, bench.portal, at=NOW)

    assert verify(bench, signed)
    assert b"<a:To" in signed


def test_prefixes_in_values_of_the_body_are_signed(bench: Bench) -> None:
    typed = message().replace(b"<soap:Envelope ", b'<soap:Envelope xmlns:t="urn:t" ').replace(b"&lt;Envelope/&gt;", b"t:Kind")
    signed = wss.sign(typed, bench.portal, at=NOW)

    assert verify(bench, signed)
    assert check_of(bench, signed.replace(b'xmlns:t="urn:t"', b'xmlns:t="urn:u"')) in {"14", "16"}


@pytest.mark.parametrize("data", [b"<a/>", message() + b" ", message().replace(b"soap:Body", b"soap:Corpse")])
def test_sig_40_message_without_a_security_header_is_refused(bench: Bench, data: bytes) -> None:
    assert check_of(bench, data) == "40"


def test_sig_40_message_is_signed_once(bench: Bench, signed: bytes) -> None:
    with pytest.raises(GatewayError):
        wss.sign(signed, bench.portal, at=NOW)


@pytest.mark.parametrize(
    "extra", [f"{{{WSSE}}}UsernameToken", f"{{{WSSE}}}BinarySecurityToken", f"{{{DS}}}Signature", f"{{{WSU}}}Timestamp"]
)
def test_sig_40_security_header_with_anything_else_is_refused(bench: Bench, signed: bytes, extra: str) -> None:
    root = parse(signed)
    etree.SubElement(find(root, f"{{{WSSE}}}Security"), extra)

    assert check_of(bench, root) == "40"


def test_sig_40_second_security_header_is_refused(bench: Bench, signed: bytes) -> None:
    root = parse(signed)
    security = find(root, f"{{{WSSE}}}Security")
    security.addnext(copy.deepcopy(security))

    assert check_of(bench, root) == "40"


@pytest.mark.parametrize(("name", "value"), [("ValueType", "x"), ("EncodingType", "x"), (WSU_ID, "other")])
def test_sig_41_token_of_another_kind_is_refused(bench: Bench, signed: bytes, name: str, value: str) -> None:
    root = parse(signed)
    find(root, f"{{{WSSE}}}BinarySecurityToken").set(name, value)

    assert check_of(bench, root) == "41"


def test_sig_41_unreadable_token_is_refused(bench: Bench, signed: bytes) -> None:
    root = parse(signed)
    find(root, f"{{{WSSE}}}BinarySecurityToken").text = "AAAA"

    assert check_of(bench, root) == "41"


@pytest.mark.parametrize("uri", ["", "#", "#nothing", "http://example.org/", "#xpointer(/)"])
def test_sig_42_reference_to_nothing_of_the_message_is_refused(bench: Bench, signed: bytes, uri: str) -> None:
    root = parse(signed)
    find(root, f"{{{DS}}}Reference").set("URI", uri)

    assert check_of(bench, root) == "15"  # SignedInfo holds the reference, and is judged first


def test_sig_42_signed_body_moved_into_a_header_is_refused(bench: Bench, signed: bytes) -> None:
    root = parse(signed)
    body = root[1]
    forged = copy.deepcopy(body)
    forged[0][0].text = "forged"
    del forged.attrib[WSU_ID]
    root.replace(body, forged)
    etree.SubElement(etree.SubElement(root[0], "Wrapper"), "Inner").append(body)

    assert check_of(bench, root) == "42"


def test_sig_43_signed_body_moved_directly_into_the_header_is_refused(bench: Bench, signed: bytes) -> None:
    root = parse(signed)
    body = root[1]
    forged = copy.deepcopy(body)
    forged[0][0].text = "forged"
    forged.set(WSU_ID, "other")
    root.replace(body, forged)
    root[0].append(body)

    assert check_of(bench, root) == "43"


def test_sig_3_doubled_identifier_is_refused(bench: Bench, signed: bytes) -> None:
    root = parse(signed)
    etree.SubElement(root[0], "Wrapper").set("Id", root[1].get(WSU_ID, ""))

    assert check_of(bench, root) == "3"


def test_second_body_is_refused(bench: Bench, signed: bytes) -> None:
    root = parse(signed)
    root.append(copy.deepcopy(root[1]))

    assert check_of(bench, root) == "40"


def test_changed_body_is_refused(bench: Bench, signed: bytes) -> None:
    assert check_of(bench, signed.replace(b"&lt;Envelope/&gt;", b"&lt;Other/&gt;")) == "16"


def test_changed_timestamp_is_refused(bench: Bench, signed: bytes) -> None:
    assert check_of(bench, signed.replace(b"02:35:00Z", b"02:36:00Z")) == "16"


@pytest.mark.parametrize("later", [timedelta(minutes=10), timedelta(days=1), -timedelta(minutes=6)])
def test_sig_44_message_out_of_its_time_is_refused(bench: Bench, signed: bytes, later: timedelta) -> None:
    assert check_of(bench, signed, later=later) == "44"


@pytest.mark.parametrize("later", [timedelta(minutes=9), -timedelta(minutes=5)])
def test_clocks_may_differ_by_the_skew(bench: Bench, signed: bytes, later: timedelta) -> None:
    assert verify(bench, signed, later=later)


@pytest.mark.parametrize("lifetime", [timedelta(hours=2), timedelta()])
def test_sig_44_lifetime_that_is_too_long_or_none_is_refused(bench: Bench, lifetime: timedelta) -> None:
    assert check_of(bench, wss.sign(message(), bench.portal, at=NOW, lifetime=lifetime)) == "44"


@pytest.mark.parametrize("text", ["", "yesterday", "2026-10-12T02:30:00"])
def test_sig_44_time_that_cannot_be_read_is_refused(bench: Bench, signed: bytes, text: str) -> None:
    root = parse(signed)
    find(root, f"{{{WSU}}}Created").text = text

    assert check_of(bench, root) == "44"


def test_unregistered_token_is_refused(bench: Bench) -> None:
    assert check_of(bench, wss.sign(message(), bench.relay, at=NOW)) == "18"


@pytest.mark.parametrize(("data", "expected"), [(message(), False), (message("1.2"), False)])
def test_message_without_a_header_demands_nothing(data: bytes, *, expected: bool) -> None:
    assert wss.is_demanded(data) is expected


def test_signed_message_demands_to_be_judged(signed: bytes) -> None:
    assert wss.is_demanded(signed)
