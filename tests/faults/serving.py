"""A serving gateway in a fork of the warm process: what `nsw serve` does, without its cold start."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway import bootstrap
from gateway.bootstrap import hold
from gateway.config import Settings
from gateway.model import Reply
from gateway.store import engine
from gateway.testing import builders
from gateway.testing.applicant import signed_application
from gateway.testing.client import ask
from gateway.testing.contents import Consignment
from gateway.testing.faults.ground import Ground
from gateway.testing.faults.warm import Parts, Say
from gateway.testing.vnsw import SOAP_REQUEST
from gateway.testing.world import until
from gateway.web.server import serve

PATIENCE = 60.0  # seconds; a stalled database is given up after less


def serving(parts: Parts, say: Say, settings: Settings) -> None:
    """Serve and deliver until the kill, or in good order until SIGTERM; says its address when it serves."""
    lock = hold(settings)
    hub = parts.build(settings)
    hub.start()
    serve(hub, host=settings.host, port=settings.port, on_ready=say)
    if lock:
        lock.release()


def serving_by_another_clock(parts: Parts, say: Say, settings: Settings, hours: Path) -> None:
    """Serve by a clock that is wrong by as many hours as a file says at the moment."""

    def clock() -> datetime:
        return datetime.now(UTC) + timedelta(hours=float(hours.read_text()))

    for module, name in ((bootstrap, "now"), (bootstrap, "utc"), (engine, "utc")):
        setattr(module, name, clock)
    serving(parts, say, settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A gateway that serves in a fork."""

    ground: Ground
    settings: Settings
    pid: int

    def ask(self, method: str, path: str, *, body: bytes = b"") -> Reply:
        """Ask it over HTTP; raises OSError where it does not answer."""
        headers = SOAP_REQUEST if body else {}
        return ask(f"http://{self.settings.host}:{self.settings.port}{path}", method=method, body=body, headers=headers, timeout=PATIENCE)

    def send(self, body: bytes) -> Reply:
        """Send a request to the SOAP door."""
        return self.ask("POST", "/ws", body=body)

    def new(self) -> tuple[str, bytes]:
        """Write a signed application about a new dossier; gives the dossier and the request."""
        about = Consignment(number=next(self.ground.numbers))
        return about.file_code, self.about(about)

    def about(self, about: Consignment) -> bytes:
        """Write and sign an application about a dossier."""
        return builders.soap(signed_application(self.settings.pki, about, sent_at=datetime.now(UTC)))

    def effects(self, dossier: str) -> int:
        """Count the ids under which a dossier's application took effect at the ministry."""
        lines = self.ground.partners["agriculture"].context.journal.arrivals()
        effects = self.ground.partners["agriculture"].context.journal.effects()
        return len({line["id"] for line in lines if f" {dossier}/" in str(line["about"])} & set(effects))

    def delivered(self, *dossiers: str) -> None:
        """Wait until each dossier's application took effect at the ministry; raises NotSeenError."""
        for dossier in dossiers:
            until(lambda d=dossier: self.effects(d), f"the application about {dossier} at the ministry", seconds=PATIENCE)  # type: ignore[misc]

    def ready(self) -> bool:
        """Say whether it says that it is ready."""
        return self.ask("GET", "/health/ready").status == 200


@contextmanager
def served(ground: Ground, settings: Settings, *, clock: Path | None = None) -> Iterator[Served]:
    """Start a gateway on a free port, wait until it serves, and stop it in good order."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
    chosen = settings.model_copy(update={"port": port})
    if clock:
        ground.warm.fork(serving_by_another_clock, chosen, clock)
    else:
        ground.warm.fork(serving, chosen)
    gateway = Served(ground=ground, settings=chosen, pid=ground.warm.pid)
    try:
        until(lambda: _lives(gateway), "a gateway that serves")
        yield gateway
    finally:
        ground.warm.end(signal.SIGTERM)


def _lives(gateway: Served) -> bool:
    try:
        return gateway.ask("GET", "/health/live").status == 200
    except OSError:
        return False
