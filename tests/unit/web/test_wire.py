"""What one connection is held to, over a raw socket against the real server."""

import re
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.testing.client import connected, raw, read_all
from gateway.web.bodies import Bodies
from gateway.web.keys import hash_key
from gateway.web.wire import Connection

Call = Callable[..., Any]
Serve = Callable[..., list[Any]]

GET = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHUNKED = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n"
MESSAGE = b"POST /ws HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n"
SOAP = (
    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
    b'<receiveRequest xmlns="http://com/vnsw/receive/gateway/generated"><requestPayload>&lt;Envelope/&gt;</requestPayload>'
    b"</receiveRequest></s:Body></s:Envelope>"
)


def _endless(path: bytes, fields: bytes) -> Callable[[str, int], bytes]:
    """Make a client that sends fields behind a body; what it was told, or `cut` where it was not heard to the end."""

    def client(host: str, port: int) -> bytes:
        with connected(host, port) as sock:
            sock.sendall(CHUNKED % path + b"0\r\n")
            try:
                sock.sendall(fields)
                return sock.recv(12) or b"cut"
            except ConnectionError:
                return b"cut"

    return client


def test_transfer_coding_other_than_chunked_is_refused(served: Serve, hub: Any) -> None:
    codings = (b"gzip, chunked", b"gzip", b"identity", b"chunked, identity", b"chunked;q=1", b"gzip\r\nTransfer-Encoding: chunked")

    answers = served(*(raw(CHUNKED.replace(b"chunked", coding) % b"/ws" + b"0\r\n\r\n") for coding in codings))

    assert [answer[:12] for answer in answers] == [b"HTTP/1.1 400"] * len(codings)
    assert not hub.intake.arrivals


def test_chunked_in_any_spelling_is_read(served: Serve, hub: Any) -> None:
    head = CHUNKED.replace(b"chunked", b" Chunked \r\nConnection: close") % b"/ws"

    [answer] = served(raw(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(SOAP), SOAP)))

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert len(hub.intake.arrivals) == 1


def test_large_head_is_refused_though_it_is_whole(served: Serve) -> None:
    line = b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"
    value = GET[:-2] + b"X: " + b"a" * 70_000 + b"\r\n\r\n"

    answers = served(raw(line), raw(value))

    assert [answer[:12] for answer in answers] == [b"HTTP/1.1 431"] * 2


def test_endless_fields_behind_a_body_are_refused(served: Serve, hub: Any) -> None:
    fields = (b"a: b\r\n" * 40_000, b"a: " + b"b" * 600_000)

    answers = served(*(_endless(path, each) for path in (b"/ws", b"/health/live", b"/nowhere") for each in fields))

    assert set(answers) <= {b"HTTP/1.1 431", b"cut"}
    assert not hub.intake.arrivals


@pytest.mark.parametrize("split", [False, True], ids=["together", "apart"])
def test_what_stands_behind_a_body_is_no_header(served: Serve, rehub: Call, tmp_path: Path, *, split: bool) -> None:
    path = tmp_path / "keys"
    path.write_text(f"k::sender:{hash_key('secret', salt=bytes(16))}\n", "utf-8")
    over = rehub(api_keys=path)
    body, fields = b"4\r\n<a/>\r\n0\r\n", b"X-API-Key: secret\r\nConnection: close\r\n\r\n"
    start = CHUNKED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") % b"/api/v1/documents" + body

    [answer] = served(raw(start, fields) if split else raw(start + fields), over=over)

    assert answer.startswith(b"HTTP/1.1 401 ")
    assert not over.intake.arrivals


def test_head_that_begins_behind_a_large_body_has_all_its_room(served: Serve) -> None:
    body = SOAP + b" " * 100_000
    message = MESSAGE % len(body) + body

    [answer] = served(raw(message + GET[:20], GET[20:-2] + b"Connection: close\r\n\r\n"))

    assert re.findall(rb"HTTP/1\.1 (\d+) ", answer) == [b"200", b"200"]


@pytest.mark.parametrize(
    "nonsense",
    [b"\0\0\0\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", GET[:-2] + b"X: " + b"a" * 70_000 + b"\r\n\r\n"],
    ids=["garbage", "version", "large"],
)
def test_nonsense_behind_a_message_never_overtakes_its_answer(
    served: Serve, hub: Any, monkeypatch: pytest.MonkeyPatch, nonsense: bytes
) -> None:
    take_in, refuse = hub.intake.receive, Connection.send_400_response
    refused = threading.Event()

    def held(arrival: Any, door: Any) -> Any:
        assert refused.wait(10)
        return take_in(arrival, door)

    def noted(connection: Connection, msg: str) -> None:
        refuse(connection, msg)
        refused.set()

    hub.intake.receive = held
    monkeypatch.setattr(Connection, "send_400_response", noted)

    [answer] = served(raw(MESSAGE % len(SOAP) + SOAP, nonsense))

    assert re.findall(rb"HTTP/1\.1 (\d+) ", answer) == [b"200"]
    assert b"receiveResponse" in answer
    assert len(hub.intake.arrivals) == 1


def test_nothing_is_put_behind_the_answer_to_a_body_that_breaks_afterwards(served: Serve) -> None:
    def client(host: str, port: int) -> bytes:
        with connected(host, port) as sock:
            sock.sendall((CHUNKED % b"/api/v1/deliveries") + b"11000\r\n" + b"x" * 0x11000)
            answer = sock.recv(1)
            sock.sendall(b"nonsense\r\n")
            return answer + read_all(sock)

    [answer] = served(client)

    assert re.findall(rb"HTTP/1\.1 (\d+) ", answer) == [b"413"]


def test_unfinished_bodies_do_not_shut_the_door(served: Serve, hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = Bodies(at_most=1_500_000)
    monkeypatch.setattr("gateway.web.app.Bodies", lambda: bodies)
    late = MESSAGE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") % (len(SOAP) + 700_000) + SOAP + b" " * 700_000

    def client(host: str, port: int) -> tuple[bytes, bytes]:
        with ExitStack() as stack:
            others = [stack.enter_context(connected(host, port)) for _ in range(3)]
            for other in others:
                other.sendall(MESSAGE % 9_999_999 + b"a" * 300_000)
            while bodies.held < 900_000:
                time.sleep(0.01)
            answer = raw(late)(host, port)
            return answer[:12], others[0].recv(12)

    told = served(client)

    assert told == [(b"HTTP/1.1 200", b"HTTP/1.1 500")]
    assert len(hub.intake.arrivals) == 1
