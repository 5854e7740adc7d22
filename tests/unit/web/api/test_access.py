"""Who may call what, line by line as docs/reference/access.md has it; and what each caller finds in the answers."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts

from gateway.errors import Code, Conflict, Problem
from gateway.model import PartyCode
from gateway.outbox.circuit import Standing
from gateway.security.enrolment import Asked
from gateway.store.queries import Moment
from gateway.web.keys import hash_key

Call = Callable[..., Any]
PAGE = (Path(__file__).parents[4] / "docs" / "reference" / "access.md").read_text("utf-8")
MESSAGE, REFUSED = "0198f3c2-6b1e-7c44-9a53-1f0c2ab4d5e6", "0198f3c2-6b1e-7c44-9a53-1f0c2ab4d5e7"
DELIVERY, ANOTHERS = "0198f3c2-6b20-7d01-8e77-52b1c9f0a3d4", "0198f3c2-6b20-7d01-8e77-52b1c9f0a3d5"
MOMENT = datetime(2026, 12, 31, 1, 0, tzinfo=UTC)
SENDER, RECEIVER, STRANGER = "NSW", "BNN", "TCHQ"
OPEN = {"/health/live", "/health/ready", "/", "/docs", "/pages.css", "/openapi.json", "/ws", "/ws/gateway.wsdl", "/ws/{service}.wsdl"}
INSIDE = {"message": MESSAGE, "delivery": DELIVERY, "job": MESSAGE, "hold": MESSAGE, "request": MESSAGE, "code": "BNN", "number": "1"}
ASKED = Asked(id=MESSAGE, party=PartyCode(RECEIVER), csr="", sha256="", state="waiting", requested_at=MOMENT, requested_by="key:b")
HEAD = {"at": MOMENT.isoformat(), "key": "ab" * 32, "root": "ab" * 32, "size": 2}
OFFER = {"head": HEAD, "method": "x", "signature": "x", "old": 1, "path": []}
BODIES = {"/witnessed": OFFER, "/cancel": {"reason": "x"}, "/confirm": {"token": "ab" * 12}, "/refuse": {"token": "ab" * 12, "reason": "x"}}
# What a cell lets through: those who sent the message, those it was delivered to, and others.
CELLS = {"yes": (True, True, True), "own": (True, True, None), "received": (None, True, None), "no": (False, False, False)}
# What may betray something in an answer, and who finds it there.
MARKS = {
    "staff": "key:duty", "signer": "CN=NSW", "channel": "key:portal", "another": ANOTHERS, "another's party": "PORT",
    "another's reason": "port-reason", "another's number": "port-number", "reason": "timeout",
}  # fmt: skip
SENT = {"channel", "another", "another's party"}
FOUND = {
    "-reader": MARKS.keys() - {"signer"}, "-all": set(MARKS), "NSW-reader": SENT, "NSW-all": {*SENT, "signer"}, "BNN-reader": {"reason"},
    "BNN-all": {"reason", "signer"}, "TCHQ-all": set(),
}  # fmt: skip


def table() -> Iterator[tuple[str, str, Mapping[str, str]]]:
    """Read the page's lines: method, path, and what it says of each kind of caller."""
    lines = [[cell.strip(" `") for cell in line.strip("|\n").split("|")] for line in PAGE.splitlines() if line.startswith("| ")]
    head = next(line for line in lines if line[0] == "Route")
    for route, *cells in (line for line in lines if re.match(r"(GET|POST) /", line[0])):
        method, _, path = route.partition(" ")
        yield method, path, dict(zip((name.replace("`", "") for name in head[1:]), cells, strict=True))


class Reached:
    """Stands for what is behind the interface: whoever comes to it was let in."""

    def __getattr__(self, _name: str) -> Callable[..., Any]:
        def reached(*_: object, **__: object) -> Any:
            raise Conflict(Code.CONFLICT, Problem(text="outbox.repeat-key"))

        return reached


@pytest.fixture
def behind(rehub: Call, tmp_path: Path) -> Any:
    """A guarded hub: everybody has a key that is called after party and role; a message was sent by one party to two."""
    owners = ("", SENDER, RECEIVER, STRANGER)
    keys = [(f"{owner}-{role}", owner, role) for owner in owners for role in ("sender", "reader", "operator", "content", "collector")]
    keys += [(f"{owner}-all", owner, "reader,content") for owner in owners]
    path = tmp_path / "keys"
    path.write_text("\n".join(f"{n}:{party}:{role}:{hash_key(n, salt=bytes(16))}" for n, party, role in keys), "utf-8")
    hub = rehub(api_keys=path)
    own = hub.queries.delivery_rows[0]
    hub.queries.delivery_rows.append(replace(own, id=ANOTHERS, party="PORT", cause="port-reason", reference="port-number"))
    hub.rules.parties = tuple(replace(hub.rules.own, code=code, collects=True, adapter="x") for code in (SENDER, RECEIVER, STRANGER))
    return hub


@pytest.fixture
def calling_as(behind: Any, calling: Callable[[Any], Call]) -> Call:
    call = calling(behind)

    def ask(key: str, method: str, target: str) -> Any:
        body = next((document for end, document in BODIES.items() if target.endswith(end)), None)
        headers = [("content-type", "application/json"), *([("x-api-key", key)] if key else [])]
        return call(method, target, headers=headers, body=b"" if body is None else json.dumps(body).encode())

    return ask


def test_every_route_has_its_line(call: Any) -> None:
    routes = {(method, found.path) for found in iter_route_contexts(call.app.routes) for method in found.methods or ()}

    assert {(method, path) for method, path in routes if path not in OPEN and method != "HEAD"} == {line[:2] for line in table()}


def test_each_role_is_let_in_as_the_page_says(behind: Any, calling_as: Call) -> None:
    for name in ("mending", "mailboxes", "holds", "certificates", "ledger", "evidence", "attachments", "intake", "witness"):
        setattr(behind, name, Reached())
    behind.certificates.request = lambda _: ASKED
    behind.trust = SimpleNamespace(registry=SimpleNamespace(owners={}, parties={}), certificates=lambda _: Reached().certificates())
    wrong = {}

    for method, path, cells in table():
        for kind, cell in cells.items():
            let_in = tuple(_let_in(calling_as(key, method, path.format_map(INSIDE))) for key in _keys(kind))
            if let_in != CELLS[cell][: len(let_in)]:
                wrong[method, path, kind] = (cell, let_in)

    assert wrong == {}


def test_nobody_is_let_in_without_a_credential_that_is_known(calling_as: Call) -> None:
    answers = [calling_as(key, method, path.format_map(INSIDE)).status for key in ("", "nobodys") for method, path, _ in table()]

    assert set(answers) == {401}


def test_answers_hold_what_is_for_the_caller(behind: Any, calling_as: Call) -> None:
    behind.queries.timeline = lambda _: (
        Moment(at=MOMENT, kind="message.accepted", delivery=None, values={"deliveries": f"{DELIVERY} {ANOTHERS}"}),
        Moment(at=MOMENT, kind="delivery.settled", delivery=ANOTHERS, values={"party": "PORT", "state": "rejected"}),
        Moment(at=MOMENT, kind="staff.replayed", delivery=DELIVERY, values={"by": "key:duty"}),
    )
    behind.destinations.known = (Standing(party=PartyCode("BNN"), paused_until=MOMENT + timedelta(days=1), paused_by="key:duty"),)

    found = {key: {word for word, mark in MARKS.items() if mark in _answers(calling_as, key)} for key in FOUND}

    assert found == FOUND


@pytest.mark.parametrize(
    ("role", "target"),
    [
        ("reader", f"messages/{MESSAGE}"),
        ("reader", f"messages/{MESSAGE}/proof"),
        ("reader", f"deliveries/{DELIVERY}"),
        ("content", f"messages/{MESSAGE}/document"),
        ("content", f"messages/{MESSAGE}/attachments"),
        ("content", f"messages/{MESSAGE}/evidence"),
        ("content", f"deliveries/{DELIVERY}/exchange"),
    ],
)
def test_what_was_cancelled_before_anything_left_is_not_found_by_its_party(behind: Any, calling_as: Call, role: str, target: str) -> None:
    behind.queries.delivery_rows[0] = replace(behind.queries.delivery_rows[0], state="cancelled", concerns=False)

    assert calling_as(f"{RECEIVER}-{role}", "GET", f"/api/v1/{target}").status == 404


@pytest.mark.parametrize(
    ("role", "target"),
    [
        ("sender", "ledger/witnessed"),
        ("sender", "certificates/next"),
        ("collector", f"mailbox/{DELIVERY}/confirm"),
        ("collector", f"mailbox/{DELIVERY}/refuse"),
    ],
)
def test_staff_are_told_that_it_is_for_parties_before_what_is_wrong_with_the_body(
    behind: Any, calling: Callable[[Any], Call], role: str, target: str
) -> None:
    answer = calling(behind)("POST", f"/api/v1/{target}", headers=[("content-type", "application/json"), ("x-api-key", f"-{role}")])

    assert (answer.status, answer.json["errors"][0]["code"]) == (403, "web.nobodys")


@pytest.mark.parametrize(("key", "own"), [("-reader", False), ("BNN-reader", True)])
@pytest.mark.parametrize("place", ["messages", "deliveries", "dead-letters"])
def test_lists_of_a_party_hold_what_concerns_it_still(behind: Any, calling_as: Call, place: str, key: str, own: bool) -> None:  # noqa: FBT001  # a case
    assert calling_as(key, "GET", f"/api/v1/{place}").status == 200

    assert behind.queries.asked["own"] is own


def test_a_party_that_cancels_what_never_left_is_told_so(behind: Any, calling_as: Call) -> None:
    once = behind.mending.once

    def cancel(*asked: Any, **by: Any) -> None:
        once(*asked, **by)
        behind.queries.delivery_rows[0] = replace(behind.queries.delivery_rows[0], concerns=False)

    behind.mending.once = cancel
    target = f"/api/v1/deliveries/{DELIVERY}"

    told, afterwards = calling_as("BNN-operator", "POST", f"{target}/cancel"), calling_as("BNN-operator", "GET", target)

    assert (told.status, told.json["state"], afterwards.status) == (200, "cancelled", 404)


def _answers(calling_as: Call, key: str) -> str:
    """Join all that a caller is shown."""
    deliveries = (f"deliveries/{each}" for each in (DELIVERY, ANOTHERS))
    asked = (
        calling_as(key, "GET", f"/api/v1/{place}") for place in ("messages", f"messages/{MESSAGE}", "deliveries", "parties", *deliveries)
    )
    return b"".join(answer.body for answer in asked if answer.status == 200).decode()


def _keys(kind: str) -> list[str]:
    who, role = kind.split(": ")
    return [f"{owner}-{role}" for owner in (("",) if who == "staff" else (SENDER, RECEIVER, STRANGER))]


def _let_in(answer: Any) -> bool | None:
    """Say whether a caller was let in; None where it is told that there is no such thing."""
    return {403: False, 404: None}.get(answer.status, answer.status < 500)
