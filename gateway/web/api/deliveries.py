"""GET /api/v1/deliveries and dead-letters; POST replay and cancel."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Query

from gateway.errors import Code, NotValid, Problem
from gateway.lifecycle import State
from gateway.model import Channel, DeliveryId
from gateway.store.queries import DeliveryRow

from .filters import DeadFilters, DeliveryFilters, DeliveryPath
from .gate import Gate, label, party_of
from .responses import refusals
from .views import DeliveryPage, DeliveryView, Reason, delivery_view

if TYPE_CHECKING:
    from gateway.bootstrap import Hub


def router(hub: "Hub", gate: Gate) -> APIRouter:
    """Show deliveries to readers and operators; only operators replay and cancel them."""
    routes = APIRouter(prefix="/api/v1", tags=["deliveries"])
    reader, operator = gate.needs("reader", "operator"), gate.needs("operator")

    @routes.get("/deliveries", responses=refusals(), summary="List deliveries")
    def listed(channel: Annotated[Channel, Depends(reader)], filters: Annotated[DeliveryFilters, Query()]) -> DeliveryPage:
        """List deliveries, newest first."""
        return page(channel, filters, message=filters.message, state=filters.state)

    @routes.get("/dead-letters", responses=refusals(), summary="List deliveries set aside for staff")
    def dead(channel: Annotated[Channel, Depends(reader)], filters: Annotated[DeadFilters, Query()]) -> DeliveryPage:
        """List deliveries that were given up, newest first."""
        return page(channel, filters, message=None, state=State.DEAD)

    @routes.get("/deliveries/{delivery}", responses=refusals(404), summary="One delivery")
    def show(channel: Annotated[Channel, Depends(reader)], delivery: DeliveryPath) -> DeliveryView:
        """Show a delivery as it stands."""
        return delivery_view(_visible(hub, channel, delivery))

    @routes.post("/deliveries/{delivery}/replay", responses=refusals(404, 409), summary="Send a dead or refused delivery again")
    def replay(channel: Annotated[Channel, Depends(operator)], delivery: DeliveryPath) -> DeliveryView:
        """Put a delivery that ended badly back to work, with the same message id."""
        found = _visible(hub, channel, delivery)
        hub.outbox.replay(DeliveryId(found.id), by=label(channel))
        return delivery_view(_visible(hub, channel, delivery))

    @routes.post("/deliveries/{delivery}/cancel", responses=refusals(404, 409), summary="Cancel a delivery that has not ended")
    def cancel(channel: Annotated[Channel, Depends(operator)], delivery: DeliveryPath, why: Reason) -> DeliveryView:
        """Take a waiting delivery out of work for good; the reason goes into the ledger."""
        found = _visible(hub, channel, delivery)
        hub.outbox.cancel(DeliveryId(found.id), by=label(channel), reason=why.reason)
        return delivery_view(_visible(hub, channel, delivery))

    def page(channel: Channel, filters: DeliveryFilters | DeadFilters, *, message: str | None, state: State | None) -> DeliveryPage:
        party = party_of(channel, filters.party)
        found = hub.queries.deliveries(message=message, party=party, state=state, cursor=filters.cursor, limit=filters.limit)
        return DeliveryPage(items=[delivery_view(row) for row in found.items], next_cursor=found.next_cursor)

    return routes


def _visible(hub: "Hub", channel: Channel, delivery: str) -> DeliveryRow:
    """Find a delivery to the caller's own party, or any for staff; raises NotValid(NOT_FOUND)."""
    row = hub.queries.delivery(delivery)
    if row is None or channel.party not in (None, row.party):
        raise NotValid(Code.NOT_FOUND, Problem(text="web.no-delivery", values={"delivery": delivery}))
    return row
