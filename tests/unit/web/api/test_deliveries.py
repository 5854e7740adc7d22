import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.web.api.orders import Redirect, Return
from gateway.web.keys import hash_key

Call = Callable[..., Any]

DELIVERIES = "/api/v1/deliveries"
DELIVERY = "0198f3c2-6b20-7d01-8e77-52b1c9f0a3d4"
ABSENT = "0198f3c2-6b20-7d01-8e77-000000000000"
JSON = ("content-type", "application/json")


def _cancel(call: Call, body: bytes, *, delivery: str = DELIVERY, headers: Any = (JSON,)) -> Any:
    return call("POST", f"{DELIVERIES}/{delivery}/cancel", headers=headers, body=body)


def test_deliveries_are_listed_by_filter(call: Call, hub: Any) -> None:
    answer = call("GET", f"{DELIVERIES}?party=BNN&state=dead&cause=time&cursor=12&limit=7")

    assert answer.json["items"][0]["id"] == DELIVERY
    assert hub.queries.asked == {"party": "BNN", "own": False, "state": "dead", "cause": "time", "cursor": "12", "limit": 7}


def test_dead_letters_are_the_dead_deliveries(call: Call, hub: Any) -> None:
    answer = call("GET", "/api/v1/dead-letters")

    assert [item["state"] for item in answer.json["items"]] == ["dead"]
    assert hub.queries.asked["state"] == "dead"


@pytest.mark.parametrize("query", ["state=lost", "message=1", "state=dead&from=2026-01-01T00:00:00Z", "since=2026-01-01", "cause="])
def test_filter_out_of_its_form_is_refused(call: Call, query: str) -> None:
    assert call("GET", f"{DELIVERIES}?{query}").status == 400


def test_dead_letters_take_no_state(call: Call) -> None:
    assert call("GET", "/api/v1/dead-letters?state=queued").status == 400


def test_delivery_is_shown(call: Call) -> None:
    answer = call("GET", f"{DELIVERIES}/{DELIVERY}")

    assert (answer.json["party"], answer.json["cause"], answer.json["attempt"]) == ("BNN", "timeout", 3)
    assert [(a["number"], a["outcome"], a["code"]) for a in answer.json["attempts"]] == [(1, "failed", "timeout")]


@pytest.mark.parametrize("taken", [True, False])
def test_delivery_tells_whether_its_party_may_have_it(call: Call, hub: Any, *, taken: bool) -> None:
    row = replace(hub.history.delivery(DELIVERY), perhaps_taken=taken)
    hub.history.delivery = lambda _: row

    assert call("GET", f"{DELIVERIES}/{DELIVERY}").json["perhaps_taken"] is taken


@pytest.mark.parametrize("act", ["", "/replay", "/cancel"])
def test_absent_and_malformed_ids_are_refused(call: Call, act: str) -> None:
    method, body = ("POST", b'{"reason":"x"}') if act else ("GET", b"")

    assert call(method, f"{DELIVERIES}/{ABSENT}{act}", headers=[JSON], body=body).status == 404
    assert call(method, f"{DELIVERIES}/1{act}", headers=[JSON], body=body).status == 400


def test_replay_puts_a_delivery_back_to_work(call: Call, hub: Any) -> None:
    answer = call("POST", f"{DELIVERIES}/{DELIVERY}/replay")

    assert (answer.status, answer.json["state"]) == (200, "queued")
    assert hub.mending.acts == [("replay", DELIVERY, "network:127.0.0.1", "")]


def test_cancel_keeps_the_reason(call: Call, hub: Any) -> None:
    answer = _cancel(call, json.dumps({"reason": "Đã xử lý bằng giấy"}).encode())

    assert (answer.status, answer.json["state"]) == (200, "cancelled")
    assert hub.mending.acts == [("cancel", DELIVERY, "network:127.0.0.1", "Đã xử lý bằng giấy")]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b"{", b'{"reason":""}', b'{"reason":1}', b'{"reason":"a\\u0000"}', b"\xff", b"[" * 60_000]
)
def test_cancel_without_a_reason_is_refused(call: Call, hub: Any, body: bytes) -> None:
    answer = _cancel(call, body)

    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert not hub.mending.acts


def test_cancel_takes_json_only(call: Call, hub: Any) -> None:
    assert _cancel(call, b'{"reason":"x"}', headers=[("content-type", "text/plain")]).status == 400
    assert not hub.mending.acts


def test_small_bodies_are_limited(call: Call) -> None:
    assert _cancel(call, b" " * 65_537).status == 413


@pytest.mark.parametrize("act", ["replay", "cancel"])
def test_delivery_that_has_moved_on_is_a_conflict(call: Call, hub: Any, act: str) -> None:
    hub.queries.delivery_rows[0] = replace(hub.queries.delivery_rows[0], state="delivered")

    answer = call("POST", f"{DELIVERIES}/{DELIVERY}/{act}", headers=[JSON], body=b'{"reason":"x"}')

    assert (answer.status, answer.json["code"]) == (409, "conflict")


@pytest.mark.parametrize("origin", ["http://evil.vn", "null", "http://127.0.0.1:9"])
def test_page_elsewhere_cannot_act(call: Call, hub: Any, origin: str) -> None:
    answer = call("POST", f"{DELIVERIES}/{DELIVERY}/replay", headers=[("origin", origin)])

    assert answer.status == 403
    assert not hub.mending.acts


def test_only_operators_act(tmp_path: Path, rehub: Call, calling: Callable[[Any], Call]) -> None:
    lines = [("r", "", "reader"), ("o", "", "operator"), ("x", "NSW", "operator")]
    path = tmp_path / "keys"
    path.write_text("\n".join(f"{n}:{party}:{roles}:{hash_key(n, salt=bytes(16))}" for n, party, roles in lines), "utf-8")
    hub = rehub(api_keys=path)
    call = calling(hub)

    statuses = [call("POST", f"{DELIVERIES}/{DELIVERY}/replay", headers=[("x-api-key", key)]).status for key in ("r", "x", "o")]

    assert statuses == [403, 404, 200]
    assert hub.mending.acts == [("replay", DELIVERY, "key:o", "")]


# --- what was exchanged ------------------------------------------------------------------------------------------------


def keyed(tmp_path: Path, rehub: Call, calling: Callable[[Any], Call], **roles: str) -> tuple[Any, Call]:
    """Make a hub whose keys have these roles; a name with "of_" belongs to a party."""
    lines = [f"{n}:{'NSW' if n.startswith('of_') else ''}:{role}:{hash_key(n, salt=bytes(16))}" for n, role in roles.items()]
    path = tmp_path / "keys"
    path.write_text("\n".join(lines), "utf-8")
    hub = rehub(api_keys=path)
    return hub, calling(hub)


def test_exchange_is_for_those_with_the_role_and_names_them(tmp_path: Path, rehub: Call, calling: Callable[[Any], Call]) -> None:
    hub, call = keyed(tmp_path, rehub, calling, r="reader,operator", c="content")
    place = f"{DELIVERIES}/{DELIVERY}/exchange?part=reply&attempt=2"

    refused, given = (call("GET", place, headers=[("x-api-key", key)]) for key in "rc")

    assert (refused.status, given.status, given.body) == (403, 200, b"\xffreply")
    assert given.headers["content-type"] == "application/octet-stream"
    assert hub.history.looked == [(DELIVERY, "reply", "key:c", 2)]


@pytest.mark.parametrize(("query", "status"), [("part=body", 400), ("attempt=0", 400), ("attempt=x", 400)])
def test_exchange_out_of_its_form_is_refused(call: Call, hub: Any, query: str, status: int) -> None:
    assert call("GET", f"{DELIVERIES}/{DELIVERY}/exchange?{query}").status == status
    assert hub.history.looked == []


def test_exchange_of_an_absent_delivery_is_not_found(call: Call, hub: Any) -> None:
    assert call("GET", f"{DELIVERIES}/{ABSENT}/exchange").status == 404
    assert hub.history.looked == []


@pytest.mark.parametrize(
    ("act", "body"), [("redirect", {"party": "BNN", "reason": "x"}), ("return", {"reason": "x"}), ("correct", {"version": "2"})]
)
def test_acts_that_reach_other_parties_are_for_staff(
    act: str, body: Any, tmp_path: Path, rehub: Call, calling: Callable[[Any], Call]
) -> None:
    hub, call = keyed(tmp_path, rehub, calling, of_nsw="operator", r="reader", o="operator")
    hub.queries.delivery_rows[0] = replace(hub.queries.delivery_rows[0], party="NSW")

    statuses = [
        call("POST", f"{DELIVERIES}/{DELIVERY}/{act}", headers=[JSON, ("x-api-key", key)], body=json.dumps(body).encode()).status
        for key in ("of_nsw", "r", "o")
    ]

    assert statuses == [403, 403, 200]
    assert [(a[0], a[2]) for a in hub.mending.acts] == [(act, "key:o")]


@pytest.mark.parametrize("body", [Redirect(party="BNN", reason="x", accept_duplicate=True), Return(reason="x", accept_duplicate=True)])
def test_duplicate_is_accepted_only_in_so_many_words(body: Redirect | Return) -> None:
    assert body.order().accept_duplicate
    assert not type(body)(**body.model_dump(exclude={"accept_duplicate"})).order().accept_duplicate


@pytest.mark.parametrize(
    ("act", "body"),
    [
        ("redirect", {"party": "BNN"}),
        ("redirect", {"party": "BNN", "reason": ""}),
        ("redirect", {"to": "BNN", "reason": "x"}),
        ("return", {}),
        ("return", {"reason": "x", "accept_duplicate": "perhaps"}),
        ("correct", {"version": "2", "accept_duplicate": True}),
        ("correct", {"content": "<x/>"}),
        ("correct", {"version": "\u0000"}),
        ("correct", {"version": ""}),
    ],
)
def test_act_out_of_its_form_is_refused(call: Call, hub: Any, act: str, body: Any) -> None:
    assert call("POST", f"{DELIVERIES}/{DELIVERY}/{act}", headers=[JSON], body=json.dumps(body).encode()).status == 400
    assert not hub.mending.acts
