"""Serves the application: its own listening socket, TLS where configured, a clean stop on SIGTERM and SIGINT."""

import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from gateway.errors import Code, GatewayError, Problem, Unavailable

from .address import is_loopback, url_of
from .app import access_of, create_app
from .wire import Connection

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.hub import Hub

BACKLOG = 1024  # connections the kernel holds while we are busy
IDLE_SECONDS = 75  # a partner's pooled connection; .NET and Java keep theirs for 60 to 100
DRAIN_SECONDS = 20  # for requests under way when we are told to stop; partners give up after 15
MAX_CONNECTIONS = 2048  # file descriptors left for the database and for what we send
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def serve(hub: "Hub", *, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve until a signal says stop; then begin no delivery, let requests under way finish and stop the hub.

    `port` 0 takes a free one; `on_ready` is told the base URL when requests are served. Raises GatewayError(NOT_ALLOWED) for an
    address beyond this machine without keys or client certificates, Unavailable where the address cannot be taken.
    """
    try:
        context = _tls(hub.settings)
        refuse_exposed(host, guarded=access_of(hub).guarded)
        with listen(host, port) as listening:
            url = url_of("https" if context else "http", host, listening.getsockname()[1])
            server = Server(_configured(hub, context), ready=lambda: on_ready(url), draining=hub.drain)
            server.run(sockets=[listening])
    finally:
        hub.stop()


def refuse_exposed(host: str, *, guarded: bool) -> None:
    """Keep a gateway that asks nobody who they are on loopback; raises GatewayError(NOT_ALLOWED)."""
    if not guarded and not all(map(is_loopback, _addresses(host))):
        raise GatewayError(Code.NOT_ALLOWED, Problem(text="web.exposed", path="NSW_HOST", values={"host": host}))


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket; raises Unavailable where the address is taken or not ours."""
    address = _addresses(host)[0]
    listening = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a restart need not wait for old connections to fade
        listening.bind((address, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise _not_ours(host, port) from error
    return listening


class Server(uvicorn.Server):
    """Says when it serves and when it begins to end, and returns after a signal instead of dying of it."""

    def __init__(self, config: uvicorn.Config, *, ready: Callable[[], None], draining: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready
        self._draining = draining

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets=sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say that it ends, then let what is under way finish."""
        self._draining()
        await super().shutdown(sockets=sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on a signal; only a main thread gets any."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _configured(hub: "Hub", context: ssl.SSLContext | None) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(hub),
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,  # the hub tells each message once; addresses and paths of partners are in its record
        proxy_headers=False,  # an address that a caller writes itself proves nothing
        server_header=False,
        backlog=BACKLOG,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        ssl_context_factory=(lambda _config, _default: context) if context else None,
    )


def _tls(settings: "Settings") -> ssl.SSLContext | None:
    """Make the context: TLS 1.2 or later; client certificates are asked for, and checked where one is given."""
    if settings.tls_certificate is None:
        return None
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
        if settings.tls_client_ca:
            context.load_verify_locations(settings.tls_client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
    except OSError as error:  # a missing file, or one that holds no certificate
        raise GatewayError(Code.RULES, Problem(text="web.tls", path="NSW_TLS_CERTIFICATE, NSW_TLS_KEY, NSW_TLS_CLIENT_CA")) from error
    return context


def _addresses(host: str) -> list[str]:
    """Resolve a name to the addresses it stands for, an empty one to every address of this machine; raises Unavailable."""
    try:
        found = socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise _not_ours(host, 0) from error
    return [str(each[4][0]) for each in found]


def _not_ours(host: str, port: int) -> Unavailable:
    return Unavailable(Code.UNAVAILABLE, Problem(text="web.address", path="NSW_HOST, NSW_PORT", values={"host": host, "port": str(port)}))
