"""The transport suite, over libcurl among real sockets and over the fake."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest

from gateway.model import Reply, Request
from gateway.testing.conformance.transport_suite import CHECKS, ECHO, ERROR, FAILURES, MOVED, Bench
from gateway.testing.fakes import FakeTransport, unavailable
from gateway.testing.journal import SimReply, SimRequest
from gateway.testing.partners import answering, cut, endless, partner, refusing, silent
from gateway.testing.simulator import SimContext, Simulator
from gateway.transport.http import HttpTransport

HEADERS = {"X-Partner": "Mixed Case"}


def echo(request: SimRequest, _context: SimContext) -> SimReply:
    action = request.headers.get("soapaction", "").strip('"')
    return SimReply(body=f"{request.method} {action} ".encode() + request.body, headers=HEADERS)


def partners(stack: ExitStack) -> dict[str, str]:
    echoing = stack.enter_context(Simulator("echo", echo).start()).url
    moved = f"HTTP/1.1 302 Found\r\nlocation: {echoing}/\r\ncontent-length: 0\r\n\r\n".encode()
    open_here = {
        ERROR: answering(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 7\r\n\r\ntrouble"),
        MOVED: answering(moved),
        "silent": silent,
        "reset": cut,
        "endless": endless,
        "not-http": answering(b"SSH-2.0-OpenSSH_9.2p1\r\n"),
    }
    return {
        ECHO: echoing,
        "refused": f"http://{stack.enter_context(refusing())}/",
        "unknown-host": "http://nowhere.invalid/",
        **{name: f"http://{stack.enter_context(partner(conversation))}/" for name, conversation in open_here.items()},
    }


@pytest.fixture(scope="module")
def over_libcurl() -> Iterator[Bench]:
    with ExitStack() as stack:
        endpoints = partners(stack)
        transport = stack.enter_context(HttpTransport(reply_bytes=1_000_000, pause=lambda _seconds: None))
        yield Bench(transport=transport, endpoints=endpoints, patience=timedelta(seconds=1))


@pytest.fixture(scope="module")
def over_the_fake() -> Bench:
    def echo_in_memory(request: Request) -> Reply:
        return Reply(status=200, body=f"{request.method} {request.action} ".encode() + request.body, headers=HEADERS)

    known = {
        ECHO: echo_in_memory,
        ERROR: lambda _: Reply(status=500, body=b"trouble"),
        MOVED: lambda _: Reply(status=302, body=b"", headers={"Location": "http://echo.test/"}),
        **{name: unavailable(text) for name, text in FAILURES.items() if name != "refused"},
    }
    endpoints = {name: f"http://{name}.test/" for name in (*known, "refused")}
    return Bench(transport=FakeTransport({endpoints[name]: answer for name, answer in known.items()}), endpoints=endpoints)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("bench", ["over_libcurl", "over_the_fake"])
def test_transport(bench: str, check: object, request: pytest.FixtureRequest) -> None:
    assert callable(check)

    check(request.getfixturevalue(bench))
