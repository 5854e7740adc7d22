"""HTTP/1.1 on one connection: limits on the head of a request, and who the client is by its certificate."""

import asyncio
import hashlib
import ssl
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.errors import Code, GatewayError, NotReadable, Problem
from gateway.model import Reply

from .auth import CERTIFICATE
from .problems import problem_reply
from .replies import SAFETY

HEAD_SECONDS = 10.0  # for a request's line and headers, and for reading to its end what was refused
MAX_HEAD = 65_536  # bytes; real ones have less than 2,000
MAX_HEADERS = 100  # real ones have less than 20
CHUNKED = b"chunked"
TOO_LARGE = NotReadable(Code.LIMIT, Problem(text="web.head-too-large"))
NOT_HTTP = NotReadable(Code.SCHEMA, Problem(text="web.http"))


class Connection(HttpToolsProtocol):
    """One connection. The parser below it holds whatever it is sent: size and time of a head are limited here."""

    head_seconds = HEAD_SECONDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # the framework's own signature, passed on
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._in_head = False
        self._head_bytes = 0  # of the request under way, with the fields behind its body
        self._unread = 0  # bytes since the parser last handed something over, all of which it may be holding

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the framework has it
        """Note the client's certificate and give it time for its first head."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert(binary_form=True) if isinstance(tls, ssl.SSLObject | ssl.SSLSocket) else None
        self._certificate = hashlib.sha256(certificate).hexdigest() if certificate else None
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline with the connection."""
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; what the parser holds has a limit, and so has the time of whatever belongs to no request under way."""
        self._unread += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._unread > MAX_HEAD:
            self._refuse(TOO_LARGE)
        elif self._deadline is None and (self.cycle is None or self.cycle.response_complete):
            self._await_head()

    def on_message_begin(self) -> None:
        """Note that a head has begun."""
        self._in_head = True
        self._head_bytes = self._unread = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Count it; raises ValueError, as on_header does."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; raises ValueError, which the parser reports, for too large a head.

        A field behind the body counts and is dropped: it is no header (RFC 9110, 6.5.1).
        """
        self._count(len(name) + len(value) + len(": \r\n"))
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand the client's certificate to the application.

        Raises ValueError, which the parser reports, for too many headers and for a body that is encoded on its way (RFC 9112, 6.1).
        """
        self._in_head = False
        self._head_came()
        if len(self.headers) > MAX_HEADERS:
            raise ValueError("too many headers")
        if any(name == b"transfer-encoding" and value.strip().lower() != CHUNKED for name, value in self.headers):
            raise ValueError("transfer coding")
        if self._certificate:
            self.scope["state"][CERTIFICATE] = self._certificate
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass a piece of the body on."""
        self._unread = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Give the next head its time, where it began while the last request was under way."""
        super().on_response_complete()
        if self._in_head and self._deadline is None:
            self._await_head()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # ours says it in both languages
        """Answer what is not HTTP."""
        self._refuse(NOT_HTTP)

    def _await_head(self) -> None:
        self._deadline = self.loop.call_later(self.head_seconds, self.transport.close)

    def _head_came(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _count(self, size: int) -> None:
        self._unread = 0
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD:
            self._refuse(TOO_LARGE)
            raise ValueError("large head")

    def _refuse(self, error: GatewayError) -> None:
        """End the connection: behind the answers still due, else with this one, and never with two answers to one request."""
        cycle = self.cycle
        if self.transport.is_closing():
            return
        if cycle and not cycle.response_complete and (cycle.response_started or self.pipeline or not cycle.more_body):
            cycle.keep_alive = False
            return
        if not (cycle and cycle.response_complete and cycle.more_body):  # refused before its body had come, and that breaks
            self._write(problem_reply(error))
        self.transport.close()

    def _write(self, reply: Reply) -> None:
        headers = {**reply.headers, "content-length": str(len(reply.body)), "connection": "close"}
        lines = [f"{name}: {value}\r\n".encode("latin-1") for name, value in headers.items()]
        lines += [b"%b: %b\r\n" % pair for pair in SAFETY.items()]
        self.transport.write(b"".join([STATUS_LINE[reply.status], *lines, b"\r\n", reply.body]))
