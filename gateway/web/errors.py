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

MAX_NAME = 100  # characters of a member's name, which a caller may have made up
NOT_JSON = Problem(text="web.not-json", path="body")
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
    return as_response(problem_reply(GatewayError(Code.SCHEMA, NOT_JSON)))  # a body in no encoding that JSON may have


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
    if found["type"] == "json_invalid":
        return NOT_JSON
    place = [str(part) for part in found["loc"]]
    name = ".".join(place[1:] or place)[:MAX_NAME]  # the first says where in the request: query, header, body
    if found["type"] == "extra_forbidden":
        return Problem(text="web.parameter-unknown", path=name, values={"name": name})
    member = next((part for part in reversed(place) if not part.isdecimal()), "").lower()  # of a list's entry the list
    accepted = _choices(found) or FORMS.get(member, "1..200")
    return Problem(text="web.parameter", path=name, values={"name": name, "accepted": accepted})


def _choices(found: Mapping[str, Any]) -> str:
    """Write what may be chosen from; empty where it is no choice."""
    expected = str(found.get("ctx", {}).get("expected", ""))  # 'a', 'b' or 'c'
    return expected.replace("', '", " | ").replace("' or '", " | ").strip("'")
