"""The gateway put together: what doors, pages and commands are handed; gateway/bootstrap.py makes it."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from prometheus_client import CollectorRegistry

from .collect import Collect
from .config import Settings
from .errors import Problem, Unavailable
from .evidence.gathering import Evidence
from .evidence.ledger import Ledger
from .evidence.publishing import Publication
from .evidence.stamping import Stamps
from .evidence.witness import Witness
from .intake import Intake
from .model import MessageId, Schedule, uuid7
from .outbox.attachments.keeping import Attachments
from .outbox.destinations import Destinations, notices
from .outbox.heartbeat import Heartbeat
from .outbox.history import History
from .outbox.holds import Holds
from .outbox.mending import Mending
from .outbox.outbox import SqlOutbox
from .outbox.retention import Retention
from .outbox.workers import Workers
from .ports import Adapter, Cipher, Database, Entropy, Inbound, Watch
from .routing.judge import Judge
from .routing.rules import Rules
from .security import expiry
from .security.cipher import FileCipher
from .security.enrolment import Enrolment
from .security.holdings import Holding, held_in
from .security.prover import Prover
from .security.sealer import EnvelopeSealer
from .security.trust import Trust
from .store.engine import PING
from .store.probe import Probe
from .store.queries import Queries
from .store.times import utc
from .xml.schemas import Schemas


class Background(Protocol):
    """Something that goes on beside the stories, in threads of its own."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """Finish what is under way, and end; does nothing where it never began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """A gateway put together; `start` sets its threads going, `stop` lets them finish."""

    settings: Settings
    intake: Intake
    mailboxes: Collect
    outbox: SqlOutbox
    queries: Queries
    rules: Rules
    schemas: Schemas
    judge: Judge
    prover: Prover
    trust: Trust
    sealer: EnvelopeSealer
    doors: Mapping[str, Inbound]
    adapters: Mapping[str, Adapter]
    destinations: Destinations
    entropy: Entropy
    metrics: CollectorRegistry
    watch: Watch
    mending: Mending
    history: History
    attachments: Attachments
    holds: Holds
    ledger: Ledger
    stamps: Stamps
    publications: tuple[Publication, ...]
    witness: Witness
    evidence: Evidence
    certificates: Enrolment
    _cipher: FileCipher
    _database: Database
    _probe: Probe
    _standby: Database | None
    _heartbeat: Heartbeat
    _workers: Workers
    _first: tuple[Background, ...]  # what runs before anything is delivered, and ends after it
    _last: tuple[Background, ...]

    def clock(self) -> datetime:
        """Give the present."""
        return utc()

    def new_id(self) -> MessageId:
        """Name an arrival."""
        return MessageId(uuid7(utc(), self.entropy(10)))

    def start(self, *, work: bool = True) -> None:
        """Begin to watch the rules and, unless told otherwise, to deliver; first returns what a dead process held."""
        if work and self._database.kind == "sqlite":  # this is the only process: whoever held anything is dead, save parties that fetch
            fetchers = frozenset(party.code for party in self.rules.current.parties if party.collects)
            self.outbox.rescue(held_until=datetime.max.replace(tzinfo=UTC), spared=fetchers)
        delivering: tuple[Background, ...] = (self._heartbeat, self._workers) if work else ()
        for background in (*self._first, *delivering, *self._last):
            background.start()

    def drain(self) -> None:
        """Begin no delivery any more, so that those under way end while requests do; `stop` follows."""
        self._workers.drain()

    def stop(self) -> None:
        """Finish what is under way and close."""
        for background in reversed((*self._first, self._heartbeat, self._workers, *self._last)):
            background.stop()
        if self._standby:
            self._standby.close()
        self._database.close()

    def learn(self) -> None:
        """Have this process know at once what staff just said about a party; others know it within a second."""
        self._workers.learn()

    def notices(self) -> list[Problem]:
        """Say which partners are away, paused or without an address, what ends, and what evidence is missing; raises Unavailable."""
        rules, known = self.rules.current, self.destinations
        away = notices(rules.parties, known.standings(), cause=known.cause, now=utc(), zone=rules.zone)
        unknown = self.trust.registry.unknown_statuses(at=utc())
        unpublished = [notice for publication in self.publications for notice in publication.notices()]
        ending = expiry.endings(self.trust, self.sealer.certificate, self.rules.current.parties, at=utc())
        return [*away, *expiry.notices(ending), *unknown, *self.stamps.notices(), *unpublished, *self.witness.notices()]

    def held(self) -> tuple[Holding, ...]:
        """List the certificates in use and how long each lasts."""
        return held_in(self.trust.registry, (self.sealer.certificate,), at=utc())

    def ready(self) -> list[Problem]:
        """Say what is not ready; empty when everything is."""
        own = expiry.own_problems(self.sealer.certificate, at=utc())
        problems = [*self.rules.problems, *self.trust.registry.problems, *own, *self._cipher.problems()]
        try:
            self._database.read(lambda tx: tx.rows(PING))
            problems.extend(self._probe.problems())
        except Unavailable as error:
            problems.extend(error.problems)
        return problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A database without the rest of a gateway: what commands need that work beside a running server."""

    outbox: SqlOutbox
    queries: Queries
    destinations: Destinations
    mending: Mending
    history: History
    retention: Retention
    holds: Holds
    cipher: Cipher
    ledger: Ledger
    stamps: Stamps
    evidence: Evidence
    schedule: Callable[[], Schedule]


def in_force(rules: Rules, schemas: Schemas, trust: Trust, sealer: EnvelopeSealer) -> dict[str, str]:
    """Name the configuration that is worked by, for the ledger: versions and digests."""
    registry = trust.registry
    parties = (f"{code} {certificate.sha256}" for code, held in registry.parties.items() for certificate in held)
    anchors = (f"{purpose} {certificate.sha256}" for purpose, held in registry.anchors.items() for certificate in held.certificates)
    trusted = hashlib.sha256("\n".join((*sorted(parties), *sorted(anchors))).encode()).hexdigest()
    return {"rules": rules.current.version, "schemas": schemas.version, "certificate": sealer.certificate.sha256, "trusted": trusted}
