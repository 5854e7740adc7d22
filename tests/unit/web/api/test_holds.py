import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.web.keys import hash_key

Call = Callable[..., Any]

HOLDS = "/api/v1/holds"
HOLD = "0198f3c2-6b1e-7c44-9a53-1f0c2ab4d5e6"
PLACING = {"kind": "party", "value": "BNN", "reason": "Thanh tra 2026"}
JSON = ("content-type", "application/json")


def _post(call: Call, path: str, order: object, *, key: str = "") -> Any:
    headers = [JSON, *([("x-api-key", key)] if key else [])]
    return call("POST", HOLDS + path, headers=headers, body=json.dumps(order).encode())


def test_holds_are_listed(call: Call) -> None:
    answers = [call("GET", HOLDS + query).json["items"] for query in ("", "?released=true")]

    assert [len(items) for items in answers] == [1, 2]
    assert (answers[0][0]["kind"], answers[0][0]["reason"], answers[0][0]["released_at"]) == ("message", "Vụ án 12", None)


def test_hold_is_placed_with_who_and_why(call: Call, hub: Any) -> None:
    answer = _post(call, "", PLACING)

    assert (answer.status, answer.json["value"], answer.json["placed_by"]) == (201, "BNN", "network:127.0.0.1")
    assert hub.holds.acts == [("place", "party", "BNN", "network:127.0.0.1", "Thanh tra 2026")]


def test_hold_is_released_with_who_and_why(call: Call, hub: Any) -> None:
    answer = _post(call, f"/{HOLD}/release", {"reason": "xong"})

    assert (answer.status, answer.json["release_reason"]) == (200, "xong")
    assert hub.holds.acts == [("release", HOLD, "network:127.0.0.1", "xong")]


@pytest.mark.parametrize(
    "change",
    [{"kind": "city"}, {"value": ""}, {"value": "a\u0000"}, {"reason": ""}, {"reason": None}, {"until": "2027"}],
)
def test_hold_that_is_not_in_its_form_is_refused(call: Call, hub: Any, change: dict[str, object]) -> None:
    assert _post(call, "", PLACING | change).status == 400
    assert hub.holds.acts == []


@pytest.mark.parametrize(("path", "order"), [("/1/release", {"reason": "x"}), (f"/{HOLD}/release", {})])
def test_release_that_is_not_in_its_form_is_refused(call: Call, hub: Any, path: str, order: object) -> None:
    assert _post(call, path, order).status == 400
    assert hub.holds.acts == []


def test_only_staff_hold(tmp_path: Path, rehub: Callable[..., Any], calling: Callable[[Any], Call]) -> None:
    lines = [("reader", "", "reader"), ("operator", "", "operator"), ("party", "BNN", "operator")]
    path = tmp_path / "keys"
    path.write_text("\n".join(f"{n}:{party}:{roles}:{hash_key(n, salt=bytes(16))}" for n, party, roles in lines), "utf-8")
    hub = rehub(api_keys=path)
    call = calling(hub)

    assert [_post(call, "", PLACING, key=key).status for key in ("reader", "party", "operator")] == [403, 403, 201]
    assert [call("GET", HOLDS, headers=[("x-api-key", key)]).status for key in ("reader", "party", "operator")] == [200, 403, 200]
