"""nsw serve, nsw work: the gateway as a process."""

import resource
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from gateway.bootstrap import build, hold
from gateway.cores import LOOK_SECONDS, Cores, this_process
from gateway.errors import GatewayError
from gateway.hub import Hub
from gateway.rounds import Rounds
from gateway.web.server import serve as serve_http

from .output import refuse, settings


def serve(
    *, no_work: Annotated[bool, typer.Option("--no-work", help="Take messages in, but leave deliveries to 'nsw work'.")] = False
) -> None:
    """Serve SOAP and REST, and deliver. Prints 'ready <base-url>' when it serves."""
    chosen = settings()
    _write_no_core()
    try:
        lock = hold(chosen)
        hub = build(chosen)
        hub.start(work=not no_work)
        with _together(hub):
            serve_http(hub, host=chosen.host, port=chosen.port, on_ready=lambda address: _say(f"ready {address}"))
    except GatewayError as error:
        refuse(error, as_json=False)
    if lock:
        lock.release()


def work() -> None:
    """Deliver only. Prints 'ready work' when it does."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    chosen = settings()
    _write_no_core()
    try:
        lock = hold(chosen)
        hub = build(chosen)
    except GatewayError as error:
        refuse(error, as_json=False)
    hub.start()
    _say("ready work")
    with _together(hub):
        stop.wait()
    hub.stop()
    if lock:
        lock.release()


@contextmanager
def _together(hub: Hub) -> Iterator[None]:
    """Keep the threads of this process on one core, unless it is told to spread over all."""
    rounds = Rounds("cores", this_process().look, every=LOOK_SECONDS, watch=hub.watch, at_once=True)
    if hub.settings.cores is Cores.ONE:
        rounds.start()
    yield
    rounds.stop()


def _write_no_core() -> None:
    """Leave no core file: it would hold keys."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
