"""/health/live and /health/ready."""

from typing import TYPE_CHECKING

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from gateway.web.api.views import Explained
from gateway.web.problems import describe, json_reply
from gateway.web.replies import as_response

if TYPE_CHECKING:
    from gateway.hub import Hub


class Health(BaseModel):
    """Whether the gateway can work, and in words what keeps it from it."""

    ready: bool
    problems: list[Explained]
    notices: list[Explained] = Field(description="partners that are away or paused; they keep nobody else from work")


def router(hub: "Hub") -> APIRouter:
    """Answer whether the process lives, and whether it can take in and deliver."""
    routes = APIRouter(prefix="/health", tags=["operations"])

    @routes.get("/live", summary="The process runs")
    async def live() -> dict[str, str]:
        """Say that the process runs; async, so that it answers while every thread is busy."""
        return {"status": "live"}

    @routes.get("/ready", response_model=Health, responses={503: {"model": Health, "description": "not ready; `problems` says why"}})
    def ready() -> Response:
        """Say whether the gateway can take in and deliver messages, and what is missing."""
        problems = hub.ready()
        notices = [] if problems else hub.notices()
        explained = {"problems": [describe(problem) for problem in problems], "notices": [describe(notice) for notice in notices]}
        document = {"ready": not problems, **explained}
        return as_response(json_reply(503 if problems else 200, document))

    return routes
