import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.web.keys import hash_key

Call = Callable[..., Any]

PARTIES = "/api/v1/parties"
JSON = ("content-type", "application/json")
UNTIL = "2026-12-31T09:00:00+07:00"
GOOD = {"until": UNTIL, "reason": "Bộ nâng cấp hệ thống"}


def pause(call: Call, order: object = GOOD, *, code: str = "BNN", **more: Any) -> Any:
    return call("POST", f"{PARTIES}/{code}/pause", headers=[JSON], body=json.dumps(order).encode(), **more)


@pytest.fixture
def keyed(rehub: Callable[..., Any], calling: Callable[[Any], Any], tmp_path: Any) -> Callable[[str], Any]:
    """Call with a key of a party (or of staff) and a role; gives the answer."""
    lines = [f"{name}:{party}:{role}:{hash_key(name, salt=bytes(16))}" for name, party, role in KEYS]
    (tmp_path / "keys").write_text("\n".join(lines), "utf-8")
    caller = calling(rehub(api_keys=tmp_path / "keys"))

    def call(name: str, method: str = "GET", path: str = "", order: object = None) -> Any:
        headers = [JSON, ("authorization", f"Bearer {name}")]
        return caller(method, PARTIES + path, headers=headers, body=b"" if order is None else json.dumps(order).encode())

    return call


KEYS = (("lan", "", "operator"), ("minh", "", "reader"), ("bnn", "BNN", "operator"), ("nsw", "NSW", "reader"))


def test_parties_are_listed_as_they_stand(call: Call) -> None:
    (view,) = call("GET", PARTIES).json["items"]

    assert {name: view[name] for name in ("code", "circuit", "open_since", "paused_until", "waiting", "under_way", "oldest_due")} == {
        "code": "BNN",
        "circuit": "open",
        "open_since": "2026-12-31T00:55:00Z",
        "paused_until": None,
        "waiting": 6,
        "under_way": 1,
        "oldest_due": "2026-12-31T00:58:30Z",
    }


def test_pause_holds_back_until_a_time_and_says_who_and_why(call: Call, hub: Any) -> None:
    answer = pause(call, code="MARD")

    until = datetime(2026, 12, 31, 2, tzinfo=UTC)
    assert hub.destinations.acts == [("pause", "BNN", until, "network:127.0.0.1", "Bộ nâng cấp hệ thống")]
    shown = answer.json
    assert (answer.status, shown["paused_until"], shown["paused_by"]) == (200, UNTIL, "network:127.0.0.1")
    assert hub.learnt == 1  # this process sends nothing from now on


def test_resume_ends_a_pause(call: Call, hub: Any) -> None:
    pause(call)

    answer = call("POST", f"{PARTIES}/BNN/resume")

    assert (answer.status, answer.json["paused_until"]) == (200, None)
    assert hub.destinations.acts[-1] == ("resume", "BNN", "network:127.0.0.1")


def test_resume_of_what_is_not_paused_is_refused(call: Call) -> None:
    answer = call("POST", f"{PARTIES}/BNN/resume")

    assert (answer.status, answer.json["errors"][0]["code"]) == (409, "outbox.not-paused")


@pytest.mark.parametrize("code", ["XYZ", "NSW"])  # unknown; known but never sent to
@pytest.mark.parametrize("act", ["pause", "resume"])
def test_party_that_nothing_is_sent_to_is_refused(call: Call, hub: Any, code: str, act: str) -> None:
    answer = call("POST", f"{PARTIES}/{code}/{act}", headers=[JSON], body=json.dumps(GOOD).encode())

    assert (answer.status, answer.json["errors"][0]["code"]) == (404, "web.no-party")
    assert not hub.destinations.acts


@pytest.mark.parametrize(
    "change",
    [
        {"until": None},
        {"until": "2026-12-31T09:00:00"},
        {"until": "1798682400"},
        {"until": 1},
        {"reason": ""},
        {"reason": "a\x00"},
        {"more": 1},
    ],
)
def test_pause_out_of_its_form_is_refused(call: Call, hub: Any, change: Mapping[str, object]) -> None:
    assert pause(call, {**GOOD, **change}).status == 400
    assert not hub.destinations.acts


def test_announced_window_is_shown_as_the_partys_own(call: Call, hub: Any) -> None:
    from gateway.model import Window  # noqa: PLC0415  # only here

    start, until = (datetime(2026, 12, day, tzinfo=UTC) for day in (30, 31))
    party = hub.rules.party("BNN")
    hub.rules.parties = (replace(party, maintenance=(Window(start=start, until=until.replace(hour=9)),)),)

    (view,) = call("GET", PARTIES).json["items"]

    assert (view["paused_until"], view["paused_by"]) == ("2026-12-31T09:00:00Z", "maintenance")


@pytest.mark.parametrize(("name", "status"), [("lan", 200), ("minh", 403), ("bnn", 403), ("nsw", 403)])
def test_only_staff_who_operate_pause(keyed: Callable[..., Any], name: str, status: int) -> None:
    assert keyed(name, "POST", "/BNN/pause", GOOD).status == status


@pytest.mark.parametrize(("name", "seen"), [("minh", ["BNN"]), ("bnn", ["BNN"]), ("nsw", [])])
def test_party_sees_itself_only(keyed: Callable[..., Any], name: str, seen: list[str]) -> None:
    assert [view["code"] for view in keyed(name).json["items"]] == seen
