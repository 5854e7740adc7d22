"""/metrics in the Prometheus text format: what the process counted, and what stands in the database."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from gateway.model import Channel
from gateway.ports import Clock
from gateway.store.queries import Counts
from gateway.web.api.gate import Gate

if TYPE_CHECKING:
    from gateway.bootstrap import Hub


class Stored(Collector):
    """The counts of the database as metrics; made anew for each scrape."""

    def __init__(self, counts: Counts, clock: Clock) -> None:
        self._counts = counts
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Write messages by state, deliveries by party and state, and how long the oldest due delivery has waited."""
        messages = CounterMetricFamily("nsw_messages", "Messages in the database, by state.", labels=["state"])
        for state, number in self._counts.messages.items():
            messages.add_metric([state], number)
        deliveries = GaugeMetricFamily("nsw_deliveries", "Deliveries in the database, by party and state.", labels=["party", "state"])
        for (party, state), number in self._counts.deliveries.items():
            deliveries.add_metric([party, state], number)
        oldest = GaugeMetricFamily("nsw_oldest_due_seconds", "How long the oldest due delivery has been due; 0 where none is.")
        oldest.add_metric([], self._overdue())
        yield from (messages, deliveries, oldest)

    def _overdue(self) -> float:
        due = self._counts.oldest_due
        return 0.0 if due is None else max(0.0, (self._clock() - due).total_seconds())


def router(hub: "Hub", gate: Gate) -> APIRouter:
    """Serve the metrics to whoever may read; a Prometheus server presents its key as a bearer token."""
    routes = APIRouter(tags=["operations"])
    reader = gate.needs("reader", "operator")

    @routes.get("/metrics", summary="Prometheus metrics", response_class=Response)
    def metrics(channel: Annotated[Channel, Depends(reader)]) -> Response:  # noqa: ARG001  # the dependency is the check
        """Give what this process counted and what stands in the database now."""
        stored = CollectorRegistry()
        stored.register(Stored(hub.queries.counts(), hub.clock))
        return Response(generate_latest(hub.metrics) + generate_latest(stored), media_type=CONTENT_TYPE_LATEST)

    return routes
