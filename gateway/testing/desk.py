"""What staff work with, without a server: an outbox with deliveries that ended as told, and everything that mends them."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from gateway.bootstrap import ways_of
from gateway.installed import discover
from gateway.lifecycle import Failed, Outcome, State, next_step
from gateway.model import DeliveryId, PartyCode, Reply, Request, RetryPolicy, uuid7
from gateway.outbox.acts import Acts
from gateway.outbox.history import History
from gateway.outbox.mender import carry
from gateway.outbox.mending import Mending
from gateway.outbox.orders import FourEyes
from gateway.outbox.outbox import SqlOutbox
from gateway.outbox.payloads import Payloads
from gateway.outbox.sql.flow import INSERT_DELIVERY
from gateway.ports import Adapter, Claim, Database, Tx
from gateway.routing.rules import RuleSet
from gateway.security.cipher import FileCipher
from gateway.store.queries import DeliveryRow, Queries
from gateway.store.times import to_micros

from .entries import BNN, START, make_entry

POLICY = RetryPolicy(attempts=1)  # the first failure sets aside
DEAD = Failed(code="timeout")
ATTEMPTED = ("delivery.routed", "delivery.sending", "delivery.settled")
ASKED, ANSWERED = b"asked", b"answered"


@dataclass(slots=True)
class Time:
    """A clock that stands still until it is moved."""

    now: datetime = START

    def __call__(self) -> datetime:
        """Give the time."""
        return self.now


@dataclass
class Desk:
    """Everything over one database, which must have been opened with the same clock."""

    database: Database
    rules: RuleSet
    clock: Time
    keys: Path
    adapters: Callable[[], Mapping[str, Adapter]] = discover
    wakes: list[None] = field(default_factory=list)
    numbers: int = 0

    def __post_init__(self) -> None:
        """Put it together."""
        self.payloads = Payloads(cipher=FileCipher(self.keys, entropy=os.urandom))
        self.outbox = SqlOutbox(self.database, self.payloads, clock=self.clock, entropy=os.urandom)
        self.queries = Queries(self.database, self.payloads.unlock)
        self.history = History(self.database, self.payloads)
        self.mending = self.with_eyes(FourEyes.OFF)

    def with_eyes(self, four_eyes: FourEyes) -> Mending:
        """Give mending as an installation with this setting has it."""
        acts = Acts(self.payloads, ways_of(lambda: self.rules, self.adapters), entropy=os.urandom)
        return Mending(self.database, acts, entropy=os.urandom, four_eyes=four_eyes, wake=lambda: self.wakes.append(None))

    def deliver(self, outcome: Outcome | None = DEAD, *, party: PartyCode = BNN, order: Literal["none", "dossier"] = "none") -> DeliveryId:
        """Record a message for a party and make one attempt that ends so; None leaves it queued."""
        self.numbers += 1
        entry = make_entry(key=str(self.numbers).encode(), parties=(party,), order=order, reference=f"R{self.numbers}")
        self.outbox.record(entry)
        if outcome is not None:
            (claim,) = self.outbox.claim({party: 1})
            self.outbox.note(claim, Request(endpoint="http://x", action="", body=ASKED))
            self.settle(claim, outcome)
        return entry.receipt.deliveries[0]

    def fill(self, count: int, *, state: State = State.DEAD, party: PartyCode = BNN) -> None:
        """Record one message, and so many ended deliveries of it to a party, by one commit."""
        message = self.row(self.deliver(party=party)).message
        now = to_micros(self.clock())
        same = {
            "message": message, "party": party, "route": f"to-{party}", "state": state.value, "open": None, "due_at": None, "attempt": 1,
            "reference": "", "cause": "timeout", "dossier": None, "created_at": now, "updated_at": now,
        }  # fmt: skip

        def work(tx: Tx) -> None:
            for _ in range(count):
                tx.changed(INSERT_DELIVERY, id=uuid7(self.clock(), os.urandom(10)), **same)

        self.database.commit(work)

    def settle(self, claim: Claim, outcome: Outcome) -> None:
        """Bring a claim to its end."""
        step = next_step(claim.state, outcome, attempt=claim.attempt, policy=POLICY, now=self.clock(), key=claim.delivery)
        self.outbox.settle(claim, step, outcome, Reply(status=503, body=ANSWERED))

    def row(self, delivery: str) -> DeliveryRow:
        """Find a delivery; raises KeyError."""
        found = self.queries.delivery(delivery)
        if found is None:
            raise KeyError(delivery)
        return found

    def told(self, delivery: str) -> list[tuple[str, Mapping[str, Any]]]:
        """Give what the ledger says of a delivery, save its routing and how its attempts began and ended."""
        moments = self.queries.timeline(self.row(delivery).message)
        return [(m.kind, m.values) for m in moments if m.delivery == delivery and m.kind not in ATTEMPTED]

    def run(self, mending: Mending | None = None) -> None:
        """Carry out every job there is."""
        chosen = mending or self.mending
        while hold := chosen.take():
            carry(chosen, hold, pause=lambda _: False)
