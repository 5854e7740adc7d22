"""A plain HTTP client for tests and simulated agencies, apart from the transport that is tested."""

import http.client
import socket
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from gateway.model import Reply

PATIENCE_SECONDS = 30.0


def ask(
    url: str, *, method: str = "GET", body: bytes = b"", headers: Mapping[str, str] | None = None, timeout: float = PATIENCE_SECONDS
) -> Reply:
    """Ask a server over plain HTTP on a connection of its own; raises OSError where nobody answers."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port or 80, timeout=timeout)
    target = place.path or "/"
    try:
        connection.request(method, f"{target}?{place.query}" if place.query else target, body or None, dict(headers or {}))
        response = connection.getresponse()
        answer = {name.lower(): value for name, value in response.getheaders()}
        return Reply(status=response.status, body=response.read(), headers=answer)
    except http.client.HTTPException as error:
        raise ConnectionError(type(error).__name__) from error
    finally:
        connection.close()


def post(url: str, body: bytes, headers: Mapping[str, str], *, timeout: float = PATIENCE_SECONDS) -> Reply:
    """Send one request, the way a partner's own client does; raises OSError where nobody answers."""
    return ask(url, method="POST", body=body, headers=headers, timeout=timeout)


def connected(host: str, port: int) -> socket.socket:
    """Open a bare connection, for what no client would send."""
    return socket.create_connection((host, port), timeout=PATIENCE_SECONDS / 3)


def raw(*pieces: bytes) -> Callable[[str, int], bytes]:
    """Make a client that sends raw bytes and reads until the other side closes."""

    def client(host: str, port: int) -> bytes:
        with connected(host, port) as sock:
            for piece in pieces:
                sock.sendall(piece)
            return read_all(sock)

    return client


def read_all(sock: socket.socket) -> bytes:
    """Read until the other side closes."""
    return b"".join(iter(lambda: sock.recv(65536), b""))
