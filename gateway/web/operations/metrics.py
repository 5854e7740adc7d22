"""/metrics in the Prometheus text format: what the process counted, and what stands in the database."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from gateway.evidence.publishing import Publication
from gateway.evidence.stamping import Stamped
from gateway.model import Channel
from gateway.ports import Clock
from gateway.security.exemptions import Exemption, exemptions
from gateway.security.holdings import Holding
from gateway.store.queries import Counts, Mailbox
from gateway.web.api.gate import Gate
from gateway.web.api.standing import PartyView, party_views

if TYPE_CHECKING:
    from gateway.hub import Hub


class Stored(Collector):
    """The counts of the database as metrics; made anew for each scrape."""

    def __init__(self, counts: Counts, mailboxes: Mapping[str, Mailbox], parties: Sequence[PartyView], clock: Clock) -> None:
        self._counts = counts
        self._parties = parties
        self._mailboxes = mailboxes
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
        oldest.add_metric([], self._since(self._counts.oldest_due))
        yield from (messages, deliveries, oldest, *self._of_mailboxes(), *self._of_parties())

    def _of_mailboxes(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily("nsw_mailbox_waiting", "Deliveries that wait to be collected, by party.", labels=["party"])
        oldest = GaugeMetricFamily(
            "nsw_mailbox_oldest_seconds", "How long the oldest delivery in a mailbox waits for a confirmation; 0: none.", labels=["party"]
        )
        for party, mailbox in self._mailboxes.items():
            waiting.add_metric([party], mailbox.waiting)
            oldest.add_metric([party], self._since(mailbox.oldest))
        yield from (waiting, oldest)

    def _of_parties(self) -> Iterator[Metric]:
        is_open = GaugeMetricFamily("nsw_circuit_open", "1 while a party is away and asked now and then, else 0.", labels=["party"])
        paused = GaugeMetricFamily(
            "nsw_paused", "1 while nothing is sent to a party, by its own window or by staff, else 0.", labels=["party"]
        )
        due = GaugeMetricFamily(
            "nsw_party_oldest_due_seconds", "How long the oldest delivery to a party has been due; 0: none.", labels=["party"]
        )
        for party in self._parties:
            is_open.add_metric([party.code], party.circuit == "open")
            paused.add_metric([party.code], party.paused_until is not None)
            due.add_metric([party.code], self._since(party.oldest_due))
        yield from (is_open, paused, due)

    def _since(self, moment: datetime | None) -> float:
        return 0.0 if moment is None else max(0.0, (self._clock() - moment).total_seconds())


class Certificates(Collector):
    """How long certificates last; made anew for each scrape."""

    def __init__(self, held: Sequence[Holding]) -> None:
        self._held = held

    def collect(self) -> Iterator[Metric]:
        """Write the days left of each certificate; negative once it ended."""
        labels = ["use", "party", "certificate", "succeeded"]
        days = GaugeMetricFamily("nsw_certificate_days", "Days until a certificate ends, by its SHA-256; negative: ended.", labels=labels)
        for held in self._held:
            days.add_metric([held.use, held.party or "", held.certificate.sha256[:16], str(held.succeeded).lower()], held.days)
        yield days


class Exemptions(Collector):
    """How long parties may send unsigned or use what is weak; made anew for each scrape."""

    def __init__(self, granted: Sequence[Exemption]) -> None:
        self._granted = granted

    def collect(self) -> Iterator[Metric]:
        """Write the days left of each exception; negative once it ended."""
        days = GaugeMetricFamily(
            "nsw_exception_days", "Days until an exception of a party ends; negative: ended.", labels=["party", "what"]
        )
        for granted in self._granted:
            days.add_metric([granted.party, granted.what], granted.days)
        yield days


class Stamps(Collector):
    """Whether the ledger's heads are stamped in time; made anew for each scrape."""

    def __init__(self, stamped: Stamped, clock: Clock) -> None:
        self._stamped = stamped
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Write how long a time-stamp has been missing."""
        missing = GaugeMetricFamily("nsw_unstamped_seconds", "How long no authority has given a time-stamp that was asked for; 0: none.")
        gap = self._stamped.gap
        missing.add_metric([], max(0.0, (self._clock() - gap.since).total_seconds()) if gap else 0.0)
        yield missing


class Publications(Collector):
    """Whether the ledger's heads leave the house; made anew for each scrape."""

    def __init__(self, publications: Sequence[Publication], clock: Clock) -> None:
        self._publications = publications
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Write how long no head has reached each place."""
        missing = GaugeMetricFamily("nsw_unpublished_seconds", "How long no head has reached a place; 0: they do.", labels=["place"])
        for publication in self._publications:
            gap = publication.gap
            missing.add_metric([publication.place.name], max(0.0, (self._clock() - gap.since).total_seconds()) if gap else 0.0)
        yield missing


def router(hub: "Hub", gate: Gate) -> APIRouter:
    """Serve the metrics to staff, for they tell of every party; a Prometheus server presents its key as a bearer token."""
    routes = APIRouter(tags=["operations"])
    reader = gate.staff("reader", "operator")

    @routes.get("/metrics", summary="Prometheus metrics", response_class=Response)
    def metrics(channel: Annotated[Channel, Depends(reader)]) -> Response:  # noqa: ARG001  # the dependency is the check
        """Give what this process counted and what stands in the database now."""
        stored = CollectorRegistry()
        mailboxes: dict[str, Mailbox] = {
            party.code: hub.queries.mailbox(party.code) for party in hub.rules.current.parties if party.collects
        }
        parties = party_views(hub.rules.current.parties, hub.destinations.standings(), hub.queries.backlogs(), now=hub.clock())
        stored.register(Certificates(hub.held()))
        stored.register(Exemptions(exemptions(hub.rules.current.parties, at=hub.clock())))
        stored.register(Stamps(hub.stamps.standing(), hub.clock))
        stored.register(Publications(hub.publications, hub.clock))
        stored.register(Stored(hub.queries.counts(), mailboxes, parties, hub.clock))
        return Response(generate_latest(hub.metrics) + generate_latest(stored), media_type=CONTENT_TYPE_LATEST)

    return routes
