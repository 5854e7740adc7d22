"""What can be seen from outside: one log event and one measurement a story step, with ids and codes, never content."""

import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TextIO

from prometheus_client import CollectorRegistry, Counter, Histogram

from .store.compact import write

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds

Log = Callable[[str, Mapping[str, object]], None]


def logger(stream: TextIO = sys.stderr) -> Log:
    """Make the log: one JSON object a line, each written at once and whole. It raises OSError or ValueError where it cannot be written."""

    def log(event: str, fields: Mapping[str, object]) -> None:
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        stream.write(write({**fields, "event": event, "timestamp": now}) + "\n")

    return log


class Telemetry:
    """Watches both stories; a call is cheap, may come from any thread, and never fails: what is told has already happened."""

    def __init__(self, log: Log) -> None:
        self.registry = CollectorRegistry()
        self._log = log
        events = Counter("nsw_events", "Story events by name and code.", ("event", "code"), registry=self.registry)
        seconds = Histogram("nsw_step_seconds", "How long a story took.", ("event",), buckets=BUCKETS, registry=self.registry)
        self._events, self._seconds = cache(events.labels), cache(seconds.labels)  # looking labels up costs more than counting
        self._unsigned = Counter(
            "nsw_unsigned_accepted", "Messages accepted without a signature, by what proved them.", ("channel",), registry=self.registry
        )

    def __call__(self, event: str, fields: Mapping[str, object]) -> None:
        """Count, time and log one event."""
        self._events(event, str(fields.get("code", ""))).inc()
        seconds = fields.get("seconds")
        if isinstance(seconds, float):
            self._seconds(event).observe(seconds)
        if event == "message.accepted" and fields.get("proof") not in (None, "signature"):
            self._unsigned.labels(str(fields["proof"])).inc()
        try:
            self._log(event, fields)
        except (OSError, ValueError):  # the log's disk is full, or whoever read it has gone
            self._events("log.lost", "").inc()
