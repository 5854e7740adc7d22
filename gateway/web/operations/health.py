"""/health/live and /health/ready."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from gateway.errors import Problem
from gateway.web.api.gate import Gate
from gateway.web.api.views import Explained
from gateway.web.auth import Access
from gateway.web.problems import describe, json_reply
from gateway.web.replies import as_response

if TYPE_CHECKING:
    from gateway.hub import Hub


class Named(BaseModel):
    """What is wrong, by its code alone."""

    code: str = Field(description="which text this is; never renamed", examples=["store.away"])


class Health(BaseModel):
    """Whether the gateway can work, and what keeps it from it: in words for staff, by codes for everybody else."""

    ready: bool
    problems: list[Explained | Named]
    notices: list[Explained | Named] = Field(description="what keeps nobody from work, such as partners that are away")


def router(hub: "Hub", gate: Gate, access: Access) -> APIRouter:
    """Answer whether the process lives, and whether it can take in and deliver; names, certificates and paths are for staff."""
    routes = APIRouter(prefix="/health", tags=["operations"])

    @routes.get("/live", summary="The process runs")
    async def live() -> dict[str, str]:
        """Say that the process runs; async, so that it answers while every thread is busy."""
        return {"status": "live"}

    @routes.get("/ready", response_model=Health, responses={503: {"model": Health, "description": "not ready; `problems` says why"}})
    def ready(request: Request) -> Response:
        """Say whether the gateway can take in and deliver messages, and what is missing."""
        told = _explained if gate.trusts(request) else _named
        problems = hub.ready()
        document = {
            "ready": not problems,
            "problems": told(problems),
            "notices": told(() if problems else [*access.problems(), *hub.notices()]),
        }
        return as_response(json_reply(503 if problems else 200, document))

    return routes


_Told = list[dict[str, object]]


def _explained(problems: Iterable[Problem]) -> _Told:
    return [describe(problem) for problem in problems]


def _named(problems: Iterable[Problem]) -> _Told:
    """Name each kind of problem once: how many there are is nobody's business either."""
    return [{"code": code} for code in dict.fromkeys(problem.text for problem in problems)]
