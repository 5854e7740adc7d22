"""What the ledger costs a message at 500 messages a second, beside what the same message's intake costs: on SQLite and PostgreSQL.

A second has 500 messages, signed and of 12 KB, each taken in (unsigned reply: the cheaper, so the harder to be small beside) and delivered
once. The ledger writes a leaf for either, and the sealer comes once: it gives the thousand leaves their places, signs the head with the
P-256 key of a gateway as it is set up, and appends it to a file. Everything is timed in one run, in seconds of the thread's CPU, each
second's work in short turns; PostgreSQL's own CPU is in no figure.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.ground import application, cpu, target
from benchmarks.intake import Bench, arrival, make_bench
from gateway.audit import Event
from gateway.evidence.ledger import Ledger
from gateway.evidence.publishing import Place, Publication, keep
from gateway.evidence.sealing import Sealing
from gateway.installed import now
from gateway.intake import Intake
from gateway.model import MessageId, uuid7
from gateway.outbox.outbox import SqlOutbox
from gateway.outbox.payloads import Payloads
from gateway.ports import Database, Tx
from gateway.protocols.vnsw.door import VnswDoor
from gateway.security.cipher import FileCipher
from gateway.security.keys import SigningKey
from gateway.store.engine import open_database
from gateway.store.leaves import write_leaf
from gateway.store.migrate import upgrade
from gateway.testing.growing import make_key
from gateway.testing.postgres import DURABLE, fresh_database, serving

MESSAGES = 500  # a second
TURN = 10
SECONDS = 4
BOUND = 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """Intake and ledger on one database."""

    database: Database
    intake: Intake
    door: VnswDoor
    sealing: Sealing
    publication: Publication


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """What a second's messages cost, in seconds of CPU a message: intake, a leaf, and what the sealer does."""

    intake: float
    leaf: float
    sealer: float

    @property
    def ledger(self) -> float:
        """The ledger's part: the leaf of the arrival, that of the delivery, and the sealer's."""
        return 2 * self.leaf + self.sealer


def measure() -> dict[str, Any]:
    """Give the figures, the targets and the headline."""
    figures: dict[str, float] = {}
    targets = []
    with tempfile.TemporaryDirectory() as name, serving(Path(name), settings=DURABLE) as server, fresh_database(server.url) as postgres:
        home = Path(name) / "home"
        bench, key = make_bench(home), make_key(home / "own")
        for kind, url in (("sqlite", f"sqlite:///{home}/gateway.db"), ("postgresql", postgres)):
            with _station(bench, key, url, home / kind) as station:
                seconds = [_second(bench, station) for _ in range(SECONDS + 1)][1:]  # the first warms up
            for figure in ("intake", "leaf", "sealer", "ledger"):
                figures[f"{kind}_{figure}_us_a_message"] = round(median(getattr(second, figure) for second in seconds) * 1e6, 1)
            share = median(second.ledger / second.intake for second in seconds)
            targets.append(target(f"{kind}: ledger / intake", share, BOUND, at_least=False))
    return {"figures": figures, "targets": targets, "ratio": max(float(str(t["value"])) for t in targets)}


@contextmanager
def _station(bench: Bench, key: SigningKey, url: str, folder: Path) -> Iterator[Station]:
    upgrade(url)
    with closing(open_database(url)) as database:
        outbox = SqlOutbox(database, Payloads(cipher=FileCipher(folder / "keys", entropy=os.urandom)), clock=now, entropy=os.urandom)
        intake, door = bench.intake(signed_reply=False, outbox=outbox)
        ledger = Ledger(database, clock=now)
        place = Place(name="file", kept=folder / "heads.jsonl", every=timedelta(0), carry=keep)
        publication = Publication(place, ledger.newest, clock=now, watch=lambda *_: None)
        yield Station(database=database, intake=intake, door=door, sealing=Sealing(ledger, key), publication=publication)


def _second(bench: Bench, station: Station) -> Second:
    """Take a second's messages in, write a leaf for the delivery of each, and have them sealed and the head published."""
    intake = leaves = 0.0
    for _ in range(0, MESSAGES, TURN):
        arrivals = [arrival(application(bench.pki, n, person=False)) for n in range(TURN)]
        intake += cpu(lambda: [station.intake.receive(a, station.door) for a in arrivals])  # noqa: B023  # called at once
        events = [_delivered() for _ in range(TURN)]
        written = cpu(lambda: station.database.commit(lambda tx: _write(tx, events)))  # noqa: B023  # called at once
        leaves += written - cpu(lambda: station.database.commit(_nothing))  # the commit is the message's own
    sealer = cpu(station.sealing.seal) + cpu(station.publication.look)
    return Second(intake=intake / MESSAGES, leaf=leaves / MESSAGES, sealer=sealer / MESSAGES)


def _delivered() -> Event:
    """Tell of a delivery as an outbox does."""
    at = now()
    message, delivery = (str(MessageId(uuid7(at, os.urandom(10)))) for _ in range(2))
    values = {"attempt": "1", "outcome": "delivered", "state": "delivered", "party": "BNN", "code": ""}
    return Event(kind="delivery.settled", at=at, message=message, delivery=delivery, values=values)


def _write(tx: Tx, events: list[Event]) -> None:
    for event in events:
        write_leaf(tx, event)


def _nothing(_: Tx) -> None:
    """Commit nothing."""
