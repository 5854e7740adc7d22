"""Turns what the framework refuses into problem documents like every other."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from gateway.errors import Code, GatewayError, NotValid, Problem

from .api.filters import FORMS
from .problems import problem_reply
from .replies import as_response

DOORS = "GET, POST"  # what the SOAP door's path takes: the router knows only of the GET


def install(app: FastAPI, *, door: str) -> None:
    """Register the translations; `door` is the SOAP door's path."""

    def by_framework(request: Request, error: Exception) -> Response:
        return _http(request, error, door=door)

    app.add_exception_handler(HTTPException, by_framework)
    app.add_exception_handler(RequestValidationError, _invalid)


def _http(request: Request, error: Exception, *, door: str) -> Response:
    """Answer a path or a method that there is not; OPTIONS asks for just that."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 404:  # noqa: PLR2004  # Not Found
        return as_response(problem_reply(NotValid(Code.NOT_FOUND, Problem(text="web.path"))))
    if status == 405:  # noqa: PLR2004  # Method Not Allowed
        return _method(request, DOORS if request.url.path == door else (error.headers or {}).get("Allow", ""))  # type: ignore[attr-defined]
    return as_response(problem_reply(GatewayError(Code.SCHEMA, _parameter("body"))))


def _method(request: Request, known: str) -> Response:
    methods = {name.strip() for name in known.split(",") if name.strip()}
    allow = ", ".join(sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())))
    if request.method == "OPTIONS":
        return Response(status_code=204, headers={"allow": allow})
    refusal = NotValid(Code.NOT_ALLOWED, Problem(text="web.method", values={"allow": allow}))
    return as_response(problem_reply(refusal, headers={"allow": allow}))


def _invalid(_request: Request, error: Exception) -> Response:
    """Name every parameter that is missing, unknown or not in its form."""
    found: Sequence[Mapping[str, Any]] = error.errors() if isinstance(error, RequestValidationError) else ()
    problems = {(p.text, p.path): p for p in map(_problem, found)}  # one a parameter: a union tells each of its members
    return as_response(problem_reply(GatewayError(Code.SCHEMA, *problems.values())))


def _problem(found: Mapping[str, Any]) -> Problem:
    place = [str(part) for part in found["loc"]]
    name = place[1] if len(place) > 1 and found["type"] != "json_invalid" else place[0]
    if found["type"] == "extra_forbidden":
        return Problem(text="web.parameter-unknown", path=name[:100], values={"name": name[:100]})
    return _parameter(name)


def _parameter(name: str) -> Problem:
    return Problem(text="web.parameter", path=name, values={"name": name, "accepted": FORMS.get(name.lower(), "1..200")})
