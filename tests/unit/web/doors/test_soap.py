from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from gateway.errors import Code, Problem, Unavailable

Call = Callable[..., Any]

XML = ("content-type", "text/xml; charset=utf-8")
SOAP12 = ("content-type", "application/soap+xml; charset=utf-8")
ENVELOPES = {"1.1": "http://schemas.xmlsoap.org/soap/envelope/", "1.2": "http://www.w3.org/2003/05/soap-envelope"}


def _message(payload: str = "&lt;Envelope/&gt;", *, version: str = "1.1") -> bytes:
    return (
        f'<s:Envelope xmlns:s="{ENVELOPES[version]}"><s:Body>'
        '<receiveRequest xmlns="http://com/vnsw/receive/gateway/generated"><officeCode>BNN</officeCode>'
        f"<documentType>X</documentType><requestPayload>{payload}</requestPayload></receiveRequest></s:Body></s:Envelope>"
    ).encode()


def _fault(answer: Any, version: str = "1.1") -> str:
    """Give the words of a fault; fails where the answer is none."""
    root = etree.fromstring(answer.body, etree.XMLParser(resolve_entities=False))  # our own answer
    fault = root.find(f"{{{ENVELOPES[version]}}}Body/{{{ENVELOPES[version]}}}Fault")
    assert fault is not None
    return " ".join("".join(map(str, fault.itertext())).split())


@pytest.mark.parametrize("path", ["/ws", "/ws/"])
@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_message_is_taken_in_and_answered(call: Call, hub: Any, path: str, version: str) -> None:
    answer = call("POST", path, headers=[XML if version == "1.1" else SOAP12], body=_message(version=version))

    assert answer.status == 200
    assert b"receiveResponse" in answer.body
    assert answer.headers["content-length"] == str(len(answer.body))
    [arrival] = hub.intake.arrivals
    assert (arrival.door, arrival.path, arrival.body) == ("vnsw", path, _message(version=version))
    assert (arrival.channel.kind, arrival.channel.name) == ("network", "127.0.0.1")


def test_body_in_pieces_is_one_message(call: Call, hub: Any) -> None:
    message = _message()

    answer = call("POST", "/ws", headers=[XML], parts=[message[:100], b"", message[100:]])

    assert answer.status == 200
    assert hub.intake.arrivals[0].body == message


@pytest.mark.parametrize("media_type", ["text/xml", "TEXT/XML; charset=utf-8", "application/xml", None])
def test_media_types_of_the_field_are_taken(call: Call, media_type: str | None) -> None:
    headers = [("content-type", media_type)] if media_type else []

    assert call("POST", "/ws", headers=headers, body=_message()).status == 200


@pytest.mark.parametrize("media_type", ["application/json", "multipart/related; type=x", "text/plain", "text/html", "text/xmlx", "xml"])
def test_other_media_types_are_refused(call: Call, hub: Any, media_type: str) -> None:
    answer = call("POST", "/ws", headers=[("content-type", media_type)], body=_message())

    assert answer.status == 415
    assert "Content-Type" in _fault(answer)
    assert not hub.intake.arrivals


@pytest.mark.parametrize(("media_type", "version"), [(XML, "1.1"), (SOAP12, "1.2")])
def test_too_large_by_length_is_refused_unread_in_the_callers_version(call: Call, media_type: Any, version: str) -> None:
    answer = call("POST", "/ws", headers=[media_type, ("content-length", "10000001")], parts=[])

    assert answer.status == 413
    assert "10 000 000" in _fault(answer, version)


def test_too_large_in_pieces_is_refused_while_reading(call: Call, hub: Any) -> None:
    answer = call("POST", "/ws", headers=[XML], parts=[b"x" * 1_000_000] * 11, broken=True)

    assert answer.status == 413
    assert not hub.intake.arrivals


def test_largest_body_is_taken(call: Call, hub: Any) -> None:
    message = _message()
    padded = message + b" " * (10_000_000 - len(message))

    call("POST", "/ws", headers=[XML], body=padded)

    assert len(hub.intake.arrivals[0].body) == 10_000_000


def test_truncated_body_is_not_taken_in(call: Call, hub: Any) -> None:
    answer = call("POST", "/ws", headers=[XML], parts=[_message()[:50]], broken=True)

    assert answer.status == 0
    assert not hub.intake.arrivals


def test_compressed_body_is_refused(call: Call) -> None:
    answer = call("POST", "/ws", headers=[XML, ("content-encoding", "gzip")], body=b"\x1f\x8b")

    assert answer.status == 415
    assert "Content-Encoding" in _fault(answer)


def test_page_in_a_browser_cannot_send(call: Call, hub: Any) -> None:
    answer = call("POST", "/ws", headers=[XML, ("origin", "http://127.0.0.1:8080")], body=_message())

    assert answer.status == 500  # a Client fault of SOAP 1.1
    assert not hub.intake.arrivals


def test_deciding_header_twice_is_refused(call: Call, hub: Any) -> None:
    answer = call("POST", "/ws", headers=[XML, XML], body=_message())

    assert answer.status == 400
    assert not hub.intake.arrivals


def test_unknown_key_is_refused(call: Call, hub: Any) -> None:
    answer = call("POST", "/ws", headers=[XML, ("x-api-key", "guess")], body=_message())

    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert not hub.intake.arrivals


def test_refused_requests_are_told_with_their_cause(call: Call, hub: Any) -> None:
    call("POST", "/ws", headers=[("content-type", "image/png")], body=b"x")

    assert hub.events == [("web.refused", {"door": "vnsw", "code": "web.media-type"})]


def test_defect_is_told_once_and_shows_nothing(call: Call, hub: Any) -> None:
    hub.intake.error = KeyError("the document's own words")

    answer = call("POST", "/ws", headers=[XML], body=_message())

    assert answer.status == 500
    assert b"own words" not in answer.body
    _fault(answer)
    [(event, fields)] = hub.events
    assert event == "web.defect"
    assert fields["error"] == "KeyError"
    assert "own words" not in str(fields)
    assert any("conftest.py" in place for place in fields["at"])


def test_unavailable_story_asks_to_come_again(call: Call, hub: Any) -> None:
    hub.intake.error = Unavailable(Code.UNAVAILABLE, Problem(text="web.busy"))

    answer = call("POST", "/ws", headers=[SOAP12], body=_message(version="1.2"))

    assert answer.status == 500  # a Receiver fault of SOAP 1.2
    assert answer.headers["retry-after"] == "30"


def test_no_answer_carries_a_line_break_of_the_callers(call: Call) -> None:
    answer = call("POST", "/ws", headers=[("content-type", "text/xml\r\nset-cookie: a=b")], body=_message())

    assert answer.status == 415
    assert "set-cookie" not in answer.headers


def test_attack_as_a_soap_message_is_refused_and_the_next_one_served(call: Call, attack: Path) -> None:
    answer = call("POST", "/ws", headers=[XML], body=attack.read_bytes())

    assert answer.status == 500
    _fault(answer)
    assert call("POST", "/ws", headers=[XML], body=_message()).status == 200


def test_attacks_are_there(outside: Path) -> None:
    assert len(list((outside / "xml-attacks").rglob("*.x*"))) > 10
