"""What staff may order: an act, which deliveries it is for, and the job it becomes where many are meant or a second person must agree."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from gateway.errors import Code, NotValid, Problem
from gateway.lifecycle import State
from gateway.model import DeliveryId
from gateway.store.times import from_micros, to_micros

MAX_IDS = 500  # named one by one; more are chosen by a filter
MAX_REASON = 500  # characters
APPROVE_WITHIN = timedelta(days=1)  # what nobody agreed to by then was not wanted


class Act(StrEnum):
    """What is done to a delivery."""

    REPLAY = "replay"
    CANCEL = "cancel"
    REDIRECT = "redirect"
    RETURN = "return"
    CORRECT = "correct"


# From which states each act is possible. What is under way ends first; what a partner took (AWAITING_REPLY) is asked about, and
# going to somebody else as well would double its effect.
_STUCK = frozenset({State.QUEUED, State.RETRYING, State.DEAD, State.REJECTED})
POSSIBLE: Mapping[Act, frozenset[State]] = MappingProxyType(
    {
        Act.REPLAY: frozenset({State.RETRYING, State.DEAD, State.REJECTED}),
        Act.CANCEL: _STUCK | {State.AWAITING_REPLY},
        Act.REDIRECT: _STUCK,
        Act.RETURN: _STUCK,
        Act.CORRECT: _STUCK,
    }
)
ELSEWHERE = frozenset({Act.REDIRECT, Act.RETURN})  # acts after which the same matter is dealt with at another place, or anew
REASONED = frozenset({Act.CANCEL, Act.REDIRECT, Act.RETURN})  # acts that end a delivery are explained


class FourEyes(StrEnum):
    """Which acts wait until a second person approves: none, those for many deliveries, or every one."""

    OFF = "off"
    BULK = "bulk"
    ALL = "all"


class JobState(StrEnum):
    """Where a job stands."""

    PROPOSED = "proposed"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


JOB_MOVES: Mapping[JobState, frozenset[JobState]] = MappingProxyType(
    {
        JobState.PROPOSED: frozenset({JobState.RUNNING, JobState.CANCELLED, JobState.EXPIRED}),
        JobState.RUNNING: frozenset({JobState.PAUSED, JobState.DONE, JobState.CANCELLED}),
        JobState.PAUSED: frozenset({JobState.RUNNING, JobState.CANCELLED}),
        JobState.DONE: frozenset(),
        JobState.CANCELLED: frozenset(),
        JobState.EXPIRED: frozenset(),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An act with what it needs: a redirect a `party` or a `route`, a correction what it changes, most of them a `reason`.

    `accept_duplicate` says that one delivery goes elsewhere though its party may have it already, and both may act on it.
    """

    act: Act
    reason: str = ""
    party: str = ""
    route: str = ""
    corrections: Mapping[str, str] = field(default_factory=dict)
    accept_duplicate: bool = False

    def check(self) -> None:
        """Refuse an order that lacks what its act needs; raises NotValid."""
        missing = {
            "reason": self.act in REASONED and not self.reason.strip(),
            "party": self.act is Act.REDIRECT and not (self.party or self.route),
            "correction": self.act is Act.CORRECT and not (self.route or self.corrections),
            "duplicate": self.accept_duplicate and self.act not in ELSEWHERE,
        }
        problems = [Problem(text=f"mending.no-{name}", values={"act": self.act}) for name, lacks in missing.items() if lacks]
        if len(self.reason) > MAX_REASON:
            problems.append(Problem(text="mending.long-reason", values={"limit": str(MAX_REASON)}))
        if problems:
            raise NotValid(Code.SCHEMA, *problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which deliveries an order is for: those named by `ids`, or all that meet every condition given. Without a state, dead ones."""

    ids: tuple[DeliveryId, ...] = ()
    message: str = ""
    party: str = ""
    state: str = ""
    route: str = ""
    cause: str = ""
    procedure: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def check(self) -> None:
        """Refuse a choice of nothing, of too many by name, or by name and condition at once; raises NotValid."""
        conditions = self._given()
        if bool(self.ids) == bool(conditions):
            raise NotValid(Code.SCHEMA, Problem(text="mending.no-choice"))
        if len(self.ids) > MAX_IDS:
            raise NotValid(Code.SCHEMA, Problem(text="mending.many-ids", values={"limit": str(MAX_IDS)}))

    def conditions(self) -> Mapping[str, object]:
        """Give the conditions as statements take them; without a state, only what is dead is meant."""
        return {"state": State.DEAD.value} | self._given()

    def written(self) -> str:
        """Write it as JSON."""
        return json.dumps({"ids": list(self.ids)} if self.ids else self._given(), ensure_ascii=False, sort_keys=True)

    def _given(self) -> dict[str, object]:
        named = {name: getattr(self, name) for name in ("message", "party", "state", "route", "cause", "procedure")}
        times = {name: to_micros(at) for name in ("since", "until") if (at := getattr(self, name)) is not None}
        return {name: value for name, value in named.items() if value} | times


def read_choice(text: str) -> Choice:
    """Read what Choice.written() wrote."""
    read = json.loads(text)
    since, until = (from_micros(read.pop(name)) if name in read else None for name in ("since", "until"))
    return Choice(ids=tuple(read.pop("ids", ())), since=since, until=until, **read)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """An order under way: who gave it, how far it came. `skips` says why deliveries were passed over, and how many each."""

    id: str
    state: JobState
    order: Order
    choice: Choice
    proposed_by: str
    approved_by: str | None
    total: int
    done: int
    skipped: int
    skips: Mapping[str, int]
    reached: int
    upto: int
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    repeat_key: str | None = None

    def row(self) -> dict[str, object]:
        """Write it as the table holds it, in nobody's hands."""
        order = self.order
        details: dict[str, object] = {"party": order.party, "route": order.route, "corrections": dict(order.corrections)}
        if order.accept_duplicate:
            details["accept_duplicate"] = True
        return {
            "id": self.id, "act": order.act.value, "state": self.state.value, "choice": self.choice.written(),
            "details": json.dumps(details, ensure_ascii=False, sort_keys=True), "reason": order.reason,
            "proposed_by": self.proposed_by, "approved_by": self.approved_by, "repeat_key": self.repeat_key, "total": self.total,
            "done": self.done, "skipped": self.skipped, "skips": json.dumps(self.skips), "reached": self.reached, "upto": self.upto,
            "created_at": to_micros(self.created_at), "updated_at": to_micros(self.updated_at),
            "expires_at": self.expires_at and to_micros(self.expires_at), "token": None, "lease_until": None,
        }  # fmt: skip


def read_job(row: Mapping[str, Any]) -> Job:
    """Read what Job.row() wrote."""
    return Job(
        id=row["id"],
        state=JobState(row["state"]),
        order=Order(act=Act(row["act"]), reason=row["reason"], **json.loads(row["details"])),
        choice=read_choice(row["choice"]),
        proposed_by=row["proposed_by"],
        approved_by=row["approved_by"],
        total=row["total"],
        done=row["done"],
        skipped=row["skipped"],
        skips=json.loads(row["skips"]),
        reached=row["reached"],
        upto=row["upto"],
        created_at=from_micros(row["created_at"]),
        updated_at=from_micros(row["updated_at"]),
        expires_at=None if row["expires_at"] is None else from_micros(row["expires_at"]),
        repeat_key=row["repeat_key"],
    )
