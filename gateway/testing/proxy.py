"""A TCP proxy that stands for a network: it passes bytes on, delays them, holds them back, cuts every connection, or is not there."""

import contextlib
import socket
import threading
from enum import StrEnum
from typing import Self

BUFFER = 65_536
TICK = 0.02  # seconds until a held-back direction looks again


class Line(StrEnum):
    """How the network is."""

    UP = "up"
    STALLED = "stalled"  # connections stand, and nothing comes through
    CUT = "cut"  # connections are reset, and new ones too


class Proxy:
    """Passes connections on to a port of 127.0.0.1; a context manager. Without threads of its own once it is left."""

    def __init__(self, to: int) -> None:
        """Listen on a free port of 127.0.0.1."""
        self._to = ("127.0.0.1", to)
        self._line = Line.UP
        self._delay = 0.0
        self._fatal = b""
        self._ending = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._turn = threading.Lock()
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._reset()

    def be(self, line: Line, *, delay: float = 0.0) -> None:
        """Change the network; `delay` in seconds holds every piece back for so long. A cut ends what is open."""
        self._line, self._delay, self._fatal = line, delay, b""
        if line is Line.CUT:
            self._reset()

    def cut_before(self, answer: bytes) -> None:
        """Cut the line at the moment a short answer that holds these bytes comes back, which its asker then never hears."""
        self._fatal = answer

    def _accept(self) -> None:
        while not self._ending.is_set():
            try:
                near, _ = self._listener.accept()
            except OSError:  # the listener was closed
                return
            if self._line is Line.CUT or not self._connect(near):
                _abort(near)

    def _connect(self, near: socket.socket) -> bool:
        try:
            far = socket.create_connection(self._to)
        except OSError:
            return False
        with self._turn:
            self._open |= {near, far}
        for source, sink, answers in ((near, far, False), (far, near, True)):
            threading.Thread(target=self._pass_on, args=(source, sink, answers), daemon=True).start()
        return True

    def _pass_on(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:  # noqa: FBT001  # of a thread, by place
        """Pass one direction on until it ends; then end both."""
        with contextlib.suppress(OSError):
            while piece := source.recv(BUFFER):
                if answers and self._fatal and self._fatal in piece:
                    self.be(Line.CUT)
                    break
                self._ending.wait(self._delay)
                while self._line is Line.STALLED and not self._ending.wait(TICK):
                    pass
                sink.sendall(piece)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        with self._turn:
            self._open -= {source, sink}

    def _reset(self) -> None:
        with self._turn:
            ended, self._open = self._open, set()
        for end in ended:
            _abort(end)


def _abort(connection: socket.socket) -> None:
    """Reset a connection, as a host that went away; whoever waits for it in another thread is woken."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
