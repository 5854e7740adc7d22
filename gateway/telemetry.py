"""What can be seen from outside: one log event and one measurement a story step, with ids and codes, never content."""

import sys
from collections.abc import Mapping
from typing import TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from structlog.typing import FilteringBoundLogger

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds


def logger(stream: TextIO = sys.stderr) -> FilteringBoundLogger:
    """Make the log: one JSON object a line."""
    log: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[structlog.processors.TimeStamper(fmt="iso", utc=True), structlog.processors.JSONRenderer(ensure_ascii=False)],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
    )
    return log


class Telemetry:
    """Watches both stories; a call is cheap, may come from any thread, and never fails: what is told has already happened."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self.registry = CollectorRegistry()
        self._log = log
        self._events = Counter("nsw_events", "Story events by name and code.", ("event", "code"), registry=self.registry)
        self._seconds = Histogram("nsw_step_seconds", "How long a story took.", ("event",), buckets=BUCKETS, registry=self.registry)
        self._unsigned = Counter(
            "nsw_unsigned_accepted", "Messages accepted without a signature, by what proved them.", ("channel",), registry=self.registry
        )

    def __call__(self, event: str, fields: Mapping[str, object]) -> None:
        """Count, time and log one event."""
        self._events.labels(event, str(fields.get("code", ""))).inc()
        seconds = fields.get("seconds")
        if isinstance(seconds, float):
            self._seconds.labels(event).observe(seconds)
        if event == "message.accepted" and fields.get("proof") not in (None, "signature"):
            self._unsigned.labels(str(fields["proof"])).inc()
        try:
            self._log.info(event, **fields)
        except (OSError, ValueError):  # the log's disk is full, or whoever read it has gone
            self._events.labels("log.lost", "").inc()
