"""What a worker does with an outbox, for tests: claim one, end it in one way, and let time pass."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.lifecycle import Outcome, State, next_step
from gateway.model import PartyCode, Reply, RetryPolicy
from gateway.ports import Claim, Outbox

from .entries import BNN, START

POLICY = RetryPolicy(attempts=3)


@dataclass
class Time:
    """A clock that stands still until it is told to pass, and what rang meanwhile."""

    now: datetime = START
    wakes: list[None] = field(default_factory=list)

    def __call__(self) -> datetime:
        """Give the present."""
        return self.now

    def pass_(self, pause: timedelta) -> None:
        """Let time pass."""
        self.now += pause

    def wake(self, *_about: object) -> None:
        """Count a ring."""
        self.wakes.append(None)


def end(outbox: Outbox, claim: Claim, outcome: Outcome, time: Time, *, reply: bytes = b"reply") -> State:
    """Settle a claim by its outcome; gives the state it came to."""
    step = next_step(claim.state, outcome, attempt=claim.attempt, policy=POLICY, now=time(), key=claim.delivery)
    outbox.settle(claim, step, outcome, Reply(status=200, body=reply))
    return step.to


def claim_one(outbox: Outbox, party: PartyCode = BNN) -> Claim:
    """Claim the one delivery that a party is due."""
    (claim,) = outbox.claim({party: 1})
    return claim
