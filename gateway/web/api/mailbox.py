"""The mailbox of a party that collects: GET /api/v1/mailbox; POST collect, confirm and refuse."""

from base64 import b64encode
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Body, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from gateway.collect import Parcel
from gateway.errors import Code, NotValid, Problem, Unavailable
from gateway.lifecycle import State
from gateway.model import Channel, DeliveryId, PartyCode

from .attachments import attachment_views
from .filters import PLAIN, DeliveryPath, Text
from .gate import Gate
from .responses import refusals
from .views import DELIVERY_ID, MESSAGE_ID, SHA256, AttachmentView, View

if TYPE_CHECKING:
    from gateway.hub import Hub

SHORTEST, LONGEST = timedelta(seconds=1), timedelta(hours=1)  # of a lease: a quick store, a batch that a person looks at
MOST = 100  # deliveries in one answer
TOKEN = r"^[0-9a-f]{24}(\.[0-9]{1,19}\.)?$"  # noqa: S105  # its form, no secret: random, then a number
Asked = Annotated[Text | None, Query(description="whose mailbox; only on a gateway without keys, where nobody says who calls")]


class Order(BaseModel):
    """How much to hand out, and for how long; what is not known is refused, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(default=10, ge=1, le=MOST, description="deliveries at most")
    lease_seconds: int = Field(
        default=300,
        ge=SHORTEST // timedelta(seconds=1),
        le=LONGEST // timedelta(seconds=1),
        description="how long they are yours; what is not confirmed by then goes back to the mailbox",
    )


USUAL = Order()


class Confirmation(BaseModel):
    """That a delivery is safe where it was fetched to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token: str = Field(pattern=TOKEN, description="as it was handed out with", examples=["5f1c9a7e30b24d8899aa01ff.7."])
    reference: str = Field(default="", max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$", description="your own number for it")


class Turned(BaseModel):
    """That a delivery is refused for good."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token: str = Field(pattern=TOKEN, description="as it was handed out with", examples=["5f1c9a7e30b24d8899aa01ff.7."])
    reason: str = Field(min_length=1, max_length=500, pattern=PLAIN, examples=["Sai mã cảng dỡ hàng"])


class ParcelView(View):
    """One delivery, handed out."""

    delivery: str = Field(examples=[DELIVERY_ID])
    message: str = Field(description="the same each time it is handed out: what you have already, confirm only", examples=[MESSAGE_ID])
    token: str = Field(description="confirms or refuses this handing-out", examples=["5f1c9a7e30b24d8899aa01ff.7."])
    until: datetime = Field(description="when the lease ends")
    attempt: int = Field(description="which handing-out this is, from 1", examples=[1])
    media_type: str = Field(examples=["text/xml; charset=utf-8"])
    document: str = Field(description="the message as your adapter writes it, in base64")
    sha256: str = Field(description="digest of the document, in hex", examples=[SHA256])
    attachments: list[AttachmentView] = Field(description="fetch each from /api/v1/messages/MESSAGE/attachments/NUMBER before you confirm")


class ParcelList(View):
    """What was handed out; fewer than asked for where no more waits, or where the answer would grow too large."""

    items: list[ParcelView]


class MailboxView(View):
    """How much there is in a mailbox."""

    party: str = Field(examples=["KB-CATLAI"])
    waiting: int = Field(description="to be collected")
    held: int = Field(description="handed out and not confirmed yet")
    set_aside: int = Field(description="handed out too often without a confirmation; staff look after these")
    oldest: datetime | None = Field(description="when the oldest that is not confirmed came in")


class Ended(View):
    """What became of a delivery."""

    delivery: str = Field(examples=[DELIVERY_ID])
    state: State = Field(examples=["delivered"])


def router(hub: "Hub", gate: Gate) -> APIRouter:
    """Let a party fetch what waits for it, and nobody else."""
    routes = APIRouter(prefix="/api/v1/mailbox", tags=["mailbox"])
    collector, looker = gate.party("collector"), gate.party("collector", "reader")

    @routes.get("", responses=refusals(404), summary="What is in the mailbox")
    def show(channel: Annotated[Channel, Depends(looker)], party: Asked = None) -> MailboxView:
        """Count what waits, what is handed out, and what was set aside."""
        owner = _owner(hub, gate, channel, party)
        found = hub.queries.mailbox(owner)
        return MailboxView(party=owner, waiting=found.waiting, held=found.held, set_aside=found.set_aside, oldest=found.oldest)

    @routes.post("/collect", responses=refusals(404), summary="Collect")
    def collect(
        channel: Annotated[Channel, Depends(collector)], order: Annotated[Order, Body()] = USUAL, party: Asked = None
    ) -> ParcelList:
        """Take what waits, under a lease: nobody else gets it meanwhile; confirm it, or it returns to the mailbox."""
        owner, lease = _owner(hub, gate, channel, party), timedelta(seconds=order.lease_seconds)
        _check_pause(hub, owner)
        parcels = hub.mailboxes.collect(owner, limit=order.limit, lease=lease)
        return ParcelList(items=[_parcel_view(parcel) for parcel in parcels])

    @routes.post("/{delivery}/confirm", responses=refusals(404, 409), summary="Confirm a delivery")
    def confirm(channel: Annotated[Channel, Depends(collector)], delivery: DeliveryPath, end: Confirmation, party: Asked = None) -> Ended:
        """Say that a delivery is safe; saying it again is answered alike."""
        owner = _owner(hub, gate, channel, party)
        return Ended(delivery=delivery, state=hub.mailboxes.confirm(owner, DeliveryId(delivery), end.token, reference=end.reference))

    @routes.post("/{delivery}/refuse", responses=refusals(404, 409), summary="Refuse a delivery")
    def refuse(channel: Annotated[Channel, Depends(collector)], delivery: DeliveryPath, end: Turned, party: Asked = None) -> Ended:
        """Say that a delivery will not be had, and why; saying it again is answered alike."""
        owner = _owner(hub, gate, channel, party)
        return Ended(delivery=delivery, state=hub.mailboxes.refuse(owner, DeliveryId(delivery), end.token, reason=end.reason))

    return routes


def _owner(hub: "Hub", gate: Gate, channel: Channel, asked: str | None) -> PartyCode:
    """Name whose mailbox this is; raises NotProven where the caller is nobody's, NotValid(NOT_FOUND) where the party has none."""
    owner = gate.owner(channel, asked)
    party = hub.rules.current.party(owner)
    if party is None or not party.collects:
        raise NotValid(Code.NOT_FOUND, Problem(text="web.no-mailbox", values={"party": owner}))
    return party.code


def _check_pause(hub: "Hub", owner: PartyCode) -> None:
    """Hand nothing out while staff hold everything back; raises Unavailable. In a window that it announced a party may well fetch."""
    for standing in hub.destinations.standings():
        if standing.party == owner and standing.paused_until and standing.paused_until > hub.clock():
            values = {"party": owner, "until": standing.paused_until.isoformat()}
            raise Unavailable(Code.UNAVAILABLE, Problem(text="outbox.party-paused", values=values))


def _parcel_view(parcel: Parcel) -> ParcelView:
    claim = parcel.claim
    return ParcelView(
        delivery=claim.delivery,
        message=claim.message,
        token=claim.token,
        until=claim.until,
        attempt=claim.attempt,
        media_type=parcel.media_type,
        document=b64encode(parcel.body).decode("ascii"),
        sha256=parcel.sha256,
        attachments=attachment_views(parcel.attachments),
    )
