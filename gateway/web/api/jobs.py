"""POST and GET /api/v1/jobs: orders for many deliveries, their progress, and a second person's approval."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from gateway.model import Channel
from gateway.outbox.mending import NEWEST
from gateway.outbox.orders import JobState

from .documents import RepeatKey
from .filters import ID, JobPath, Limit
from .gate import Gate, label
from .orders import Body, Counted, JobPage, JobView, OrderBody, job_view
from .responses import refusals

if TYPE_CHECKING:
    from gateway.hub import Hub


class JobFilters(Body):
    """How jobs are listed."""

    state: JobState | None = None
    cursor: Annotated[str | None, Field(pattern=ID, description="next_cursor of the page before")] = None
    limit: Limit = 50


def router(hub: "Hub", gate: Gate) -> APIRouter:
    """Let operators order, and watch, pause, resume, end and approve jobs; readers watch. Staff only: jobs cross parties."""
    routes = APIRouter(prefix="/api/v1/jobs", tags=["jobs"])
    reader, operator = gate.staff("reader", "operator"), gate.staff("operator")

    @routes.post("", status_code=201, responses=refusals(404, 409), summary="Order an act for many deliveries")
    def order(channel: Annotated[Channel, Depends(operator)], body: OrderBody, idempotency_key: RepeatKey = None) -> JobView:
        """Begin a job, or propose it where a second person must approve. It runs in batches beside the flow and survives restarts."""
        return job_view(hub.mending.order(body.order(), body.choice.choice(), by=label(channel), repeat_key=idempotency_key))

    @routes.post("/count", responses=refusals(404), summary="Count what an order would be for")
    def count(_: Annotated[Channel, Depends(operator)], body: OrderBody) -> Counted:
        """Check an order and say how many deliveries it would be for; changes nothing."""
        return Counted(total=hub.mending.count(body.choice.choice(), body.order()))

    @routes.get("", responses=refusals(), summary="List jobs")
    def listed(_: Annotated[Channel, Depends(reader)], filters: Annotated[JobFilters, Query()]) -> JobPage:
        """List jobs, newest first."""
        page = hub.mending.jobs(state=filters.state, before=filters.cursor or NEWEST, limit=filters.limit)
        return JobPage(items=[job_view(job) for job in page.items], next_cursor=page.next_cursor)

    @routes.get("/{job}", responses=refusals(404), summary="One job and its progress")
    def show(_: Annotated[Channel, Depends(reader)], job: JobPath) -> JobView:
        """Show how far a job came, and why it passed deliveries over."""
        return job_view(hub.mending.job(job))

    @routes.post("/{job}/approve", responses=refusals(404, 409), summary="Approve another person's proposal")
    def approve(channel: Annotated[Channel, Depends(operator)], job: JobPath) -> JobView:
        """Let a proposal run; whoever proposed it may not."""
        return job_view(hub.mending.approve(job, by=label(channel)))

    @routes.post("/{job}/pause", responses=refusals(404, 409), summary="Pause a job")
    def pause(channel: Annotated[Channel, Depends(operator)], job: JobPath) -> JobView:
        """Let a job rest; the batch under way is done or undone as a whole."""
        return job_view(hub.mending.pause(job, by=label(channel)))

    @routes.post("/{job}/resume", responses=refusals(404, 409), summary="Resume a paused job")
    def resume(channel: Annotated[Channel, Depends(operator)], job: JobPath) -> JobView:
        """Let a paused job go on where it was."""
        return job_view(hub.mending.resume(job, by=label(channel)))

    @routes.post("/{job}/cancel", responses=refusals(404, 409), summary="End a job")
    def cancel(channel: Annotated[Channel, Depends(operator)], job: JobPath) -> JobView:
        """End a job or a proposal; what it did stays done."""
        return job_view(hub.mending.stop(job, by=label(channel)))

    return routes
