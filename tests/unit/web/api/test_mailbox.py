import json
import os
from base64 import b64decode
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.outbox.outbox import SqlOutbox
from gateway.outbox.payloads import Payloads
from gateway.security.cipher import FileCipher
from gateway.store.engine import open_database
from gateway.store.times import utc
from gateway.testing.entries import BNN, make_entry
from gateway.web.keys import hash_key

Call = Callable[..., Any]

MAILBOX = "/api/v1/mailbox"
DELIVERY = "0198f3c2-6b20-7d01-8e77-52b1c9f0a3d4"
MESSAGE = "0198f3c2-6b1e-7c44-9a53-1f0c2ab4d5e6"
TOKEN = "ab" * 12
JSON = ("content-type", "application/json")


def _order(call: Call, path: str, order: object = None, *, headers: tuple[tuple[str, str], ...] = ()) -> Any:
    body = b"" if order is None else json.dumps(order).encode()
    return call("POST", MAILBOX + path, headers=[JSON, *headers], body=body)


@pytest.fixture
def guarded(tmp_path: Path, rehub: Callable[..., Any], calling: Callable[[Any], Call]) -> tuple[Call, Any]:
    """A gateway that asks for keys: the port's own, one of its readers, another party's, and staff's."""
    lines = [("port", "PORT", "collector"), ("look", "PORT", "reader"), ("bnn", "BNN", "collector"), ("staff", "", "collector,operator")]
    path = tmp_path / "keys"
    path.write_text("\n".join(f"{n}:{party}:{roles}:{hash_key(n, salt=bytes(16))}" for n, party, roles in lines), "utf-8")
    hub = rehub(api_keys=path)
    return calling(hub), hub


def _as(key: str) -> tuple[tuple[str, str], ...]:
    return (("x-api-key", key),)


def test_collect_hands_out_documents_with_token_and_lease(guarded: tuple[Call, Any]) -> None:
    call, hub = guarded

    answer = _order(call, "/collect", {"limit": 5, "lease_seconds": 60}, headers=_as("port"))

    (item,) = answer.json["items"]
    assert answer.status == 200
    assert b64decode(item.pop("document")) == b"<Envelope/>"
    assert item == {
        "delivery": DELIVERY, "message": MESSAGE, "token": TOKEN, "until": "2026-12-31T01:01:00Z", "attempt": 2,
        "media_type": "text/xml", "sha256": "cd" * 32, "attachments": [],
    }  # fmt: skip
    assert hub.mailboxes.acts == [("collect", "PORT", 5, timedelta(seconds=60))]


def test_collect_without_an_order_hands_out_ten_for_five_minutes(guarded: tuple[Call, Any]) -> None:
    call, hub = guarded

    assert _order(call, "/collect", headers=_as("port")).status == 200
    assert hub.mailboxes.acts == [("collect", "PORT", 10, timedelta(minutes=5))]


@pytest.mark.parametrize(
    "order", [{"limit": 0}, {"limit": 101}, {"lease_seconds": 0}, {"lease_seconds": 3601}, {"limit": "x"}, {"most": 1}, [], "x"]
)
def test_order_out_of_bounds_is_refused(guarded: tuple[Call, Any], order: object) -> None:
    call, hub = guarded

    assert _order(call, "/collect", order, headers=_as("port")).status == 400
    assert hub.mailboxes.acts == []


def test_delivery_is_confirmed_by_the_token_that_the_outbox_made(guarded: tuple[Call, Any], sqlite_url: str, tmp_path: Path) -> None:
    call, hub = guarded
    payloads = Payloads(cipher=FileCipher(tmp_path / "encryption", entropy=os.urandom))
    with closing(open_database(sqlite_url)) as database:
        outbox = SqlOutbox(database, payloads, clock=utc, entropy=os.urandom)
        outbox.record(make_entry())
        (claim,) = outbox.claim({BNN: 1})

    confirmed = _order(call, f"/{DELIVERY}/confirm", {"token": claim.token}, headers=_as("port"))

    assert (confirmed.status, hub.mailboxes.acts) == (200, [("confirm", "PORT", DELIVERY, claim.token, "")])


def test_confirm_and_refuse_end_a_delivery(guarded: tuple[Call, Any]) -> None:
    call, hub = guarded

    confirmed = _order(call, f"/{DELIVERY}/confirm", {"token": TOKEN, "reference": "K-7"}, headers=_as("port"))
    refused = _order(call, f"/{DELIVERY}/refuse", {"token": TOKEN, "reason": "Sai mã cảng"}, headers=_as("port"))

    assert (confirmed.json, refused.json) == (
        {"delivery": DELIVERY, "state": "delivered"},
        {"delivery": DELIVERY, "state": "rejected"},
    )
    assert hub.mailboxes.acts == [("confirm", "PORT", DELIVERY, TOKEN, "K-7"), ("refuse", "PORT", DELIVERY, TOKEN, "Sai mã cảng")]


@pytest.mark.parametrize(
    ("act", "order"),
    [
        ("confirm", {}),
        ("confirm", {"token": "x"}),
        ("confirm", {"token": TOKEN, "reference": "a\u0000"}),
        ("confirm", {"token": TOKEN, "reason": "x"}),
        ("refuse", {"token": TOKEN}),
        ("refuse", {"token": TOKEN, "reason": ""}),
        ("refuse", {"token": TOKEN, "reason": "a\nb"}),
        ("refuse", {"token": TOKEN, "reason": "x" * 501}),
    ],
)
def test_end_that_is_not_in_its_form_is_refused(guarded: tuple[Call, Any], act: str, order: object) -> None:
    call, hub = guarded

    assert _order(call, f"/{DELIVERY}/{act}", order, headers=_as("port")).status == 400
    assert hub.mailboxes.acts == []


def test_nothing_is_handed_out_while_staff_paused_the_party(guarded: tuple[Call, Any]) -> None:
    call, hub = guarded
    hub.destinations.pause("PORT", until=hub.clock() + timedelta(hours=1), by="key:lan", reason="x")

    paused = _order(call, "/collect", headers=_as("port"))
    hub.destinations.pause("PORT", until=hub.clock(), by="key:lan", reason="x")  # which is over
    after = _order(call, "/collect", headers=_as("port"))

    assert (paused.status, paused.json["errors"][0]["code"]) == (503, "outbox.party-paused")
    assert after.status == 200
    assert hub.mailboxes.acts == [("collect", "PORT", 10, timedelta(minutes=5))]


def test_mailbox_is_counted(guarded: tuple[Call, Any]) -> None:
    call, _ = guarded

    answer = call("GET", MAILBOX, headers=_as("look"))

    assert answer.json == {"party": "PORT", "waiting": 4, "held": 2, "set_aside": 1, "oldest": "2026-12-31T00:55:00Z"}


@pytest.mark.parametrize(
    ("key", "query", "status", "code"),
    [
        ("look", "", 403, "web.role"),
        ("bnn", "", 404, "web.no-mailbox"),
        ("bnn", "?party=PORT", 403, "web.other-party"),
        ("staff", "", 403, "web.nobodys"),
        ("staff", "?party=PORT", 403, "web.nobodys"),
        ("wrong", "", 401, "web.credential-unknown"),
    ],
)
def test_nobody_else_sees_a_mailbox(guarded: tuple[Call, Any], key: str, query: str, status: int, code: str) -> None:
    call, hub = guarded

    answer = _order(call, f"/collect{query}", headers=_as(key))

    assert (answer.status, answer.json["errors"][0]["code"]) == (status, code)
    assert hub.mailboxes.acts == []


def test_without_keys_a_caller_on_this_machine_names_its_party(call: Call, hub: Any) -> None:
    statuses = [_order(call, path).status for path in ("/collect?party=PORT", "/collect", "/collect?party=BNN", "/collect?party=X")]

    assert statuses == [200, 403, 404, 404]
    assert hub.mailboxes.acts == [("collect", "PORT", 10, timedelta(minutes=5))]
