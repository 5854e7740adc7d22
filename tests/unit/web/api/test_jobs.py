"""Jobs over REST, on a real database: ordered, counted, approved, steered, and refused."""

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.lifecycle import State
from gateway.outbox.orders import FourEyes
from gateway.routing.rules import RuleSet, load
from gateway.store.engine import open_database
from gateway.store.migrate import upgrade
from gateway.testing.desk import Desk, Time
from gateway.web.keys import hash_key
from gateway.xml.shipped import shipped

Call = Callable[..., Any]

JOBS = "/api/v1/jobs"
ABSENT = "0198f3c2-6b20-7d01-8e77-000000000000"
REPLAY = {"act": "replay", "choice": {"party": "BNN"}}


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return load((shipped("routing_rules"),))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database, migrated once."""
    path = tmp_path_factory.mktemp("template") / "gateway.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def desk(tmp_path: Path, template: Path, rules: RuleSet) -> Iterator[Desk]:
    shutil.copy(template, tmp_path / "gateway.db")
    clock = Time()
    database = open_database(f"sqlite:///{tmp_path}/gateway.db", clock=clock)
    yield Desk(database=database, rules=rules, clock=clock, keys=tmp_path / "keys")
    database.close()


@pytest.fixture
def ask(desk: Desk, tmp_path: Path, rehub: Callable[..., Any], calling: Callable[[Any], Call]) -> Callable[..., Any]:
    """Ask as somebody: lan and hoa are operators, tam reads, nsw is an operator of a party."""
    people = {"lan": ("", "operator"), "hoa": ("", "operator"), "tam": ("", "reader"), "nsw": ("NSW", "operator")}
    lines = [f"{name}:{party}:{roles}:{hash_key(name, salt=bytes(16))}" for name, (party, roles) in people.items()]
    (tmp_path / "people").write_text("\n".join(lines), "utf-8")
    hub = rehub(api_keys=tmp_path / "people")
    hub.queries, hub.mending, hub.history = desk.queries, desk.mending, desk.history
    call = calling(hub)

    def asked(method: str, path: str, body: Any = None, *, by: str = "lan", key: str | None = None) -> Any:
        hub.mending = desk.mending
        headers = [("x-api-key", by), *([("content-type", "application/json")] if body is not None else [])]
        headers += [("idempotency-key", key)] if key else []
        return call(method, path, headers=headers, body=b"" if body is None else json.dumps(body).encode())

    return asked


def test_order_is_counted_begun_and_shown_with_its_progress(desk: Desk, ask: Call) -> None:
    delivery = desk.deliver()

    counted, ordered = ask("POST", f"{JOBS}/count", REPLAY), ask("POST", JOBS, REPLAY)
    desk.run()
    shown = ask("GET", f"{JOBS}/{ordered.json['id']}", by="tam")

    assert (counted.status, counted.json) == (200, {"total": 1})
    assert (ordered.status, ordered.json["state"], ordered.json["choice"]) == (201, "running", {"party": "BNN", "state": "dead"})
    assert (shown.json["state"], shown.json["total"], shown.json["done"], shown.json["proposed_by"]) == ("done", 1, 1, "key:lan")
    assert desk.row(delivery).state == State.QUEUED


def test_job_tells_why_deliveries_were_passed_over(desk: Desk, ask: Call) -> None:
    first, second = desk.deliver(), desk.deliver(None)

    job = ask("POST", JOBS, {"act": "replay", "choice": {"ids": [first, second, first]}}).json["id"]
    desk.run()
    shown = ask("GET", f"{JOBS}/{job}").json

    assert (shown["total"], shown["done"], shown["skipped"]) == (2, 1, 1)
    assert [(skip["code"], skip["count"], bool(skip["message_vi"])) for skip in shown["skips"]] == [("mending.wrong-state", 1, True)]


def test_every_act_can_be_ordered_for_many(desk: Desk, ask: Call) -> None:
    orders: list[dict[str, Any]] = [
        {"act": "cancel", "reason": "x"},
        {"act": "redirect", "reason": "x", "party": "TCHQ"},
        {"act": "return", "reason": "x"},
        {"act": "correct", "corrections": {"receiver": "MARD"}},
    ]
    for order in orders:
        delivery = desk.deliver()
        job = ask("POST", JOBS, {**order, "choice": {"ids": [delivery]}}).json["id"]
        desk.run()
        assert (ask("GET", f"{JOBS}/{job}").json["done"], len(desk.told(delivery))) == (1, 1)


def test_order_repeated_under_its_key_is_the_first_job(desk: Desk, ask: Call) -> None:
    desk.deliver()

    first, again = (ask("POST", JOBS, REPLAY, key="K") for _ in range(2))
    other = ask("POST", JOBS, {"act": "replay", "choice": {"party": "TCHQ"}}, key="K")

    assert first.json["id"] == again.json["id"]
    assert (other.status, other.json["errors"][0]["code"]) == (409, "mending.repeat-key")


def test_proposal_needs_another_person(desk: Desk, ask: Call) -> None:
    desk.mending = desk.with_eyes(FourEyes.BULK)
    delivery = desk.deliver()
    job = ask("POST", JOBS, REPLAY).json
    listed = ask("GET", f"{JOBS}?state=proposed").json["items"]

    own, other = (ask("POST", f"{JOBS}/{job['id']}/approve", by=by) for by in ("lan", "hoa"))
    desk.run()

    assert (job["state"], [item["id"] for item in listed]) == ("proposed", [job["id"]])
    assert (own.status, own.json["errors"][0]["code"]) == (403, "mending.own-proposal")
    assert (other.status, other.json["state"], other.json["approved_by"]) == (200, "running", "key:hoa")
    assert desk.row(delivery).state == State.QUEUED


def test_single_act_is_a_proposal_too_where_all_need_one(desk: Desk, ask: Call) -> None:
    desk.mending = desk.with_eyes(FourEyes.ALL)
    delivery = desk.deliver()

    answer = ask("POST", f"/api/v1/deliveries/{delivery}/replay")

    assert (answer.status, answer.json["state"], answer.json["choice"]) == (202, "proposed", {"ids": [delivery]})
    assert desk.row(delivery).state == State.DEAD


def test_job_is_paused_resumed_and_ended(desk: Desk, ask: Call) -> None:
    desk.deliver()
    job = ask("POST", JOBS, REPLAY).json["id"]

    states = [ask("POST", f"{JOBS}/{job}/{act}").json["state"] for act in ("pause", "resume", "cancel")]
    ended = ask("POST", f"{JOBS}/{job}/resume")

    assert states == ["paused", "running", "cancelled"]
    assert (ended.status, ended.json["errors"][0]["code"]) == (409, "mending.job-state")


def test_jobs_are_listed_in_pages(desk: Desk, ask: Call) -> None:
    made = []
    for _ in range(3):
        desk.clock.now += timedelta(seconds=1)
        made.append(ask("POST", JOBS, REPLAY).json["id"])

    first = ask("GET", f"{JOBS}?limit=2").json
    rest = ask("GET", f"{JOBS}?limit=2&cursor={first['next_cursor']}").json

    assert [item["id"] for item in first["items"] + rest["items"]] == made[::-1]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"act": "replay", "choice": {}}, "mending.no-choice"),
        ({"act": "replay", "choice": {"party": "BNN", "ids": [ABSENT]}}, "mending.no-choice"),
        ({"act": "cancel", "choice": {"party": "BNN"}}, "mending.no-reason"),
        ({"act": "redirect", "choice": {"party": "BNN"}, "reason": "x"}, "mending.no-party"),
        ({"act": "redirect", "choice": {"party": "BNN"}, "reason": "x", "party": "NOBODY"}, "mending.unknown-party"),
        ({"act": "correct", "choice": {"party": "BNN"}}, "mending.no-correction"),
        ({"act": "replay", "choice": {"partie": "BNN"}}, "web.parameter-unknown"),
        ({"act": "burn", "choice": {"party": "BNN"}}, "web.parameter"),
        ({"act": "replay", "choice": {"state": "lost"}}, "web.parameter"),
        ({"act": "replay", "choice": {"since": "2026-12-31"}}, "web.parameter"),
        ({"act": "replay", "choice": {"ids": ["1"]}}, "web.parameter"),
        ({"act": "replay", "choice": {"party": "a\u0000"}}, "web.parameter"),
        ({"act": "correct", "choice": {"party": "BNN"}, "corrections": {"content": "<x/>"}}, "web.parameter-unknown"),
        ({"act": "replay", "choice": {"party": "BNN"}, "accept_duplicate": True}, "mending.no-duplicate"),
        ({"act": "correct", "choice": {"party": "BNN"}, "corrections": {"version": "2"}, "accept_duplicate": True}, "mending.no-duplicate"),
        ({"act": "replay"}, "web.parameter"),
        ([], "web.parameter"),
    ],
)
def test_order_that_cannot_be_meant_is_refused(desk: Desk, ask: Call, body: Any, code: str) -> None:
    answers = [ask("POST", place, body) for place in (JOBS, f"{JOBS}/count")]

    assert [(answer.status, answer.json["errors"][0]["code"]) for answer in answers] == [(400, code)] * 2
    assert desk.mending.jobs().items == ()


@pytest.mark.parametrize(
    ("order", "unused"),
    [
        ({"act": "cancel", "reason": "x", "party": "TCHQ", "corrections": {"version": "2"}}, ["party", "corrections"]),
        ({"act": "return", "reason": "x", "route": "to-BNN"}, ["route"]),
        ({"act": "replay", "corrections": {}}, ["corrections"]),
        ({"act": "redirect", "reason": "x", "party": "TCHQ", "corrections": {"version": "2"}}, ["corrections"]),
        ({"act": "correct", "party": "BNN", "corrections": {"version": "2"}}, ["party"]),
        ({"act": "correct", "route": "to-BNN", "corrections": {"route": "to-BNN-2"}}, ["corrections.route"]),
    ],
)
def test_members_that_the_act_does_not_use_are_refused_by_name(desk: Desk, ask: Call, order: dict[str, Any], unused: list[str]) -> None:
    answer = ask("POST", JOBS, {**order, "choice": {"party": "BNN"}})

    assert (answer.status, [error["path"] for error in answer.json["errors"]]) == (400, unused)
    assert {error["code"] for error in answer.json["errors"]} == {"web.parameter-unused"}
    assert desk.mending.jobs().items == ()


@pytest.mark.parametrize("query", ["state=lost", "cursor=1", "limit=0", "party=BNN"])
def test_list_out_of_its_form_is_refused(ask: Call, query: str) -> None:
    assert ask("GET", f"{JOBS}?{query}").status == 400


@pytest.mark.parametrize(
    ("method", "act"), [("GET", ""), ("POST", "/approve"), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/cancel")]
)
def test_absent_and_malformed_jobs_are_refused(ask: Call, method: str, act: str) -> None:
    assert (ask(method, f"{JOBS}/{ABSENT}{act}").status, ask(method, f"{JOBS}/1{act}").status) == (404, 400)


def test_order_for_a_delivery_that_is_not_there_begins_nothing(desk: Desk, ask: Call) -> None:
    delivery = desk.deliver()

    answer = ask("POST", JOBS, {"act": "replay", "choice": {"ids": [delivery, ABSENT]}})

    assert (answer.status, answer.json["errors"][0]["code"]) == (404, "outbox.no-delivery")
    assert desk.mending.jobs().items == ()


@pytest.mark.parametrize(("by", "code"), [("tam", "web.role"), ("nsw", "web.staff-only"), ("nobody", "web.credential-unknown")])
def test_only_operators_of_the_office_order(desk: Desk, ask: Call, by: str, code: str) -> None:
    answer = ask("POST", JOBS, REPLAY, by=by)

    assert (answer.status, answer.json["errors"][0]["code"]) == (401 if by == "nobody" else 403, code)
    assert desk.mending.jobs().items == ()


def test_party_sees_no_jobs(ask: Call) -> None:
    assert ask("GET", JOBS, by="nsw").status == 403
