"""How each party stands, as the REST interface, the metrics and the commands tell it."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal

from pydantic import Field

from gateway.model import Channel, Party
from gateway.outbox.circuit import Standing
from gateway.outbox.pauses import paused_until
from gateway.store.queries import Backlog

from .gate import told_by
from .views import View

ANNOUNCED = "maintenance"  # who paused, where nobody did but the party itself


class PartyView(View):
    """One party: whether it can be reached, whether anything is sent to it, and what waits for it."""

    code: str = Field(examples=["BNN"])
    name: str = Field(examples=["Bộ Nông nghiệp và Môi trường"])
    addressed: bool = Field(description="whether there is an address to send to; a party that collects needs none")
    circuit: Literal["closed", "open"] = Field(description="open: it is away, and asked every two seconds whether it is back")
    open_since: datetime | None
    probe_at: datetime | None = Field(description="when it is asked next")
    paused_until: datetime | None = Field(description="until when nothing is sent; it goes on by itself")
    paused_by: str = Field(description=f"who paused it; {ANNOUNCED}: a window that the party announced", examples=[""])
    reason: str = Field(description="why staff paused it", examples=[""])
    waiting: int = Field(description="deliveries that wait")
    under_way: int = Field(description="deliveries under way")
    oldest_due: datetime | None = Field(description="when the first of those that wait is or was due")
    concurrency: int = Field(description="requests under way at once, at most")
    per_minute: int | None = Field(description="requests in any minute, at most")


def party_views(
    parties: Iterable[Party], standings: Iterable[Standing], backlogs: Mapping[str, Backlog], *, now: datetime
) -> list[PartyView]:
    """Show every party that is sent to, or fetches."""
    known = {standing.party: standing for standing in standings}
    reached = [party for party in parties if party.adapter]
    return [_view(party, known.get(party.code, Standing(party=party.code)), backlogs.get(party.code, Backlog()), now) for party in reached]


def told_to(channel: Channel, view: PartyView) -> PartyView:
    """Leave out of what a party is told which of the staff paused it."""
    known = view.paused_by in ("", ANNOUNCED)
    return view if known else view.model_copy(update={"paused_by": told_by(channel, view.paused_by)})


def _view(party: Party, standing: Standing, backlog: Backlog, now: datetime) -> PartyView:
    end = paused_until(party, standing.paused_until, now)
    by_staff = end is not None and end == standing.paused_until
    return PartyView(
        code=party.code,
        name=party.identity.name,
        addressed=bool(party.endpoint or party.collects),
        circuit="open" if standing.probe_at else "closed",
        open_since=standing.open_since,
        probe_at=standing.probe_at,
        paused_until=end,
        paused_by=standing.paused_by if by_staff else ANNOUNCED if end else "",
        reason=standing.reason if by_staff else "",
        waiting=backlog.waiting,
        under_way=backlog.under_way,
        oldest_due=backlog.oldest_due,
        concurrency=party.limits.concurrency,
        per_minute=party.limits.per_minute,
    )
