"""A message's evidence over REST: for whom the message concerns, and no more of it than concerns them."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest

from gateway.evidence.packing import MIMETYPE
from gateway.store.viewer import STAFF, Viewer
from gateway.web.keys import hash_key

Call = Callable[..., Any]
MESSAGE = "0198f3c2-6b1e-7c44-9a53-1f0c2ab4d5e6"
PATH = f"/api/v1/messages/{MESSAGE}/evidence"


@pytest.fixture
def asked(hub: Any) -> list[tuple[Any, ...]]:
    """What evidence was asked for: messages, by whom, for whose eyes."""
    found: list[tuple[Any, ...]] = []

    def export(messages: list[str], into: BinaryIO, *, by: str, viewer: Viewer) -> None:
        found.append((messages, by, viewer))
        into.write(b"container")

    hub.evidence = SimpleNamespace(export=export)
    return found


def test_gives_the_container_under_its_own_type(call: Call, asked: list[tuple[Any, ...]]) -> None:
    answer = call("GET", PATH)

    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"container", MIMETYPE)
    assert answer.headers["content-disposition"] == f'attachment; filename="{MESSAGE}.asice"'
    assert asked == [([MESSAGE], "network:127.0.0.1", STAFF)]


def test_a_message_that_is_not_there_has_none(call: Call, asked: list[tuple[Any, ...]]) -> None:
    assert call("GET", PATH.replace("0198f3c2", "00000000")).status == 404
    assert asked == []


def test_what_is_packed_is_what_the_caller_may_see(rehub: Any, calling: Any, tmp_path: Path, hub: Any, asked: list[Any]) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"NSW:NSW:content:{hash_key('NSW', salt=bytes(16))}\nchief::content:{hash_key('chief', salt=bytes(16))}\n", "utf-8")
    guarded = rehub(api_keys=keys)
    guarded.evidence = hub.evidence
    call = calling(guarded)

    for key in ("NSW", "chief"):
        call("GET", PATH, headers=[("x-api-key", key)])

    assert [(by, viewer) for _, by, viewer in asked] == [("key:NSW", Viewer(party="NSW", content=True)), ("key:chief", STAFF)]


def test_a_party_that_a_refused_message_names_gets_none(rehub: Any, calling: Any, tmp_path: Path, hub: Any, asked: list[Any]) -> None:
    (tmp_path / "keys").write_text(f"IPPC:IPPC:content:{hash_key('IPPC', salt=bytes(16))}\n", "utf-8")
    guarded = rehub(api_keys=tmp_path / "keys")
    guarded.evidence = hub.evidence

    answer = calling(guarded)("GET", PATH.replace("5e6", "5e7"), headers=[("x-api-key", "IPPC")])

    assert (answer.status, answer.json["errors"][0]["code"], asked) == (404, "web.no-content", [])
