import threading
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import NotProven
from gateway.model import PartyCode
from gateway.web.auth import CERTIFICATE, Access
from gateway.web.keys import KeyFile, hash_key

FINGERPRINT = "ab" * 32


@pytest.fixture
def access(tmp_path: Path) -> Access:
    path = tmp_path / "keys"
    path.write_text(f"portal:NSW:sender:{hash_key('k1', salt=bytes(16))}\n", "utf-8")
    return Access(keys=KeyFile(path, watch=lambda _event, _fields: None), party_of={FINGERPRINT: PartyCode("BNN")}.get, guarded=True)


def _scope(certificate: str | None = None, client: Any = ("10.1.2.3", 5)) -> dict[str, Any]:
    return {"client": client, "state": {CERTIFICATE: certificate} if certificate else {}}


@pytest.mark.parametrize("head", [{b"authorization": b"Bearer k1"}, {b"authorization": b"bearer  k1 "}, {b"x-api-key": b"k1"}])
def test_key_proves_its_name_party_and_roles(access: Access, head: dict[bytes, bytes]) -> None:
    channel = access.channel(_scope(), head)

    assert (channel.kind, channel.name, channel.party, channel.roles) == ("key", "portal", PartyCode("NSW"), frozenset({"sender"}))


@pytest.mark.parametrize(
    "head",
    [
        {b"authorization": b"Bearer k2"},
        {b"authorization": b"Basic k1"},
        {b"authorization": b"Bearer"},
        {b"authorization": b"Bearer k1", b"x-api-key": b"k1"},
        {b"authorization": b""},
        {b"x-api-key": b""},
        {b"x-api-key": b"\xff\xfe"},
    ],
)
def test_wrong_key_is_never_taken_for_none(access: Access, head: dict[bytes, bytes]) -> None:
    with pytest.raises(NotProven, match="credential-unknown"):
        access.channel(_scope(FINGERPRINT), head)


def test_key_is_unknown_where_no_keys_are_configured() -> None:
    with pytest.raises(NotProven):
        Access(keys=None, party_of=lambda _: None, guarded=False).channel(_scope(), {b"x-api-key": b"k1"})


def test_registered_certificate_proves_its_party(access: Access) -> None:
    channel = access.channel(_scope(FINGERPRINT), {})

    assert (channel.kind, channel.name, channel.party, channel.roles) == (
        "certificate",
        FINGERPRINT,
        PartyCode("BNN"),
        frozenset({"reader", "sender", "collector", "content"}),
    )


def test_unregistered_certificate_proves_itself_only(access: Access) -> None:
    channel = access.channel(_scope("cd" * 32), {})

    assert (channel.kind, channel.party, channel.roles) == ("certificate", None, frozenset())


def test_network_proves_the_address(access: Access) -> None:
    assert access.channel(_scope(), {}).name == "10.1.2.3"
    assert access.channel(_scope(client=None), {}).kind == "open"


def test_guard_asks_for_a_role(access: Access) -> None:
    key, network = access.channel(_scope(), {b"x-api-key": b"k1"}), access.channel(_scope(), {})

    access.demand(key, "sender", "operator")
    with pytest.raises(NotProven, match=r"web\.role"):
        access.demand(key, "operator")
    with pytest.raises(NotProven, match="credential-missing"):
        access.demand(network, "reader")


def test_without_a_guard_everyone_passes() -> None:
    access = Access(keys=None, party_of=lambda _: None, guarded=False)

    channel = access.channel(_scope(), {})

    access.demand(channel, "operator")
    assert (channel.kind, channel.party) == ("network", None)


@pytest.mark.parametrize(("path", "body"), [("/ws", b"<a/>"), ("/api/v1/documents", b"<a/>"), ("/api/v1/messages", b"")])
def test_busy_check_of_keys_is_answered_with_when_to_come_again(
    tmp_path: Path, rehub: Any, calling: Any, monkeypatch: pytest.MonkeyPatch, path: str, body: bytes
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"officer::reader:{hash_key('k1', salt=bytes(16), chosen=True)}\n", "utf-8")
    hub = rehub(api_keys=keys)
    call = calling(hub)
    trying, go_on = threading.Event(), threading.Event()

    def held(_key: str, _hashed: str) -> bool:
        trying.set()
        return not go_on.wait(10)

    monkeypatch.setattr("gateway.web.keys.verify_key", held)
    other = threading.Thread(target=call, args=("GET", "/api/v1/messages"), kwargs={"headers": [("x-api-key", "k2")]})
    other.start()
    try:
        assert trying.wait(10)
        head = [("x-api-key", "k3"), ("content-type", "application/xml")]
        answer = call("POST" if body else "GET", path, headers=head, body=body)
    finally:
        go_on.set()
        other.join()

    assert (answer.status, answer.headers["retry-after"]) == (503, "30")
    assert not hub.intake.arrivals
