"""Partners on real sockets that misbehave below HTTP, where a simulated agency cannot: silent, cut, endless, not HTTP at all."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ssl import SSLContext, SSLError

Conversation = Callable[[socket.socket, int], None]  # the connection, and the how-many-th it is, from 1
BUFFER = 65_536


@contextmanager
def partner(conversation: Conversation, *, tls: SSLContext | None = None) -> Iterator[str]:
    """Listen on a free port of 127.0.0.1 and hold the same conversation on each connection; gives host and port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(listener, conversation, tls), daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)  # ends the accept() that close() would leave waiting


def answering(*pieces: bytes) -> Conversation:
    """Read one request's first bytes, then write these pieces and close in good order."""

    def talk(connection: socket.socket, _count: int) -> None:
        connection.recv(BUFFER)
        for piece in pieces:
            connection.sendall(piece)

    return talk


def silent(connection: socket.socket, _count: int) -> None:
    """Take everything and never answer, until the client hangs up."""
    while connection.recv(BUFFER):
        pass


def cut(connection: socket.socket, _count: int) -> None:
    """Read one request's first bytes and reset the connection, as a dying host does."""
    connection.recv(BUFFER)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def endless(connection: socket.socket, _count: int) -> None:
    """Answer 200 with a body that does not end while the client listens."""
    connection.recv(BUFFER)
    connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")


@contextmanager
def refusing() -> Iterator[str]:
    """Hold a port of 127.0.0.1 on which nobody listens; gives host and port."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{holder.getsockname()[1]}"


def _serve(listener: socket.socket, conversation: Conversation, tls: SSLContext | None) -> None:
    count = 0
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # the listener was closed
            return
        count += 1
        threading.Thread(target=_talk, args=(connection, conversation, tls, count), daemon=True).start()


def _talk(connection: socket.socket, conversation: Conversation, tls: SSLContext | None, count: int) -> None:
    with contextlib.suppress(OSError, SSLError), connection:  # the client may hang up at any moment
        secured = tls.wrap_socket(connection, server_side=True) if tls else connection
        with secured:
            conversation(secured, count)
