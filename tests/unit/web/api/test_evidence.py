"""A message's evidence over REST: for whom the message concerns, and no more of it than concerns them."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.evidence.packing import MIMETYPE
from gateway.web.keys import hash_key

Call = Callable[..., Any]
MESSAGE = "0198f3c2-6b1e-7c44-9a53-1f0c2ab4d5e6"
PATH = f"/api/v1/messages/{MESSAGE}/evidence"


@pytest.fixture
def asked(hub: Any) -> list[tuple[Any, ...]]:
    """What evidence was asked for: messages, by whom, with whose exchanges."""
    found: list[tuple[Any, ...]] = []

    def export(messages: list[str], *, by: str, shows: Callable[[str], bool]) -> bytes:
        found.append((messages, by, [party for party in ("NSW", "BNN") if shows(party)]))
        return b"container"

    hub.evidence = SimpleNamespace(export=export)
    return found


def test_gives_the_container_under_its_own_type(call: Call, asked: list[tuple[Any, ...]]) -> None:
    answer = call("GET", PATH)

    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"container", MIMETYPE)
    assert answer.headers["content-disposition"] == f'attachment; filename="{MESSAGE}.asice"'
    assert [(messages, parties) for messages, _, parties in asked] == [([MESSAGE], ["NSW", "BNN"])]


def test_a_message_that_is_not_there_has_none(call: Call, asked: list[tuple[Any, ...]]) -> None:
    assert call("GET", PATH.replace("0198f3c2", "00000000")).status == 404
    assert asked == []


def test_a_party_gets_its_own_messages_only_and_of_exchanges_its_own_part(
    rehub: Any, calling: Any, tmp_path: Path, hub: Any, asked: list[tuple[Any, ...]]
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(
        "\n".join(f"{party}:{party}:reader:{hash_key(party, salt=bytes(16))}" for party in ("NSW", "TCHQ"))
        + f"\nstaff::reader:{hash_key('staff', salt=bytes(16))}\nchief::reader,content:{hash_key('chief', salt=bytes(16))}",
        "utf-8",
    )
    guarded = rehub(api_keys=keys)
    guarded.evidence = hub.evidence
    call = calling(guarded)

    answers = [call("GET", PATH, headers=[("x-api-key", key)] if key else []) for key in ("NSW", "staff", "chief", "TCHQ", "")]

    assert [answer.status for answer in answers] == [200, 200, 200, 404, 401]
    assert [parties for *_, parties in asked] == [["NSW"], [], ["NSW", "BNN"]]
