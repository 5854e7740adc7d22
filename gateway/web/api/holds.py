"""GET /api/v1/holds; POST to place and to release one: what must be kept whatever its period says."""

from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from gateway.model import Channel
from gateway.outbox.holds import Hold

from .filters import ID, Text
from .gate import Gate, label
from .responses import refusals
from .views import MESSAGE_ID, Reason, View

if TYPE_CHECKING:
    from gateway.hub import Hub

HOLD_ID = "0198f3c2-6b1e-7c44-9a53-1f0c2ab4d5e6"
HoldPath = Annotated[str, Path(pattern=ID, description="the id of a hold", examples=[HOLD_ID])]
KindName = Literal["message", "dossier", "party", "procedure"]


class Placing(BaseModel):
    """What to hold and why; the reason stands beside the hold, and its digest in the ledger."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: KindName
    value: Annotated[Text, Field(description="id, PROCEDURE/REFERENCE/YEAR, or code", examples=[MESSAGE_ID])]
    reason: str = Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$", examples=["Vụ án 12/2026, công văn 345/CV"])


class HoldView(View):
    """One hold."""

    id: str = Field(examples=[HOLD_ID])
    kind: KindName
    value: str = Field(examples=["BNN&PTNT0300002/NSW-2026-000123/2026"])
    reason: str
    placed_by: str = Field(examples=["key:duty-officer"])
    placed_at: datetime
    released_by: str | None
    released_at: datetime | None
    release_reason: str | None


class HoldList(View):
    """Holds, the first placed first."""

    items: list[HoldView]


def router(hub: "Hub", gate: Gate) -> APIRouter:
    """Let staff keep what a court, an inspection or an inquiry needs."""
    routes = APIRouter(prefix="/api/v1/holds", tags=["retention"])
    reader, operator = gate.staff("reader", "operator"), gate.staff("operator")

    @routes.get("", responses=refusals(), summary="List holds")
    def listed(
        channel: Annotated[Channel, Depends(reader)],  # noqa: ARG001  # the dependency is the check
        released: Annotated[bool, Query(description="those that were released too")] = False,  # noqa: FBT002  # a parameter of the query
    ) -> HoldList:
        """List the holds in force."""
        return HoldList(items=[hold_view(hold) for hold in hub.holds.listed(released=released)])

    @routes.post("", status_code=201, responses=refusals(404), summary="Place a hold")
    def place(channel: Annotated[Channel, Depends(operator)], what: Placing) -> HoldView:
        """Keep a message, a dossier, or all of a party or procedure, until the hold is released."""
        return hold_view(hub.holds.place(what.kind, what.value, by=label(channel), reason=what.reason))

    @routes.post("/{hold}/release", responses=refusals(404, 409), summary="Release a hold")
    def release(channel: Annotated[Channel, Depends(operator)], hold: HoldPath, why: Reason) -> HoldView:
        """End a hold; what it kept goes by its period again."""
        return hold_view(hub.holds.release(hold, by=label(channel), reason=why.reason))

    return routes


def hold_view(hold: Hold) -> HoldView:
    """Show a hold."""
    return HoldView(**{field.name: getattr(hold, field.name) for field in fields(hold)})
