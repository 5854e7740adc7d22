"""GET /api/v1/deliveries and dead-letters, one with its history, what was exchanged; POST what staff do to one."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from gateway.errors import Code, NotValid, Problem
from gateway.lifecycle import State
from gateway.model import Channel, DeliveryId
from gateway.outbox.history import ExchangePart
from gateway.outbox.orders import Act, Order
from gateway.store.queries import DeliveryRow
from gateway.store.viewer import STAFF, Viewer

from .filters import DeadFilters, DeliveryFilters, DeliveryPath
from .gate import Gate, label, whose
from .orders import Corrections, JobView, Redirect, Return, job_view
from .responses import refusals
from .views import DeliveryDetail, DeliveryPage, DeliveryView, Reason, delivery_detail, delivery_view

if TYPE_CHECKING:
    from gateway.hub import Hub

ACTS = refusals(404, 409) | {202: {"model": JobView, "description": "proposed: a second person must approve it"}}
CONTENT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {}}, "description": "the bytes as they are kept, credentials masked"}
}
Acted = DeliveryView | JobView
Perform = Callable[[Order], Acted]
AttemptNumber = Annotated[int | None, Query(ge=1, le=1_000_000, description="which attempt; without it the last one")]


def router(hub: "Hub", gate: Gate) -> APIRouter:
    """Show deliveries to readers and operators, what was exchanged to those with the role "content"; only operators act."""
    routes = APIRouter(prefix="/api/v1", tags=["deliveries"])
    reader, content = gate.needs("reader", "operator"), gate.needs("content")

    @routes.get("/deliveries", responses=refusals(), summary="List deliveries")
    def listed(channel: Annotated[Channel, Depends(reader)], filters: Annotated[DeliveryFilters, Query()]) -> DeliveryPage:
        """List deliveries, newest first."""
        return page(filters.model_dump() | whose(channel, filters.party))

    @routes.get("/dead-letters", responses=refusals(), summary="List deliveries set aside for staff")
    def dead(channel: Annotated[Channel, Depends(reader)], filters: Annotated[DeadFilters, Query()]) -> DeliveryPage:
        """List deliveries that were given up, newest first."""
        return page(filters.model_dump() | whose(channel, filters.party) | {"message": None, "state": State.DEAD})

    @routes.get("/deliveries/{delivery}", responses=refusals(404), summary="One delivery with its history")
    def show(channel: Annotated[Channel, Depends(reader)], delivery: DeliveryPath) -> DeliveryDetail:
        """Show a delivery as it stands, its latest attempts, and everything that happened to it; to the sender its state only."""
        row = hub.history.delivery(delivery)
        message = hub.history.message(row.message) if row else None
        viewer = gate.viewer(channel)
        if row is None or message is None or not (shown := viewer.deliveries(message, (row,))):
            raise _absent(delivery)
        attempts = hub.history.attempts(row.id) if viewer.owns(row) else ()
        return delivery_detail(shown[0], attempts, viewer.timeline(message, shown, hub.queries.timeline(row.message)))

    @routes.get("/deliveries/{delivery}/exchange", response_class=Response, responses=refusals(404) | CONTENT, summary="What was exchanged")
    def exchange(
        channel: Annotated[Channel, Depends(content)], delivery: DeliveryPath, part: ExchangePart = "request", attempt: AttemptNumber = None
    ) -> Response:
        """Give the last request that left, or the reply to it, as kept. The ledger is told who looked."""
        owned(hub, gate.viewer(channel), delivery)
        kept = hub.history.exchanged(DeliveryId(delivery), part, by=label(channel), number=attempt)
        disposition = {"content-disposition": f'attachment; filename="{delivery}-{part}"'}
        return Response(kept, media_type="application/octet-stream", headers=disposition)

    def page(asked: dict[str, object]) -> DeliveryPage:
        found = hub.queries.deliveries(**asked)  # type: ignore[arg-type]  # as the filters' own types have it
        return DeliveryPage(items=[delivery_view(row) for row in found.items], next_cursor=found.next_cursor)

    _acts(routes, hub, gate)
    return routes


def _acts(routes: APIRouter, hub: "Hub", gate: Gate) -> None:
    """What operators do to one delivery; those who belong to a party only replay and cancel what is on its way to them."""
    operator, staff = _ordering(hub, gate.needs("operator")), _ordering(hub, gate.staff("operator"))

    @routes.post("/deliveries/{delivery}/replay", responses=ACTS, summary="Send a dead or refused delivery again")
    def replay(perform: Annotated[Perform, Depends(operator)]) -> Acted:
        """Put a delivery that ended badly back to work, with the same message id."""
        return perform(Order(act=Act.REPLAY))

    @routes.post("/deliveries/{delivery}/cancel", responses=ACTS, summary="Cancel a delivery that was not made")
    def cancel(perform: Annotated[Perform, Depends(operator)], why: Reason) -> Acted:
        """Take a delivery out of work for good; the reason is kept with it, and a digest of it in the ledger."""
        return perform(Order(act=Act.CANCEL, reason=why.reason))

    @routes.post("/deliveries/{delivery}/redirect", responses=ACTS, summary="Send the same message to another party")
    def redirect(perform: Annotated[Perform, Depends(staff)], where: Redirect) -> Acted:
        """End this delivery and create its successor, in one commit; a party never gets the same message twice."""
        return perform(where.order())

    @routes.post("/deliveries/{delivery}/return", responses=ACTS, summary="Return the message to its sender")
    def return_(perform: Annotated[Perform, Depends(staff)], why: Return) -> Acted:
        """End this delivery and tell the sender, in a message of the gateway's own, what was not delivered to whom and why."""
        return perform(why.order())

    @routes.post("/deliveries/{delivery}/correct", responses=ACTS, summary="Correct the gateway's own header or route")
    def correct(perform: Annotated[Perform, Depends(staff)], what: Corrections) -> Acted:
        """Change what the gateway itself writes around the message; content and signatures of the sender are never edited."""
        return perform(what.order())


def _ordering(hub: "Hub", caller: Callable[[Request], Channel]) -> Callable[..., Perform]:
    """Make a dependency that gives what carries out an order for the delivery of this request, on the word of this caller."""

    def ordering(channel: Annotated[Channel, Depends(caller)], delivery: DeliveryPath, response: Response) -> Perform:
        def perform(order: Order) -> Acted:
            owned(hub, Viewer(party=channel.party), delivery)
            proposal = hub.mending.once(order, DeliveryId(delivery), by=label(channel))
            if proposal is None:
                return delivery_view(owned(hub, STAFF, delivery))  # whoever cancels what never left is told so, though it is theirs no more
            response.status_code = 202
            return job_view(proposal)

        return perform

    return ordering


def owned(hub: "Hub", viewer: Viewer, delivery: str) -> DeliveryRow:
    """Find a delivery to the viewer's own party, or any for staff; raises NotValid(NOT_FOUND)."""
    row = hub.history.delivery(delivery)
    if row is None or not viewer.owns(row):
        raise _absent(delivery)
    return row


def _absent(delivery: str) -> NotValid:
    return NotValid(Code.NOT_FOUND, Problem(text="web.no-delivery", values={"delivery": delivery}))
