"""Files opened the way the doors do."""

from datetime import UTC, datetime

import pytest

from gateway.cli.opening import open_file, unwrapped
from gateway.errors import NotReadable
from gateway.installed import discover, open_door
from gateway.ports import Inbound
from gateway.routing.rules import Rules
from gateway.testing import builders

NOW = datetime(2026, 10, 12, tzinfo=UTC)


@pytest.fixture
def door(checked: Rules) -> Inbound:
    return open_door(lambda: checked.current, discover(), sign=lambda document, _: document)


def nobody() -> Inbound:
    raise AssertionError("the door is not needed")


def test_plain_document_needs_no_door() -> None:
    opened = open_file(b"<a/>", nobody, at=NOW)

    assert (opened.document, opened.wrapper, opened.first) == (b"<a/>", "", 1)


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_envelope_is_taken_out_of_its_wrapper(door: Inbound, version: str) -> None:
    payload = builders.message("10/01")

    opened = open_file(builders.soap(payload, version=version), lambda: door, at=NOW)

    assert (opened.document, opened.wrapper, opened.first) == (payload, version, None)


def test_first_line_is_known_where_the_envelope_stands_as_it_is(door: Inbound) -> None:
    soap = builders.soap(b"<Envelope>\n</Envelope>", client="dotnet")

    opened = open_file(soap, lambda: door, at=NOW)

    assert opened.first is not None
    assert "<Envelope>" in soap.decode().split("\n")[opened.first - 1]


def test_adapters_own_operations_are_opened_too(door: Inbound) -> None:
    payload = builders.message("10/01")
    text = payload.decode().replace("&", "&amp;").replace("<", "&lt;")
    body = f'<receive xmlns="http://mard.gov.vn/nsw/data/contract"><requestPayload>{text}</requestPayload></receive>'
    soap = f'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{body}</s:Body></s:Envelope>'

    opened = unwrapped(soap.encode(), lambda: door, at=NOW)

    assert opened is None or opened.document == payload


def test_unwrapped_is_none_for_what_holds_no_envelope(door: Inbound) -> None:
    assert unwrapped(b"<a/>", nobody, at=NOW) is None
    assert unwrapped(b"<no", nobody, at=NOW) is None
    assert unwrapped(b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"/>', lambda: door, at=NOW) is None


def test_soap_of_another_service_is_refused(door: Inbound) -> None:
    soap = b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><a/></s:Body></s:Envelope>'

    with pytest.raises(NotReadable):
        open_file(soap, lambda: door, at=NOW)
