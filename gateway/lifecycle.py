"""A delivery's life: its states, the moves between them, and the one function that chooses the next. Pure: no I/O, no clock."""

# QUEUED ──> SENDING ──> DELIVERED                       the partner has it
#    │          ├──────> REJECTED                        the partner refused it for good
#    │          ├──────> RETRYING ──> SENDING            a failure; tried again after a while
#    │          ├──────> AWAITING_REPLY ──> SENDING      taken, its result is asked for later (a poll, never a second send)
#    │          └──────> DEAD ──> QUEUED                 set aside for staff, who may replay it
#    └─────────────────> CANCELLED                       by staff, before it was done; redirected and returned end so too

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from .model import RetryPolicy


class State(StrEnum):
    """Where a delivery stands."""

    QUEUED = "queued"
    SENDING = "sending"
    RETRYING = "retrying"
    AWAITING_REPLY = "awaiting-reply"
    DELIVERED = "delivered"
    REJECTED = "rejected"
    DEAD = "dead"
    CANCELLED = "cancelled"


TRANSITIONS: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.QUEUED: frozenset({State.SENDING, State.CANCELLED}),
        State.SENDING: frozenset(
            {
                State.DELIVERED,
                State.REJECTED,
                State.RETRYING,
                State.AWAITING_REPLY,
                State.DEAD,
                State.QUEUED,  # rescued from a dead worker before anything was noted as leaving
            }
        ),
        State.RETRYING: frozenset({State.SENDING, State.CANCELLED, State.QUEUED}),
        State.AWAITING_REPLY: frozenset({State.SENDING, State.CANCELLED, State.DEAD}),
        State.DEAD: frozenset({State.QUEUED, State.AWAITING_REPLY, State.CANCELLED}),
        State.REJECTED: frozenset({State.QUEUED, State.CANCELLED}),
        State.DELIVERED: frozenset(),
        State.CANCELLED: frozenset(),
    }
)
MAX_DEATHS = 5  # in a row over one delivery: chance kills a process once or twice while it is carried, what it holds kills it each time
CLOSE_DEATHS = 2  # after so many it is due at once; what died more often waits, each a time of its own, away from what it died with
APART = RetryPolicy(first=timedelta(seconds=5), longest=timedelta(minutes=1), jitter=1.0)
UNSENT = frozenset({"address", "dns", "header", "refused", "tls"})  # failures of which nothing reached anybody
UNREAD = frozenset({"defect", "http-502", "http-504", "reply-unreadable"})  # answers that say neither yes nor no
NO_ADDRESS, DATABASE_AWAY = "no-address", "database-away"  # why it was put off, though nobody failed
DUE = frozenset({State.QUEUED, State.RETRYING, State.AWAITING_REPLY})
ENDED = frozenset({State.DELIVERED, State.REJECTED, State.DEAD, State.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The partner has it; `reference` is the partner's own number for it, where it gave one."""

    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The partner took it and will say later what became of it; ask again after `ask_again_in`, None if it cannot be asked."""

    reference: str
    ask_again_in: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The partner refused it for good."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """Not now, for a `reason` that is nobody's failure; costs no attempt. It is short and public as a failure's code ("no-address")."""

    for_: timedelta
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """It did not work; `code` is short and public ("refused", "timeout", "http-503", "reply-unreadable").

    `final` says that another try cannot help: the message is set aside for staff at once; `unproven` that an answer came, and was not
    shown to be the partner's word about this message.
    """

    code: str
    detail: str = ""
    final: bool = False
    unproven: bool = False


Outcome = Delivered | Accepted | Rejected | Deferred | Failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What to write: the state, when it is due again (None when it ended), whether the attempt counts, and why it ended or waits."""

    to: State
    due_at: datetime | None
    counts: bool
    reason: str = ""


def next_step(state: State, outcome: Outcome, *, attempt: int, policy: RetryPolicy, now: datetime, key: str = "") -> Step:
    """Choose the next state. Pure: the caller supplies the time and stores the result.

    `state` is the one the claim was made from: from AWAITING_REPLY it was a poll, and a failed poll waits for the next
    poll, never for a second send. `attempt` counts from 1 and includes this one; `key`, the delivery's id, draws the jitter.
    """
    match outcome:
        case Delivered():
            return Step(to=State.DELIVERED, due_at=None, counts=True)
        case Rejected(reason=reason):
            return Step(to=State.REJECTED, due_at=None, counts=True, reason=reason)
        case Accepted(ask_again_in=None):
            return Step(to=State.DEAD, due_at=None, counts=True, reason="no-answer")
        case Accepted(ask_again_in=timedelta() as pause):
            return Step(to=State.AWAITING_REPLY, due_at=now + pause, counts=state is not State.AWAITING_REPLY)
        case Deferred(for_=pause, reason=reason):
            return Step(to=_waiting(state), due_at=now + pause, counts=False, reason=reason)
        case Failed(code=code, final=final) if final or attempt >= policy.attempts:
            return Step(to=State.DEAD, due_at=None, counts=True, reason=code)
        case Failed(code=code):
            return Step(to=_waiting(state), due_at=now + retry_delay(policy, attempt, key), counts=True, reason=code)
    raise TypeError(outcome)


def public_code(outcome: Outcome) -> str:
    """Give the part of an outcome that holds no content: a failure's code, or why it was put off. Pure."""
    match outcome:
        case Failed(code=code) | Deferred(reason=code):
            return code
    return ""


def perhaps_taken(outcome: Outcome, *, answered: bool) -> bool | None:
    """Say whether the partner may have what an attempt sent: None where the attempt says nothing new about it. Pure."""
    match outcome:
        case Accepted():
            return True
        case Rejected():
            return False
        case Failed(code=code, unproven=unproven) if unproven or code in UNREAD or not (answered or code in UNSENT):
            return True
    return None


def rescued(state: State, *, deaths: int, now: datetime, key: str) -> Step:
    """Choose what follows a claim whose holder did not live to settle it. Pure, as next_step.

    `state` is the one the claim was made from; `deaths` counts them in a row, this one included. Of deliveries that die together one
    may be the cause: they come back at different times, so that those it took along are carried while it is not.
    """
    if deaths >= MAX_DEATHS:
        return Step(to=State.DEAD, due_at=None, counts=True, reason="died")
    pause = retry_delay(APART, deaths - CLOSE_DEATHS, key) if deaths > CLOSE_DEATHS else timedelta(0)
    return Step(to=state, due_at=now + pause, counts=True)


def revived(state: State, *, reference: str, cause: str) -> State:
    """Choose where a replay leads: a dead delivery that the partner took is asked about again; anything else is sent again."""
    polls = state is State.DEAD and reference and cause != "no-answer"
    return State.AWAITING_REPLY if polls else State.QUEUED


def retry_delay(policy: RetryPolicy, attempt: int, key: str) -> timedelta:
    """Say how long to wait after a failed attempt: `first * factor^(attempt-1)`, at most `longest`, spread by the key."""
    steps = min(attempt - 1, 64)  # beyond it the power overflows and the cap holds anyway
    bare = min(policy.first.total_seconds() * policy.factor**steps, policy.longest.total_seconds())
    draw = int.from_bytes(hashlib.sha256(f"{key}:{attempt}".encode()).digest()[:4]) / 2**32  # 0 <= draw < 1
    return timedelta(seconds=bare * (1 - policy.jitter + 2 * policy.jitter * draw))


def _waiting(state: State) -> State:
    return State.AWAITING_REPLY if state is State.AWAITING_REPLY else State.RETRYING
