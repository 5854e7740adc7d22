"""Staff who replay and cancel, by the acts that the gateway's own commands and pages use."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.bootstrap import ways_of
from gateway.installed import discover
from gateway.model import DeliveryId
from gateway.outbox.acts import Acts
from gateway.outbox.mending import Mending
from gateway.outbox.orders import Act, FourEyes, Order
from gateway.outbox.payloads import Payloads
from gateway.ports import Database, Entropy
from gateway.routing.rules import RuleSet


class Staff(Protocol):
    """Whoever mends one delivery at a time."""

    def replay(self, delivery: DeliveryId, *, by: str) -> None:
        """Give it a new life; raises NotValid (not found) or Conflict."""

    def cancel(self, delivery: DeliveryId, *, by: str, reason: str) -> None:
        """End it; raises NotValid (not found) or Conflict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AtDatabase:
    """Staff of a database, of whom none needs a second."""

    mending: Mending

    def replay(self, delivery: DeliveryId, *, by: str) -> None:
        """Give it a new life."""
        self.mending.once(Order(act=Act.REPLAY), delivery, by=by)

    def cancel(self, delivery: DeliveryId, *, by: str, reason: str) -> None:
        """End it."""
        self.mending.once(Order(act=Act.CANCEL, reason=reason), delivery, by=by)


def staff_at(
    database: Database, payloads: Payloads, *, entropy: Entropy = os.urandom, wake: Callable[[], None] = lambda: None
) -> AtDatabase:
    """Seat staff before a database; `wake` calls whoever delivers."""
    acts = Acts(payloads, ways_of(_no_rules, discover), entropy=entropy)
    return AtDatabase(mending=Mending(database, acts, entropy=entropy, four_eyes=FourEyes.OFF, wake=wake))


def _no_rules() -> RuleSet:
    raise LookupError("these staff send nothing elsewhere")
