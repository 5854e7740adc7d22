"""The OpenAPI document: what the framework derives, with refusals in their own media type and the ways to prove who is calling."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from gateway.web.problems import PROBLEM_JSON

TITLE = "National Single Window gateway"
DESCRIPTION = (
    "Tiếp nhận, kiểm tra, định tuyến và chuyển giao tài liệu giữa hải quan, các bộ và đối tác nước ngoài. "
    "Receives, validates, routes and delivers documents between customs, ministries and foreign partners."
)
SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "an API key"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "an API key"},
    "certificate": {"type": "mutualTLS", "description": "a party's registered client certificate"},
}
OPEN_PATHS = ("/health/",)


def describing(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Make the function that derives the document once and completes it."""
    derive = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(derive())
        return app.openapi_schema

    return openapi


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    document["components"]["securitySchemes"] = SCHEMES
    for unused in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(unused, None)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            if not path.startswith(OPEN_PATHS):
                operation["security"] = [{name: []} for name in SCHEMES]
                _move_refusals(operation["responses"])
    return document


def _move_refusals(responses: dict[str, Any]) -> None:
    """Give refusals their media type, for the framework writes every model as JSON; drop the one it adds, which we never send."""
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    for status, answer in responses.items():
        if status >= "400" and "application/json" in answer.get("content", {}):
            answer["content"] = {PROBLEM_JSON: answer["content"]["application/json"]}
