"""The engine of simulated agencies: a real HTTP server that can be down, slow or wrong and never forgets what reached it.

What every agency answers besides its own service:

    GET  /_arrivals       {"name", "mode", "arrivals": [raw], "effects": [ids], "repeats": {id: n}, "second_ids": [ids],
                          "sent": [...], "failures": [...]}
    GET  /_effects/ID     the message with that id as it arrived
    POST /_control        {"mode": "up|down|slow|wrong", "delay_ms": n, "gateway": base URL}, each optional
    POST /_do/NAME        do one of the agency's own acts, such as sending an application; JSON in, JSON out

`down` cuts the connection before anything is read, `slow` answers late what took effect in time, `wrong` answers what no client
can read and does nothing. A repeat of a message id gets the first answer and has no second effect.
"""

import json
import socket
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

from gateway.ports import Clock

from .client import post as post  # noqa: PLC0414 - simulated agencies send with it
from .journal import Journal, Mark, SimReply, SimRequest

GARBAGE = b"<html><body>Bao tri he thong</body></html>"  # what a maintenance page in front of a service looks like
FOLLOWERS = 8  # follow-ups under way at once
NO_CONTENT = SimReply(status=404, body=b"", effect=False)
JSON = {"content-type": "application/json; charset=utf-8"}


class Mode(StrEnum):
    """How an agency behaves."""

    UP = "up"
    DOWN = "down"
    SLOW = "slow"
    WRONG = "wrong"


class SimContext:
    """What an agency's functions may use: where the gateway is, the development keys, the journal, and time."""

    def __init__(self, *, gateway: str, pki: Path | None, journal: Journal, clock: Clock) -> None:
        """Hold what the agency was started with; `gateway` is a base URL without a trailing slash."""
        self.gateway = gateway.rstrip("/")
        self.pki = pki
        self.journal = journal
        self.clock = clock
        self.stopping = threading.Event()

    def pause(self, seconds: float) -> bool:
        """Wait, shorter where the agency is being stopped; says whether it goes on."""
        return not self.stopping.wait(seconds)


Act = Callable[[Mapping[str, object], SimContext], Mapping[str, object]]


def _unmarked(_request: SimRequest) -> Mark:
    return Mark()


@dataclass(frozen=True, slots=True)
class Simulator:
    """A simulated agency: what it answers, how it recognises a message, and what it does by itself after a new one.

    `handle` answers a request; it is called for one request at a time, and not for repeats. `mark` gives the message's id (empty:
    nothing to remember). `after` runs in the background once for every new message, and again after a restart until it returned
    True, so what it sends must carry the same ids each time. `acts` are what it does when it is told to, by name; an act raises
    ValueError for orders it cannot follow. `path` is where its service is called.
    """

    name: str
    handle: Callable[[SimRequest, SimContext], SimReply]
    mark: Callable[[SimRequest], Mark] = _unmarked
    after: Callable[[SimRequest, SimContext], bool] | None = None
    acts: Mapping[str, Act] = field(default_factory=dict)
    path: str = "/ws"

    def start(
        self, *, port: int = 0, gateway: str = "", pki: Path | None = None, folder: Path | None = None, clock: Clock | None = None
    ) -> "RunningSimulator":
        """Serve on 127.0.0.1, on a free port where `port` is 0; `folder` keeps the journal between runs."""
        journal = Journal(folder)
        return RunningSimulator(self, SimContext(gateway=gateway, pki=pki, journal=journal, clock=clock or _now), port=port)


class RunningSimulator:
    """A simulated agency that serves; a context manager that stops it."""

    def __init__(self, simulator: Simulator, context: SimContext, *, port: int) -> None:
        """Bind, serve in a thread, and take up what an earlier run still owed."""
        self.simulator, self.context = simulator, context
        self._mode, self._delay = Mode.UP, 0.0
        self._turn = threading.Lock()
        self._followers = ThreadPoolExecutor(FOLLOWERS, thread_name_prefix=simulator.name)
        self._server = _Server(("127.0.0.1", port), type("Handler", (_Handler,), {"agency": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        for request in context.journal.unfinished():
            self._follow(request)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def address(self) -> str:
        """Where its service is called."""
        return self.url + self.simulator.path

    @property
    def mode(self) -> Mode:
        """How it behaves at the moment."""
        return self._mode

    def control(self, *, mode: str = "", delay_ms: int | None = None, gateway: str = "") -> None:
        """Change what is given of how it behaves and where the gateway is; raises ValueError for a mode there is none of."""
        self._mode = Mode(mode) if mode else self._mode
        self._delay = self._delay if delay_ms is None else delay_ms / 1000
        self.context.gateway = gateway.rstrip("/") or self.context.gateway

    def report(self) -> dict[str, object]:
        """Say what GET /_arrivals says."""
        return {"name": self.simulator.name, "mode": str(self._mode), **self.context.journal.report()}

    def stop(self) -> None:
        """Stop serving and following up; what is owed is taken up at the next start with the same folder."""
        self.context.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._followers.shutdown(wait=True, cancel_futures=True)
        self._thread.join()
        self.context.journal.close()

    def answer(self, request: SimRequest) -> SimReply:
        """Answer as the present mode asks, and note what arrived before anything else."""
        mode, delay = self._mode, self._delay
        mark = self.simulator.mark(request)
        self.context.journal.arrived(request, mark, at=self.context.clock(), mode=mode)
        reply = SimReply(body=GARBAGE, headers={"content-type": "text/html"}) if mode is Mode.WRONG else self._serve(request, mark)
        if mode is Mode.SLOW:
            self.context.pause(delay)
        return reply

    def operate(self, request: SimRequest) -> SimReply:
        """Answer one of the engine's own addresses."""
        match request.method, request.path.split("/")[1:]:
            case "GET", ["_arrivals"]:
                return _json(200, self.report())
            case "GET", ["_effects", message_id]:
                kept = self.context.journal.request(unquote(message_id))
                return NO_CONTENT if kept is None else SimReply(body=kept.body)
            case "POST", ["_control"]:
                return self._ordered(self._control, request.body)
            case "POST", ["_do", name] if name in self.simulator.acts:
                return self._ordered(self._act(name), request.body)
        return NO_CONTENT

    def _serve(self, request: SimRequest, mark: Mark) -> SimReply:
        """Answer once for a message id; the lock makes two copies at the same moment one message."""
        with self._turn:
            first = self.context.journal.answer(mark.id) if mark.id else None
            if first is not None:
                return first
            reply = self.simulator.handle(request, self.context)
            if mark.id and reply.effect:
                self.context.journal.took_effect(request, mark, reply)
                self._follow(request)
        return reply

    def _follow(self, request: SimRequest) -> None:
        if self.simulator.after is not None:
            self._followers.submit(self._run_after, self.simulator.after, request)

    def _run_after(self, after: Callable[[SimRequest, SimContext], bool], request: SimRequest) -> None:
        message_id = self.simulator.mark(request).id
        try:
            if after(request, self.context):
                self.context.journal.finished(message_id)
        except Exception as error:  # noqa: BLE001 - the thread's last frame: a follow-up's bug shows in the report instead of vanishing
            self.context.journal.failed(message_id, at=self.context.clock(), error=repr(error))

    def _ordered(self, follow: Callable[[Mapping[str, object]], Mapping[str, object]], body: bytes) -> SimReply:
        """Follow an order in JSON; 400 says why it cannot be followed."""
        try:
            return _json(200, follow(_order(body)))
        except (ValueError, TypeError) as error:
            return _json(400, {"refused": str(error)})
        except OSError as error:
            return _json(502, {"refused": f"nobody answered: {error}"})

    def _control(self, order: Mapping[str, object]) -> Mapping[str, object]:
        delay = order.get("delay_ms")
        if delay is not None and (not isinstance(delay, int) or delay < 0):
            raise ValueError("delay_ms is a number of milliseconds")
        self.control(mode=str(order.get("mode", "")), delay_ms=delay, gateway=str(order.get("gateway", "")))
        return {"mode": str(self._mode), "delay_ms": round(self._delay * 1000), "gateway": self.context.gateway}

    def _act(self, name: str) -> Callable[[Mapping[str, object]], Mapping[str, object]]:
        act = self.simulator.acts[name]
        return lambda order: act(order, self.context)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing about clients that hang up; print whatever else a simulator got wrong."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # type: ignore[arg-type] # the base class narrows what it never reads


class _Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with keep-alive; header and body of an answer leave in one write."""

    agency: RunningSimulator
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = 60  # an idle keep-alive connection is closed after it

    def do_GET(self) -> None:
        """Serve any address."""
        self._respond()

    def do_POST(self) -> None:
        """Serve any address."""
        self._respond()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Log nothing: the journal is the log."""

    def _respond(self) -> None:
        own = self.path.startswith("/_")
        if self.agency.mode is Mode.DOWN and not own:
            self._cut()
            return
        request = SimRequest(
            method=self.command,
            path=urlsplit(self.path).path,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(self.headers.get("content-length", "0"))),
        )
        reply = self.agency.operate(request) if own else self.agency.answer(request)
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def _cut(self) -> None:
        """Reset the connection, as a dying host does."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def _order(body: bytes) -> Mapping[str, object]:
    order = json.loads(body or b"{}")
    if not isinstance(order, dict):
        raise TypeError("an order is a JSON object")
    return order


def _json(status: int, value: object) -> SimReply:
    return SimReply(status=status, body=json.dumps(value, ensure_ascii=False).encode(), headers=JSON, effect=False)


def _now() -> datetime:
    return datetime.now(UTC)
