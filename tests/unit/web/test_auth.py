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
    return Access(keys=KeyFile(path), party_of={FINGERPRINT: PartyCode("BNN")}.get, guarded=True)


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
