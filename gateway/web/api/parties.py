"""GET /api/v1/parties; POST pause and resume."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from gateway.errors import Code, NotValid, Problem
from gateway.model import Channel, Party

from .filters import PLAIN, Moment
from .gate import Gate, label
from .responses import refusals
from .standing import PartyView, party_views, told_to
from .views import View

if TYPE_CHECKING:
    from gateway.hub import Hub

Code_ = Annotated[
    str, Path(alias="code", min_length=1, max_length=100, pattern=PLAIN, description="a party's code or alias", examples=["BNN"])
]


class Pause(BaseModel):
    """Until when nothing shall be sent, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    until: Moment
    reason: str = Field(min_length=1, max_length=500, pattern=PLAIN, examples=["Bộ nâng cấp hệ thống, gọi lúc 9 giờ"])


class PartyList(View):
    """Every party that is sent to, or fetches."""

    items: list[PartyView]


def router(hub: "Hub", gate: Gate) -> APIRouter:
    """Show parties to readers and operators; only staff who operate pause and resume them."""
    routes = APIRouter(prefix="/api/v1/parties", tags=["parties"])
    reader, operator = gate.needs("reader", "operator"), gate.staff("operator")

    @routes.get("", responses=refusals(), summary="How each party stands")
    def listed(channel: Annotated[Channel, Depends(reader)]) -> PartyList:
        """Show whether each party can be reached, until when it is paused, and what waits for it."""
        return PartyList(items=[told_to(channel, view) for view in views() if channel.party in (None, view.code)])

    @routes.post("/{code}/pause", responses=refusals(404), summary="Send nothing to a party for a while")
    def pause(channel: Annotated[Channel, Depends(operator)], code: Code_, order: Pause) -> PartyView:
        """Hold back everything for a party until a time; it costs no attempts and goes on by itself."""
        party = found(code)
        hub.destinations.pause(party.code, until=order.until, by=label(channel), reason=order.reason)
        return told(party)

    @routes.post("/{code}/resume", responses=refusals(404, 409), summary="Send to a party again")
    def resume(channel: Annotated[Channel, Depends(operator)], code: Code_) -> PartyView:
        """End a pause that staff ordered before its time."""
        party = found(code)
        hub.destinations.resume(party.code, by=label(channel))
        return told(party)

    def views() -> list[PartyView]:
        return party_views(hub.rules.current.parties, hub.destinations.standings(), hub.queries.backlogs(), now=hub.clock())

    def found(code: str) -> Party:
        party = hub.rules.current.party(code)
        if party is None or not party.adapter:
            raise NotValid(Code.NOT_FOUND, Problem(text="web.no-party", values={"party": code}))
        return party

    def told(party: Party) -> PartyView:
        hub.learn()
        return next(view for view in views() if view.code == party.code)

    return routes
