"""What staff order over REST, and the jobs that become of it, as the OpenAPI document describes them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from gateway.errors import Code, NotValid, Problem, explain
from gateway.lifecycle import State
from gateway.model import DeliveryId
from gateway.outbox.orders import MAX_IDS, MAX_REASON, Act, Choice, Job, JobState, Order

from .filters import ID, PLAIN, Moment, Text
from .views import DELIVERY_ID, JOB_ID, View

Why = Annotated[str, Field(max_length=MAX_REASON, pattern=PLAIN, examples=["Bên nhận đã đổi địa chỉ"])]

# What only some acts need; of another act it is refused, never ignored.
USED_BY: Mapping[str, frozenset[Act]] = MappingProxyType({
    "party": frozenset({Act.REDIRECT}),
    "route": frozenset({Act.REDIRECT, Act.CORRECT}),
    "corrections": frozenset({Act.CORRECT}),
})  # fmt: skip

Duplicate = Annotated[
    bool,
    Field(
        description="one delivery's only: go on though its party may have the message already (it was sent, and no clear answer came), "
        "and the same matter may be dealt with twice"
    ),
]


class Body(BaseModel):
    """What is asked; a member that is not known is refused, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Redirect(Body):
    """Where a message goes instead: a party, one of the rules' routes, or both; and why."""

    party: Annotated[Text | None, Field(description="code or alias", examples=["TCHQ"])] = None
    route: Annotated[Text | None, Field(description="name of a route; without it the party's address")] = None
    reason: Annotated[Why, Field(min_length=1)]
    accept_duplicate: Duplicate = False

    def order(self) -> Order:
        """Give the order."""
        going = Order(act=Act.REDIRECT, reason=self.reason, accept_duplicate=self.accept_duplicate)
        return replace(going, party=self.party or "", route=self.route or "")


class Return(Body):
    """Why a message goes back to its sender, who reads it."""

    reason: Annotated[Why, Field(min_length=1)]
    accept_duplicate: Duplicate = False

    def order(self) -> Order:
        """Give the order."""
        return Order(act=Act.RETURN, reason=self.reason, accept_duplicate=self.accept_duplicate)


class Corrections(Body):
    """What of the gateway's own header is corrected; the sender's content and signatures never are."""

    receiver: Annotated[Text | None, Field(description="To/identity: another declared spelling of the same party", examples=["MARD"])] = (
        None
    )
    version: Annotated[Text | None, Field(description="Reference/version", examples=["1.0"])] = None
    route: Annotated[Text | None, Field(description="another route to the same party")] = None

    def order(self) -> Order:
        """Give the order."""
        changed = {name: text for name, text in (("receiver", self.receiver), ("version", self.version)) if text is not None}
        return Order(act=Act.CORRECT, route=self.route or "", corrections=changed)


class ChoiceBody(Body):
    """Which deliveries: `ids`, or conditions that all hold. Without `state`, dead ones."""

    ids: Annotated[list[Annotated[str, Field(pattern=ID)]] | None, Field(max_length=MAX_IDS, examples=[[DELIVERY_ID]])] = None
    message: Annotated[str | None, Field(pattern=ID)] = None
    party: Annotated[Text | None, Field(examples=["BNN"])] = None
    state: State | None = None
    route: Text | None = None
    cause: Annotated[Text | None, Field(description="how the cause begins", examples=["timeout"])] = None
    procedure: Annotated[Text | None, Field(examples=["BNN&PTNT0300002"])] = None
    since: Annotated[Moment | None, Field(description="created at or after")] = None
    until: Annotated[Moment | None, Field(description="created before")] = None

    def choice(self) -> Choice:
        """Give the choice; an id that stands twice counts once."""
        conditions = self.model_dump(exclude={"ids"}, exclude_none=True)
        return Choice(ids=tuple(dict.fromkeys(map(DeliveryId, self.ids or ()))), **conditions)


class OrderBody(Body):
    """An act, which deliveries it is for, and what the act needs: a reason, where to, what to correct."""

    act: Act
    choice: ChoiceBody
    reason: Annotated[Why, Field(description="needed by cancel, redirect and return")] = ""
    party: Annotated[Text | None, Field(description="of a redirect: where to")] = None
    route: Annotated[Text | None, Field(description="of a redirect or a correction")] = None
    corrections: Annotated[Corrections | None, Field(description="of a correction")] = None
    accept_duplicate: Duplicate = False

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"act": "replay", "choice": {"party": "BNN", "cause": "timeout", "since": "2026-12-31T08:00:00+07:00"}},
                {"act": "return", "choice": {"ids": [DELIVERY_ID]}, "reason": "Bên nhận đã ngừng thủ tục này"},
            ]
        }
    )

    def order(self) -> Order:
        """Give the order; raises NotValid where a member stands in it that its act does not use."""
        corrected = (self.corrections or Corrections()).order()
        unused = [name for name, acts in USED_BY.items() if getattr(self, name) is not None and self.act not in acts]
        if self.route and corrected.route:
            unused.append("corrections.route")
        if unused:
            raise NotValid(Code.SCHEMA, *(_unused(name, self.act) for name in unused))
        order = Order(act=self.act, reason=self.reason, accept_duplicate=self.accept_duplicate)
        return replace(order, party=self.party or "", route=self.route or corrected.route, corrections=corrected.corrections)


class Counted(View):
    """How many deliveries an order would be for."""

    total: int = Field(examples=[1204])


class Skip(View):
    """Why deliveries were passed over, and how many."""

    code: str = Field(examples=["mending.wrong-state"])
    count: int = Field(examples=[3])
    message_vi: str
    message_en: str


class JobView(View):
    """An order under way, and how far it came."""

    id: str = Field(examples=[JOB_ID])
    act: Act = Field(examples=["replay"])
    state: JobState = Field(description="proposed waits for a second person", examples=["running"])
    choice: dict[str, object] = Field(description="ids or conditions", examples=[{"party": "BNN", "cause": "timeout"}])
    reason: str = Field(examples=[""])
    party: str = Field(description="of a redirect", examples=[""])
    route: str = Field(examples=[""])
    corrections: dict[str, str] = Field(examples=[{}])
    accept_duplicate: bool = Field(description="done though the party may have the message already", examples=[False])
    total: int = Field(description="deliveries when it was ordered or approved; of a proposal, now", examples=[1204])
    done: int = Field(examples=[500])
    skipped: int = Field(description="passed over", examples=[3])
    skips: list[Skip]
    proposed_by: str = Field(examples=["key:lan"])
    approved_by: str | None = Field(examples=[None])
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = Field(description="when a proposal ends that nobody approved")


class JobPage(View):
    """A page of jobs, newest first."""

    items: list[JobView]
    next_cursor: str | None = Field(description="give it as `cursor` to get the page after this one; null at the end")


def job_view(job: Job) -> JobView:
    """Show a job."""
    order = job.order
    same = ("id", "state", "total", "done", "skipped", "proposed_by", "approved_by", "created_at", "updated_at", "expires_at")
    return JobView(
        **{name: getattr(job, name) for name in same},
        act=order.act,
        choice=_choice_view(job.choice),
        reason=order.reason,
        party=order.party,
        route=order.route,
        corrections=dict(order.corrections),
        accept_duplicate=order.accept_duplicate,
        skips=[_skip(code, count) for code, count in job.skips.items()],
    )


def _unused(name: str, act: Act) -> Problem:
    return Problem(text="web.parameter-unused", path=name, values={"name": name, "act": act})


def _choice_view(choice: Choice) -> dict[str, object]:
    """Show a choice as it may be written again."""
    if choice.ids:
        return {"ids": list(choice.ids)}
    times = {name: at.isoformat() for name in ("since", "until") if (at := getattr(choice, name)) is not None}
    return {**choice.conditions(), **times}


def _skip(code: str, count: int) -> Skip:
    """Say why in words; the values of each are in no job, so they read as an ellipsis."""
    problem = Problem(text=code)
    return Skip(code=code, count=count, message_vi=explain(problem, "vi"), message_en=explain(problem, "en"))
