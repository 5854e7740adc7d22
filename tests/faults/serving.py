"""A serving gateway in a fork of the warm process: what `nsw serve` does, without its cold start."""

from gateway.bootstrap import hold
from gateway.config import Settings
from gateway.testing.faults.warm import Parts, Say
from gateway.web.server import serve


def serving(parts: Parts, say: Say, settings: Settings) -> None:
    """Serve and deliver until the kill, or in good order until SIGTERM; says its address when it serves."""
    lock = hold(settings)
    hub = parts.build(settings)
    hub.start()
    serve(hub, host=settings.host, port=settings.port, on_ready=say)
    if lock:
        lock.release()
