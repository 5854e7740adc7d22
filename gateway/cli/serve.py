"""nsw serve, nsw work: the gateway as a process."""

import resource
import signal
import sys
import threading
from typing import Annotated

import typer

from gateway.bootstrap import build, hold
from gateway.errors import GatewayError
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
    stop.wait()
    hub.stop()
    if lock:
        lock.release()


def _write_no_core() -> None:
    """Leave no core file: it would hold keys."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
