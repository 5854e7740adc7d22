import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.store.queries import Moment, Queries
from gateway.web.api.filters import MessageFilters
from gateway.web.keys import hash_key

Call = Callable[..., Any]

MESSAGES = "/api/v1/messages"
MESSAGE = "0198f3c2-6b1e-7c44-9a53-1f0c2ab4d5e6"
OTHER = "0198f3c2-6b1e-7c44-9a53-1f0c2ab4d5e7"
ABSENT = "0198f3c2-6b1e-7c44-9a53-000000000000"
PURGED_AT = datetime(2036, 12, 31, 1, 0, tzinfo=UTC)


@pytest.fixture
def guarded(tmp_path: Path, rehub: Call, calling: Callable[[Any], Call]) -> Call:
    """Call a gateway that knows a reader of staff (s), one of BNN (b), one of IPPC (i), and a sender (w); each sees content."""
    lines = [("s", "", "reader,content"), ("b", "BNN", "reader,content"), ("i", "IPPC", "reader,content"), ("w", "NSW", "sender")]
    path = tmp_path / "keys"
    path.write_text("\n".join(f"{n}:{party}:{roles}:{hash_key(n, salt=bytes(16))}" for n, party, roles in lines), "utf-8")
    caller = calling(rehub(api_keys=path))

    def call(key: str | None, target: str, *, method: str = "GET", **more: Any) -> Any:
        return caller(method, target, headers=[("authorization", f"Bearer {key}")] if key else [], host="gw.vn", **more)

    return call


def test_messages_are_listed_with_both_states(call: Call) -> None:
    answer = call("GET", MESSAGES)

    assert answer.status == 200
    accepted, refused = answer.json["items"]
    assert (accepted["id"], accepted["schema_name"]) == (MESSAGE, "BNN&PTNT03000021001")
    assert (refused["state"], refused["cause"][0]["line"]) == ("refused", 3)
    assert refused["cause"][0]["message_vi"].startswith("Yêu cầu")
    assert answer.json["next_cursor"] is None


def test_every_filter_reaches_the_search(call: Call, hub: Any) -> None:
    asked = "procedure=BNN%26PTNT0300002&reference=R1&key=VN123&state=accepted&message_id=m1&party=NSW&limit=1&cursor=12.ab-c"

    answer = call("GET", f"{MESSAGES}?{asked}&since=2026-12-31T08:00:00%2B07:00&until=2027-01-01T00:00:00Z")

    assert answer.status == 200
    assert hub.queries.asked == {
        "procedure": "BNN&PTNT0300002", "reference": "R1", "key": "VN123", "state": "accepted", "message_id": "m1", "party": "NSW",
        "limit": 1, "cursor": "12.ab-c", "since": datetime(2026, 12, 31, 1, tzinfo=UTC), "until": datetime(2027, 1, 1, tzinfo=UTC),
        "own": False,
    }  # fmt: skip


def test_search_has_a_parameter_for_every_filter() -> None:
    assert set(MessageFilters.model_fields) == set(inspect.signature(Queries.messages).parameters) - {"self", "own"}


def test_page_that_is_not_the_last_gives_a_cursor(call: Call) -> None:
    answer = call("GET", f"{MESSAGES}?limit=1")

    assert (len(answer.json["items"]), answer.json["next_cursor"]) == (1, "123.abc")


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("since=yesterday", "since"),
        ("since=2026-02-30T00:00:00Z", "since"),
        ("since=2026-01-01T00:00:00", "since"),
        ("since=1767225600", "since"),
        ("since=-5", "since"),
        ("until=2026-01-01T00:00:00%2B99:00", "until"),
        ("until=99999-01-01T00:00:00Z", "until"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=ten", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("cursor=%27%20OR%201", "cursor"),
        ("cursor=" + "1" * 101, "cursor"),
        ("cursor=", "cursor"),
        ("state=lost", "state"),
        ("party=", "party"),
        ("reference=a%00b", "reference"),
        ("reference=a%0d%0ab", "reference"),
        ("key=" + "k" * 201, "key"),
        ("nonsense=1", "nonsense"),
        ("%3Cscript%3E=1", "<script>"),
    ],
)
def test_parameter_out_of_its_form_is_refused_by_name(call: Call, query: str, name: str) -> None:
    answer = call("GET", f"{MESSAGES}?{query}")

    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["path"] for error in answer.json["errors"]] == [name]
    assert name in answer.json["errors"][0]["message_vi"]


@pytest.mark.parametrize("query", ["state=accepted&state=refused", "party=BNN&limit=1&party=BNN", "x=1&x=2"])
def test_parameter_that_stands_twice_is_refused_instead_of_half_heard(call: Call, hub: Any, query: str) -> None:
    answer = call("GET", f"{MESSAGES}?{query}")

    assert (answer.status, answer.json["code"]) == (400, "schema")
    assert [(e["code"], e["path"]) for e in answer.json["errors"]] == [("web.parameter-twice", query.partition("=")[0])]
    assert hub.queries.asked == {}


def test_cursor_that_was_not_given_out_is_refused(call: Call) -> None:
    answer = call("GET", f"{MESSAGES}?cursor=0.0")

    assert (answer.status, answer.json["errors"][0]["code"]) == (400, "store.cursor")


def test_earliest_and_latest_times_are_taken(call: Call) -> None:
    answer = call("GET", f"{MESSAGES}?since=0001-01-01T00:00:00%2B14:00&until=9999-12-31T23:59:59-12:00")

    assert answer.status == 200


def test_message_is_shown_with_timeline_and_deliveries(call: Call) -> None:
    answer = call("GET", f"{MESSAGES}/{MESSAGE}")

    assert answer.status == 200
    assert answer.json["timeline"][0]["kind"] == "message.accepted"
    assert answer.json["deliveries"][0]["state"] == "dead"


@pytest.mark.parametrize("part", ["", "/document"])
@pytest.mark.parametrize("wrong", ["1", MESSAGE.upper(), MESSAGE + "0", "..%2f" * 4, "' OR 1=1", "%00", MESSAGE + "\n"])
def test_id_out_of_its_form_is_refused(call: Call, wrong: str, part: str) -> None:
    answer = call("GET", f"{MESSAGES}/{wrong}{part}")

    assert answer.status == 400
    assert answer.json["errors"][0]["path"] == "message"


@pytest.mark.parametrize("path", [f"{MESSAGES}/../../health/live", f"{MESSAGES}/a/b/c", f"/{MESSAGES}", f"{MESSAGES}/", "/API/v1/messages"])
def test_path_tricks_lead_nowhere(call: Call, path: str) -> None:
    assert call("GET", path).status == 404


def test_absent_message_is_not_found(call: Call) -> None:
    assert call("GET", f"{MESSAGES}/{ABSENT}").status == 404
    assert call("GET", f"{MESSAGES}/{ABSENT}/document").status == 404


def test_document_is_given_byte_for_byte(call: Call) -> None:
    document = call("GET", f"{MESSAGES}/{MESSAGE}/document")
    body = call("GET", f"{MESSAGES}/{MESSAGE}/document?part=body")

    assert (document.body, document.headers["content-type"]) == (b"<Envelope/>", "application/xml")
    assert (body.body, body.headers["content-type"]) == (b"\xff\x00", "application/octet-stream")
    assert document.headers["content-disposition"] == f'attachment; filename="{MESSAGE}-document.xml"'


def test_whoever_of_the_staff_reads_content_is_in_the_ledger(tmp_path: Path, rehub: Call, calling: Callable[[Any], Call]) -> None:
    lines = [("duty", "", "content"), ("bnn", "BNN", "content")]
    (tmp_path / "keys").write_text("\n".join(f"{n}:{party}:{role}:{hash_key(n, salt=bytes(16))}" for n, party, role in lines), "utf-8")
    hub = rehub(api_keys=tmp_path / "keys")
    call = calling(hub)

    given = [
        call("GET", f"{MESSAGES}/{message}/document?part={part}", headers=[("x-api-key", key)]).status
        for key, message, part in (("duty", MESSAGE, "body"), ("duty", OTHER, "document"), ("bnn", MESSAGE, "document"))
    ]

    assert given == [200, 404, 200]
    assert hub.history.read == [(MESSAGE, "body", "key:duty")]


def test_content_that_is_not_there_is_not_found(call: Call) -> None:
    assert call("GET", f"{MESSAGES}/{OTHER}/document").status == 404
    assert call("GET", f"{MESSAGES}/{MESSAGE}/document?part=key").status == 400


@pytest.mark.parametrize("target", [MESSAGES, f"{MESSAGES}/{MESSAGE}", f"{MESSAGES}/{MESSAGE}/document", "/metrics"])
def test_guarded_gateway_shows_nothing_without_the_role(guarded: Call, target: str) -> None:
    assert guarded(None, target).status == 401
    assert guarded("wrong", target).status == 401
    assert guarded("w", target).status == 403
    assert guarded("s", target).status == 200


def test_reader_may_not_send(guarded: Call, hub: Any) -> None:
    assert guarded("s", "/api/v1/documents", method="POST", body=b"<a/>").status == 403
    assert not hub.intake.arrivals


def test_party_sees_its_own_messages_only(guarded: Call) -> None:
    assert [m["id"] for m in guarded("i", MESSAGES).json["items"]] == [OTHER]
    assert guarded("i", f"{MESSAGES}/{OTHER}").status == 200
    assert guarded("i", f"{MESSAGES}/{MESSAGE}").status == 404
    assert guarded("i", f"{MESSAGES}/{MESSAGE}/document").status == 404


def test_party_sees_what_was_delivered_to_it(guarded: Call) -> None:
    assert guarded("b", f"{MESSAGES}/{MESSAGE}").status == 200
    assert guarded("b", f"{MESSAGES}/{OTHER}").status == 404


def test_party_may_not_ask_for_anothers(guarded: Call) -> None:
    assert guarded("b", f"{MESSAGES}?party=NSW").status == 403
    assert guarded("b", f"{MESSAGES}?party=BNN").status == 200


@pytest.mark.parametrize("host", ["gw.vn", "127.0.0.1.evil.vn", "192.168.1.5", None])
def test_unguarded_gateway_answers_to_its_own_names_only(call: Call, host: str | None) -> None:
    assert call("GET", MESSAGES, host=host).status == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.5.5.5:80", "[::1]:8080"])
def test_loopback_names_are_its_own(call: Call, host: str) -> None:
    assert call("GET", MESSAGES, host=host).status == 200


@pytest.mark.parametrize(("part", "content"), [("document", None), ("body", b"")])
def test_content_that_was_purged_is_gone_and_says_since_when(call: Call, hub: Any, part: str, content: bytes | None) -> None:
    hub.queries.content = lambda _message, _part: content
    hub.queries.timeline = lambda _message: (Moment(at=PURGED_AT, kind="message.purged", delivery=None, values={}),)

    answer = call("GET", f"{MESSAGES}/{MESSAGE}/document?part={part}")

    assert (answer.status, answer.json["errors"][0]["code"]) == (410, "web.purged")
    assert "2036-12-31" in answer.json["detail"]


def test_purged_message_is_shown_with_its_timeline(call: Call, hub: Any) -> None:
    shown = call("GET", f"{MESSAGES}/{MESSAGE}").json
    assert shown["purged_at"] is None
    hub.queries.timeline = lambda _message: (Moment(at=PURGED_AT, kind="message.purged", delivery=None, values={}),)

    shown = call("GET", f"{MESSAGES}/{MESSAGE}").json

    assert (shown["purged_at"], [m["kind"] for m in shown["timeline"]]) == ("2036-12-31T01:00:00Z", ["message.purged"])
