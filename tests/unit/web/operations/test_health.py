from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Problem
from gateway.web.keys import hash_key

Call = Callable[..., Any]


def test_live_says_so(call: Call) -> None:
    answer = call("GET", "/health/live", host=None)

    assert (answer.status, answer.json) == (200, {"status": "live"})


def test_ready_gateway_has_no_problems(call: Call) -> None:
    answer = call("GET", "/health/ready")

    assert (answer.status, answer.json["ready"], answer.json["problems"]) == (200, True, [])


def test_partner_that_is_away_is_told_of_and_keeps_the_gateway_ready(call: Call) -> None:
    answer = call("GET", "/health/ready")

    [notice] = answer.json["notices"]
    assert (answer.status, notice["code"]) == (200, "outbox.party-away")
    assert "2026-12-31 07:55:00" in notice["message_en"]


def test_gateway_that_is_not_ready_says_why_in_both_languages(call: Call, hub: Any) -> None:
    hub.problems = [Problem(text="store.away", values={"cause": "disk"})]

    answer = call("GET", "/health/ready")

    assert answer.status == 503
    assert answer.headers["retry-after"]
    [problem] = answer.json["problems"]
    assert "Cơ sở dữ liệu" in problem["message_vi"]
    assert "database" in problem["message_en"]


# --- to whom it says why ---------------------------------------------------------------------------------------------

WHY = (Problem(text="store.away", values={"cause": "disk"}), Problem(text="signature.own-not-valid", path="/var/lib/nsw/pki/own.pem"))


@pytest.fixture
def guarded(tmp_path: Path, rehub: Call, calling: Callable[[Any], Call]) -> tuple[Any, Call]:
    """A hub with keys, and what calls it with one."""
    keys = (("reader", "", "reader"), ("operator", "", "operator"), ("content", "", "content"), ("party", "BNN", "reader,operator"))
    path = tmp_path / "keys"
    path.write_text("\n".join(f"{n}:{party}:{roles}:{hash_key(n, salt=bytes(16))}" for n, party, roles in keys), "utf-8")
    hub = rehub(api_keys=path)
    caller = calling(hub)
    return hub, lambda key: caller("GET", "/health/ready", headers=[("x-api-key", key)] if key else [], host="gw.vn")


@pytest.mark.parametrize("key", ["", "party", "content"])
def test_whoever_is_not_staff_is_told_codes_and_nothing_else(guarded: tuple[Any, Call], key: str) -> None:
    hub, call = guarded

    healthy = call(key)
    hub.problems = [*WHY, WHY[0]]
    ill = call(key)

    assert (healthy.status, healthy.json) == (200, {"ready": True, "problems": [], "notices": [{"code": "outbox.party-away"}]})
    told = {"ready": False, "problems": [{"code": "store.away"}, {"code": "signature.own-not-valid"}], "notices": []}
    assert (ill.status, ill.json) == (503, told)


@pytest.mark.parametrize("key", ["reader", "operator"])
def test_staff_are_told_why(guarded: tuple[Any, Call], key: str) -> None:
    hub, call = guarded

    [notice] = call(key).json["notices"]
    hub.problems = [*WHY]
    problems = call(key).json["problems"]

    assert "BNN" in notice["message_en"]
    assert [problem["path"] for problem in problems] == [None, "/var/lib/nsw/pki/own.pem"]


def test_a_wrong_key_is_never_taken_for_none(guarded: tuple[Any, Call]) -> None:
    assert guarded[1]("wrong").status == 401


def test_faulty_file_of_keys_is_a_notice_and_keeps_the_gateway_ready(guarded: tuple[Any, Call]) -> None:
    hub, call = guarded
    with hub.settings.api_keys.open("a", encoding="utf-8") as file:
        file.write("\nnonsense\n")

    staff, anybody = call("reader"), call("")

    assert (staff.status, staff.json["ready"]) == (200, True)
    [kept, line, _] = staff.json["notices"]
    assert (kept["code"], line["code"], line["path"], line["line"]) == ("web.keys-kept", "web.key-line", str(hub.settings.api_keys), 5)
    assert [notice["code"] for notice in anybody.json["notices"]] == ["web.keys-kept", "web.key-line", "outbox.party-away"]
    assert hub.events == [("keys.refused", {"code": "web.key-line", "line": 5})]


@pytest.mark.parametrize("host", ["evil.vn", "127.0.0.1.evil.vn", None])
def test_a_page_elsewhere_learns_codes_only_of_a_gateway_without_keys(call: Call, host: str | None) -> None:
    assert call("GET", "/health/ready", host=host).json["notices"] == [{"code": "outbox.party-away"}]
