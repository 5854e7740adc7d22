import http.client
import os
import re
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import GatewayError, Unavailable
from gateway.security import devpki
from gateway.testing.client import connected, raw, read_all
from gateway.web.bodies import Bodies
from gateway.web.keys import hash_key
from gateway.web.server import listen, refuse_exposed, serve
from gateway.web.wire import Connection

Call = Callable[..., Any]
Serve = Callable[..., list[Any]]

GET = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
SOAP = (
    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
    b'<receiveRequest xmlns="http://com/vnsw/receive/gateway/generated"><requestPayload>&lt;Envelope/&gt;</requestPayload>'
    b"</receiveRequest></s:Body></s:Envelope>"
)


def _accepts(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def _post(body: Any, *, path: str = "/ws", headers: dict[str, str] | None = None) -> Callable[[str, int], tuple[int, bytes]]:
    def client(host: str, port: int) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(host, port, timeout=10)
        try:
            connection.request("POST", path, body, {"Content-Type": "text/xml", **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    return client


def test_serves_until_told_to_stop_and_stops_the_hub(served: Serve, hub: Any) -> None:
    [(status, body)] = served(_post(SOAP))

    assert (status, b"receiveResponse" in body) == (200, True)
    assert hub.stopped == 1
    assert not [t for t in threading.enumerate() if t.name.startswith("door-")]


def test_signal_handlers_are_put_back(served: Serve) -> None:
    before = signal.getsignal(signal.SIGTERM)

    served(raw(GET[:-2] + b"Connection: close\r\n\r\n"))

    assert signal.getsignal(signal.SIGTERM) is before


def test_request_under_way_is_answered_before_the_end(served: Serve, hub: Any) -> None:
    take_in = hub.intake.receive
    ports: list[int] = []

    def held_until_draining(arrival: Any, door: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        while _accepts(ports[0]):
            time.sleep(0.01)
        return take_in(arrival, door)

    def client(host: str, port: int) -> tuple[int, bytes]:
        ports.append(port)
        return _post(SOAP)(host, port)

    hub.intake.receive = held_until_draining

    [(status, _)] = served(client)

    assert status == 200


def test_no_delivery_is_begun_while_requests_end(served: Serve, hub: Any) -> None:
    take_in = hub.intake.receive
    drained: list[int] = []

    def held_until_draining(arrival: Any, door: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        while not hub.drained:
            time.sleep(0.01)
        drained.append(hub.stopped)
        return take_in(arrival, door)

    hub.intake.receive = held_until_draining

    [(status, _)] = served(_post(SOAP))

    assert (status, drained, hub.stopped) == (200, [0], 1)


def test_large_body_refused_by_length_is_told_to_a_client_that_sends_itread_all(served: Serve, hub: Any) -> None:
    [(status, body)] = served(_post(b"x" * 12_000_000))

    assert status == 413
    assert b"Fault" in body
    assert not hub.intake.arrivals


def test_chunked_body_over_the_limit_is_refused(served: Serve, hub: Any) -> None:
    [(status, _)] = served(_post(b"x" * 1_000_000 for _ in range(12)))

    assert status == 413
    assert not hub.intake.arrivals


def test_refused_length_is_never_asked_for(served: Serve) -> None:
    head = b"POST /ws HTTP/1.1\r\nHost: h\r\nContent-Type: text/xml\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n"

    def client(host: str, port: int) -> bytes:
        with connected(host, port) as sock:
            sock.sendall(head)
            return sock.recv(4096)

    [answer] = served(client)

    assert answer.startswith(b"HTTP/1.1 413 ")


def test_truncated_body_is_not_taken_in_and_the_next_is_served(served: Serve, hub: Any) -> None:
    def client(host: str, port: int) -> None:
        with connected(host, port) as sock:
            sock.sendall(b"POST /ws HTTP/1.1\r\nHost: h\r\nContent-Type: text/xml\r\nContent-Length: 500\r\n\r\n<s:Env")

    [_, (status, _)] = served(client, _post(SOAP))

    assert status == 200
    assert len(hub.intake.arrivals) == 1


@pytest.mark.parametrize("garbage", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /ws HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
    b"POST /ws HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    b"POST /ws HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(101)) + b"\r\n",
])  # fmt: skip
def test_what_is_not_http_is_refused_as_a_problem(served: Serve, garbage: bytes) -> None:
    [answer] = served(raw(garbage))

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in head
    assert b"nosniff" in head
    assert b'"web.http"' in body


@pytest.mark.parametrize("endless", [b"X-A: " + b"a" * 300_000, b"X: y\r\n" * 40_000], ids=["value", "many"])
def test_endless_head_is_refused(served: Serve, endless: bytes) -> None:
    def client(host: str, port: int) -> bytes:
        with connected(host, port) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n")
            try:
                sock.sendall(endless)
            except OSError:
                return b"cut"
            try:
                return sock.recv(4096)
            except OSError:
                return b"cut"

    [answer] = served(client)

    assert answer == b"cut" or answer.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))


@pytest.mark.parametrize(
    "start", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\nX", GET + b"GET /"], ids=["none", "line", "header", "second"]
)
def test_slow_head_is_cut(served: Serve, monkeypatch: pytest.MonkeyPatch, start: bytes) -> None:
    monkeypatch.setattr(Connection, "head_seconds", 0.05)

    [answer] = served(raw(start))

    assert answer == b"" or answer.count(b"HTTP/1.1") == 1


def test_slow_body_is_refused(served: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.web.app.Bodies", lambda: Bodies(seconds=0.05))

    [answer] = served(raw(b"POST /ws HTTP/1.1\r\nHost: a\r\nContent-Type: text/xml\r\nContent-Length: 9\r\n\r\n<"))

    assert answer.startswith(b"HTTP/1.1 408 ")


def test_requests_in_a_row_on_one_connection_are_answered_in_order(served: Serve) -> None:
    last = GET.replace(b"/health/live", b"/nowhere")[:-2] + b"Connection: close\r\n\r\n"

    [answer] = served(raw(GET + GET + last))

    assert re.findall(rb"HTTP/1\.1 (\d+) ", answer) == [b"200", b"200", b"404"]


def test_head_has_no_body_on_the_wire(served: Serve) -> None:
    [answer] = served(raw(b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n")


def test_address_written_by_the_caller_proves_nothing(served: Serve, hub: Any) -> None:
    served(_post(SOAP, headers={"X-Forwarded-For": "10.9.9.9", "Forwarded": "for=10.9.9.9"}))

    assert hub.intake.arrivals[0].channel.name == "127.0.0.1"


def test_client_certificate_names_the_channel(served: Serve, rehub: Call, tmp_path: Path) -> None:
    pki = _pki(tmp_path)
    over = rehub(tls_certificate=pki / "gateway.cert.pem", tls_key=pki / "gateway.key.pem", tls_client_ca=pki / "parties" / "NSW.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(pki / "parties" / "NSW.pem", pki / "keys" / "NSW.key.pem")

    def client(host: str, port: int) -> int:
        connection = http.client.HTTPSConnection(host, port, timeout=10, context=context)
        try:
            connection.request("POST", "/ws", SOAP, {"Content-Type": "text/xml"})
            return connection.getresponse().status
        finally:
            connection.close()

    assert served(client, over=over) == [200]
    channel = over.intake.arrivals[0].channel
    assert (channel.kind, len(channel.name)) == ("certificate", 64)


def test_tls_takes_no_client_certificate_that_expired(served: Serve, rehub: Call, tmp_path: Path) -> None:
    pki, old = _pki(tmp_path), tmp_path / "old"
    devpki.generate(old, now=datetime(2015, 1, 1, tzinfo=UTC))
    over = rehub(tls_certificate=pki / "gateway.cert.pem", tls_key=pki / "gateway.key.pem", tls_client_ca=old / "parties" / "NSW.pem")
    without = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    without.check_hostname = False
    without.verify_mode = ssl.CERT_NONE
    expired = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    expired.check_hostname = False
    expired.verify_mode = ssl.CERT_NONE
    expired.load_cert_chain(old / "parties" / "NSW.pem", old / "keys" / "NSW.key.pem")

    def client(context: ssl.SSLContext) -> Callable[[str, int], bytes]:
        def call(host: str, port: int) -> bytes:
            with suppress(ConnectionError, ssl.SSLError), connected(host, port) as sock, context.wrap_socket(sock) as secure:
                secure.sendall(GET[:-2] + b"Connection: close\r\n\r\n")
                return read_all(secure)[:12]
            return b""

        return call

    assert served(client(without), client(expired), over=over) == [b"HTTP/1.1 200", b""]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1"])  # noqa: S104  # refused
def test_gateway_that_asks_nobody_stays_on_loopback(hub: Any, host: str) -> None:
    with pytest.raises(GatewayError, match="exposed"):
        serve(hub, host=host, port=0, on_ready=lambda _: None)

    assert hub.stopped == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.8.8.8"])
def test_loopback_needs_no_guard(served: Serve, host: str) -> None:
    request = b"GET /api/v1/messages HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    [answer] = served(raw(request), host=host)

    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("addresses", [["192.0.2.1"], ["127.0.0.1", "192.0.2.1"], ["::1", "2001:db8::1"]])
def test_name_that_leads_elsewhere_as_well_needs_a_guard(monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", (address, 0)) for address in addresses])

    with pytest.raises(GatewayError, match="exposed"):
        refuse_exposed("gateway", guarded=False)


def test_guard_lets_any_address_be_bound() -> None:
    assert refuse_exposed("192.0.2.1", guarded=True) is None  # type: ignore[func-returns-value]  # it raises, or it does not


def test_guarded_gateway_may_be_reached_from_elsewhere(served: Serve, rehub: Call, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"k::reader:{hash_key('secret', salt=bytes(16))}\n", "utf-8")
    over = rehub(api_keys=path)

    request = b"GET /api/v1/messages HTTP/1.1\r\nHost: gw\r\nX-API-Key: secret\r\nConnection: close\r\n\r\n"

    [answer] = served(raw(request), over=over, host="0.0.0.0")  # noqa: S104  # a guarded one

    assert answer.startswith(b"HTTP/1.1 200 ")


def test_address_in_use_is_refused_with_what_to_do() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(Unavailable, match="address"):
        listen("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize("host", ["192.0.2.1", "a" * 300])
def test_address_that_is_not_ours_is_refused(host: str) -> None:
    with pytest.raises(Unavailable, match="address"):
        listen(host, 0)


def test_tls_files_that_do_not_fit_are_refused(rehub: Call, tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_text("nothing")

    with pytest.raises(GatewayError, match=r"web\.tls"):
        serve(rehub(tls_certificate=tmp_path / "c.pem", tls_key=tmp_path / "none"), host="127.0.0.1", port=0, on_ready=lambda _: None)


def _pki(folder: Path) -> Path:
    devpki.generate(folder, parties=("NSW",), now=datetime.now(UTC))
    return folder
