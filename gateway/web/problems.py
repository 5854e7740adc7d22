"""A refusal over HTTP: its status, and its application/problem+json document (RFC 9457)."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType

from gateway.errors import Code, GatewayError, Problem, explain, remedy
from gateway.model import Reply

PROBLEM_JSON = "application/problem+json"

STATUS: Mapping[Code, int] = MappingProxyType({
    Code.NOT_SOAP: 400,
    Code.NOT_XML: 400,
    Code.SCHEMA: 422,
    Code.PROCEDURE_UNKNOWN: 422,
    Code.PROCEDURE_UNREADABLE: 422,
    Code.MESSAGE_UNKNOWN: 422,
    Code.CONTENT_EMPTY: 422,
    Code.SIGNATURE: 422,
    Code.PARTY: 403,
    Code.CONFLICT: 409,
    Code.LIMIT: 422,
    Code.NO_ROUTE: 422,
    Code.NOT_FOUND: 404,
    Code.NOT_ALLOWED: 403,
    Code.RULES: 503,
    Code.UNAVAILABLE: 503,
})  # fmt: skip

# What goes wrong with the request itself, before any message is read.
STATUS_OF_TEXT: Mapping[str, int] = MappingProxyType({
    "web.body-encoded": 415,
    "web.body-too-large": 413,
    "web.body-too-slow": 408,
    "web.certificate-ended": 403,
    "web.certificate-revoked": 403,
    "web.certificate-status": 403,
    "web.certificate-withdrawn": 403,
    "web.content-length": 400,
    "web.credential-missing": 401,
    "web.credential-unknown": 401,
    "mending.correction": 400,
    "mending.long-reason": 400,
    "mending.many-ids": 400,
    "mending.no-choice": 400,
    "mending.no-correction": 400,
    "mending.no-party": 400,
    "mending.duplicate-one": 400,
    "mending.no-duplicate": 400,
    "mending.no-reason": 400,
    "mending.no-way-back": 409,
    "mending.other-party": 400,
    "mending.receiver": 400,
    "mending.unknown-party": 400,
    "mending.unknown-route": 400,
    "outbox.pause-past": 400,
    "store.cursor": 400,
    "web.head-too-large": 431,
    "web.header-twice": 400,
    "web.http": 400,
    "web.keys-busy": 503,
    "web.media-type": 415,
    "web.method": 405,
    "web.multipart": 400,
    "web.multipart-boundary": 400,
    "web.multipart-documents": 400,
    "web.multipart-encoding": 400,
    "web.multipart-name": 400,
    "web.multipart-no-document": 400,
    "web.multipart-parts": 400,
    "web.multipart-signature": 400,
    "web.multipart-truncated": 400,
    "web.not-json": 400,
    "web.parameter": 400,
    "web.parameter-twice": 400,
    "web.parameter-unknown": 400,
    "web.parameter-unused": 400,
    "web.purged": 410,
    "web.bug": 500,
})  # fmt: skip

# Headers that HTTP asks for beside a status.
HEADERS: Mapping[int, Mapping[str, str]] = MappingProxyType({
    401: {"www-authenticate": 'Bearer realm="nsw"'},
    408: {"connection": "close"},
    503: {"retry-after": "30"},
})  # fmt: skip


def status_of(code: Code, problems: Sequence[Problem]) -> int:
    """Choose the HTTP status of a refusal: by its first problem where that one is about the request, else by its code."""
    return STATUS_OF_TEXT.get(problems[0].text, STATUS[code]) if problems else STATUS[code]


def problem_document(code: Code, problems: Sequence[Problem], *, status: int) -> dict[str, object]:
    """Write the members every problem has; `title` and `detail` are the first problem, in English and in Vietnamese."""
    return {
        "type": f"urn:nsw:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": explain(problems[0], "vi") if problems else "",
        "code": code.value,
        "errors": [describe(problem) for problem in problems],
    }


def describe(problem: Problem) -> dict[str, object]:
    """Tell one problem in both languages: which text, where, what it says, what to do."""
    return {
        "code": problem.text,
        "path": problem.path,
        "line": problem.line,
        "message_vi": explain(problem, "vi"),
        "message_en": explain(problem, "en"),
        "fix": remedy(problem, "vi"),
        "fix_en": remedy(problem, "en"),
    }


def problem_reply(error: GatewayError, *, headers: Mapping[str, str] | None = None) -> Reply:
    """Answer a refused request."""
    status = status_of(error.code, error.problems)
    return json_reply(status, problem_document(error.code, error.problems, status=status), media_type=PROBLEM_JSON, headers=headers)


def json_reply(
    status: int, document: Mapping[str, object], *, media_type: str = "application/json", headers: Mapping[str, str] | None = None
) -> Reply:
    """Write a JSON answer with the headers its status asks for."""
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return Reply(status=status, body=body, headers={"content-type": media_type, **HEADERS.get(status, {}), **(headers or {})})
