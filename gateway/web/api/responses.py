"""How the OpenAPI document describes refusals."""

from typing import Any

from .views import ProblemDocument

_WORDS = {
    400: "the request is not as documented",
    401: "no credential, or one that is not known",
    403: "the caller may not do this",
    404: "there is no such thing",
    408: "the body came too slowly",
    409: "the same key with other content, or a state that has moved on",
    410: "its content was purged when its period was over",
    413: "the body is too large",
    415: "the body's media type or encoding is not taken",
    422: "the document was refused and kept; `errors` says where and why",
    503: "not now; try again with the same message",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe these refusals of an endpoint, and those that every endpoint has."""
    listed = sorted({400, 401, 403, 503, *statuses})
    return {status: {"model": ProblemDocument, "description": _WORDS[status]} for status in listed}
