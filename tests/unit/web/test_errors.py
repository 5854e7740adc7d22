"""What the framework refuses, told as every other refusal is: which parameter, in which form."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.lifecycle import State

Call = Callable[..., Any]
JSON = ("content-type", "application/json")
JOBS = "/api/v1/jobs"


def refusals(answer: Any) -> list[tuple[str, str]]:
    return [(error["code"], error["path"]) for error in answer.json["errors"]]


@pytest.mark.parametrize(
    ("target", "accepted"),
    [
        ("messages?state=xx", "accepted | refused"),
        ("deliveries?state=xx", " | ".join(State)),
        ("jobs?state=xx", "proposed | running | paused | done | cancelled | expired"),
    ],
)
def test_choice_that_is_not_one_is_told_those_there_are(call: Call, target: str, accepted: str) -> None:
    answer = call("GET", f"/api/v1/{target}")

    [error] = answer.json["errors"]
    assert (answer.status, error["code"], error["path"]) == (400, "web.parameter", "state")
    assert error["message_vi"].endswith(f": {accepted}.")
    assert error["message_en"].endswith(f": {accepted}.")


@pytest.mark.parametrize("body", [b"{bad", b'{"act": "\xff"}', b'{"act": "replay",}'])
def test_body_that_is_no_json_is_told_so(call: Call, body: bytes) -> None:
    answer = call("POST", JOBS, headers=[JSON], body=body)

    assert (answer.status, refusals(answer)) == (400, [("web.not-json", "body")])


@pytest.mark.parametrize(
    ("order", "path"),
    [
        (b'{"act": "replay", "choice": {"since": "2026-12-31"}}', "choice.since"),
        (b'{"act": "replay", "choice": {"ids": ["1"]}}', "choice.ids.0"),
        (b'{"act": "replay", "choice": 5}', "choice"),
        (b'{"choice": {"party": "BNN"}}', "act"),
        (b"[]", "body"),
        (b"", "body"),
    ],
)
def test_member_out_of_its_form_is_named_where_it_stands(call: Call, order: bytes, path: str) -> None:
    answer = call("POST", JOBS, headers=[JSON], body=order)

    assert (answer.status, refusals(answer)) == (400, [("web.parameter", path)])
    assert "1..200" not in answer.json["detail"]


def test_member_that_is_not_known_is_named_where_it_stands(call: Call) -> None:
    answer = call("POST", JOBS, headers=[JSON], body=b'{"act": "replay", "choice": {"partie": "BNN"}}')

    assert (answer.status, refusals(answer)) == (400, [("web.parameter-unknown", "choice.partie")])
    assert "choice.partie" in answer.json["detail"]
