import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Code, Problem
from gateway.model import Arrival, Channel, MessageId, PartyCode, Receipt, Refusal
from gateway.security import beside
from gateway.web.doors.rest import RestDoor

Call = Callable[..., Any]

PATH = "/api/v1/documents"
XML = ("content-type", "application/xml")
NOW = datetime(2026, 12, 31, tzinfo=UTC)
DOOR = RestDoor(sign=lambda document, profile: profile.encode() + b" of " + document)


def _refusal(code: Code, *problems: Problem) -> Refusal:
    return Refusal(message=MessageId("m"), refused_at=NOW, code=code, problems=problems)


def _arrival(body: bytes, *, media_type: str = "application/xml") -> Arrival:
    channel = Channel(kind="open", name="")
    return Arrival(id=MessageId("m"), received_at=NOW, channel=channel, door="rest", path=PATH, media_type=media_type, body=body)


@pytest.mark.parametrize("media_type", ["application/xml", "multipart/form-data", beside.KEPT])
def test_body_is_taken_apart_only_where_a_signature_was_put_beside_the_document(media_type: str) -> None:
    body = beside.write(b"<a/>", b"\x30\x00")

    opened = DOOR.open(_arrival(body, media_type=media_type))

    assert (opened.payload, opened.signature) == ((b"<a/>", b"\x30\x00") if media_type == beside.KEPT else (body, b""))


@pytest.mark.parametrize("seal", ["none", "xmldsig", "cms-detached"])
def test_answer_is_signed_beside_for_whom_takes_such_signatures(seal: str) -> None:
    reply = DOOR.answer(None, replace(_refusal(Code.SCHEMA, Problem(text="x.y")), seal=seal))

    document, signature = beside.read(reply.body) or (reply.body, b"")
    assert json.loads(document)["state"] == "refused"
    assert signature == (b"cms-detached of " + document if seal == "cms-detached" else b"")
    assert reply.headers["content-type"].startswith("multipart/related" if signature else "application/problem+json")


def test_body_is_the_document() -> None:
    opened = DOOR.open(_arrival(b"<a/>"))

    assert (opened.payload, opened.wrapper.protocol, opened.wrapper.operation) == (b"<a/>", "rest", "documents")


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_a_status_and_both_languages(code: Code) -> None:
    reply = DOOR.answer(None, _refusal(code, Problem(text="web.path", path="/Envelope", line=3)))

    document = json.loads(reply.body)
    assert 400 <= reply.status < 600
    assert document["status"] == reply.status
    assert document["code"] == code
    assert reply.headers["content-type"] == "application/problem+json"
    [error] = document["errors"]
    assert (error["code"], error["path"], error["line"]) == ("web.path", "/Envelope", 3)
    assert error["message_vi"] != error["message_en"]
    assert error["fix"]


@pytest.mark.parametrize(
    ("code", "status", "field_code"),
    [(Code.SCHEMA, 422, "ERR02_CODE"), (Code.CONFLICT, 409, "ERR00_CODE"), (Code.PARTY, 403, "ERR00_CODE")],
)
def test_refusal_carries_the_fields_code(code: Code, status: int, field_code: str) -> None:
    reply = DOOR.answer(None, _refusal(code, Problem(text="x.y")))

    document = json.loads(reply.body)
    assert (reply.status, document["vnsw_code"], document["state"]) == (status, field_code, "refused")


def test_what_was_not_kept_is_not_called_refused() -> None:
    reply = DOOR.answer(None, _refusal(Code.UNAVAILABLE, Problem(text="store.away")))

    assert "state" not in json.loads(reply.body)
    assert reply.headers["retry-after"]


def test_document_is_taken_in_and_promised(call: Call, hub: Any) -> None:
    answer = call("POST", PATH, headers=[XML, ("idempotency-key", "k-1")], body=b"<Envelope/>")

    assert answer.status == 202
    assert answer.headers["location"] == f"/api/v1/messages/{answer.json['id']}"
    assert set(answer.json) == {"id", "state", "sha256", "accepted_at", "deliveries", "warnings"}
    assert answer.json["accepted_at"].endswith("+00:00")
    [arrival] = hub.intake.arrivals
    assert (arrival.door, arrival.repeat_key, arrival.body, arrival.path) == ("rest", "k-1", b"<Envelope/>", PATH)


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "khóa", "a\r\nset-cookie: b"])
def test_repeat_key_out_of_its_form_is_refused(call: Call, hub: Any, key: str) -> None:
    answer = call("POST", PATH, headers=[XML, ("idempotency-key", key)], body=b"<Envelope/>")

    assert answer.status == 400
    assert answer.json["errors"][0]["path"] == "Idempotency-Key"
    assert not hub.intake.arrivals


@pytest.mark.parametrize(
    "media_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/byteranges", None]
)
def test_other_media_types_are_refused(call: Call, hub: Any, media_type: str | None) -> None:
    answer = call("POST", PATH, headers=[("content-type", media_type)] if media_type else [], body=b"<Envelope/>")

    assert answer.status == 415
    assert answer.headers["content-type"] == "application/problem+json"
    assert not hub.intake.arrivals


def test_too_large_is_refused_by_length_and_while_reading(call: Call, hub: Any) -> None:
    by_length = call("POST", PATH, headers=[XML, ("content-length", "10000001")], parts=[])
    in_pieces = call("POST", PATH, headers=[XML], parts=[b"x" * 5_000_001] * 2, broken=True)

    assert (by_length.status, in_pieces.status) == (413, 413)
    assert by_length.json["code"] == "limit"
    assert not hub.intake.arrivals


def test_truncated_document_is_not_taken_in(call: Call, hub: Any) -> None:
    assert call("POST", PATH, headers=[XML], parts=[b"<Env"], broken=True).status == 0
    assert not hub.intake.arrivals


def test_defect_shows_its_number_and_nothing_else(call: Call, hub: Any) -> None:
    hub.intake.error = RuntimeError("the document's own words")

    answer = call("POST", PATH, headers=[XML], body=b"<Envelope/>")

    assert answer.status == 500
    assert hub.events[0][0] == "web.defect"
    assert str(hub.events[0][1]["number"]) in answer.json["detail"]
    assert "own words" not in answer.body.decode() + str(hub.events)
    assert len(hub.events) == 1


def test_receipt_names_no_more_than_was_promised() -> None:
    receipt = Receipt(
        message=MessageId("m"), header=None, sender=PartyCode("NSW"), sha256="ab", accepted_at=NOW  # type: ignore[arg-type]  # not read here
    )  # fmt: skip

    reply = DOOR.answer(None, receipt)

    assert json.loads(reply.body)["deliveries"] == []


def test_attack_as_a_document_is_refused_and_the_next_one_taken(call: Call, doctype: Path) -> None:
    answer = call("POST", PATH, headers=[XML], body=doctype.read_bytes())

    assert answer.status in (400, 422)
    assert answer.json["vnsw_code"] in ("ERR02_CODE", "ERR00_CODE")
    assert call("POST", PATH, headers=[XML], body=b"<Envelope/>").status == 202
