from collections.abc import Callable
from typing import Any

from gateway.errors import Problem

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
