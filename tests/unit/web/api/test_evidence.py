"""A message's evidence over REST: for whom the message concerns, and no more of it than concerns them."""

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest

from gateway.evidence.packing import MIMETYPE
from gateway.store.viewer import STAFF, Viewer
from gateway.web.api.evidence import MOST_OF_ONE
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


def test_a_disk_that_is_full_asks_the_caller_to_come_again(call: Call, hub: Any) -> None:
    def export(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    hub.evidence = SimpleNamespace(export=export)

    answer = call("GET", PATH)

    assert (answer.status, answer.json["errors"][0]["code"]) == (503, "web.container-disk")
    assert "NSW_HOME" in answer.json["errors"][0]["fix_en"]


async def read(call: Any, key: str, begun: "asyncio.Queue[int]", gate: asyncio.Event) -> None:
    """Ask for a container, tell the answer's status, and take its body when the gate opens."""
    path, host = PATH.encode(), ("127.0.0.1", 8080)
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": PATH, "raw_path": path, "query_string": b"", "root_path": "",
        "headers": [(b"host", b"gw.vn"), (b"x-api-key", key.encode())], "client": ("127.0.0.1", 50000), "server": host, "state": {},
    }  # fmt: skip

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            begun.put_nowait(message["status"])
            await gate.wait()

    await call.app(scope, receive, send)


def test_whoever_reads_slowly_holds_a_few_containers_only(rehub: Any, calling: Any, tmp_path: Path) -> None:
    keys = (f"{name}::content:{hash_key(name, salt=bytes(16))}" for name in ("slow", "other"))
    (tmp_path / "keys").write_text("\n".join(keys), "utf-8")
    hub = rehub(api_keys=tmp_path / "keys")
    hub.evidence = SimpleNamespace(export=lambda _messages, into, **_: into.write(b"container"))
    call = calling(hub)

    async def play() -> list[int]:
        begun, gate = asyncio.Queue[int](), asyncio.Event()
        tasks, statuses = [], []
        for key in (*["slow"] * (MOST_OF_ONE + 1), "other"):
            tasks.append(asyncio.create_task(read(call, key, begun, gate)))
            statuses.append(await begun.get())
        gate.set()
        await asyncio.gather(*tasks)
        return statuses

    statuses = asyncio.run(play())

    assert statuses == [*[200] * MOST_OF_ONE, 503, 200]
    assert call("GET", PATH, headers=[("x-api-key", "slow")]).status == 200
