"""What can be asked of messages and deliveries: each parameter, its limits and its form."""

from typing import Annotated, Literal

from fastapi import Path
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from gateway.lifecycle import State

from .views import DELIVERY_ID, JOB_ID, MESSAGE_ID

MAX_LIMIT = 200
ID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
PLAIN = r"^[^\x00-\x1f\x7f]+$"  # no control characters: PostgreSQL takes no NUL, and no name has others

# How each parameter is written; told to a caller whose own spelling was refused.
FORMS = {
    "message": MESSAGE_ID,
    "delivery": DELIVERY_ID,
    "since": "2026-12-31T08:00:00+07:00 (+ = %2B)",
    "until": "2026-12-31T08:00:00+07:00 (+ = %2B)",
    "limit": f"1..{MAX_LIMIT}",
    "cursor": "next_cursor",
    "job": JOB_ID,
    "attempt": "1..",
    "act": "replay | cancel | redirect | return | correct",
    "choice": '{"party": "BNN", "cause": "timeout"} | {"ids": ["..."]}',
    "corrections": '{"receiver": "...", "version": "..."}',
    "idempotency-key": "1..255 ASCII",
    "ids": DELIVERY_ID,
    "body": '{"...": ...} (application/json)',
    "reason": "1..500",
    "token": "collect: token",
    "lease_seconds": "1..3600",
    "kind": "message | dossier | party | procedure",
    "hold": MESSAGE_ID,
}


def _as_text(value: object) -> object:
    """Refuse a bare number, which would be taken for seconds since 1970."""
    if isinstance(value, int | float) or (isinstance(value, str) and "-" not in value[1:]):
        raise ValueError("a time is written as in ISO 8601")
    return value


Text = Annotated[str, Field(min_length=1, max_length=200, pattern=PLAIN)]
Moment = Annotated[AwareDatetime, BeforeValidator(_as_text), Field(examples=["2026-12-31T08:00:00+07:00"])]
Cursor = Annotated[str, Field(max_length=100, pattern=r"^[0-9a-f.-]+$", description="next_cursor of the page before")]
Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT, description="rows in one page")]
MessagePath = Annotated[str, Path(pattern=ID, description="the gateway's id of a message", examples=[MESSAGE_ID])]
JobPath = Annotated[str, Path(pattern=ID, description="the gateway's id of a job", examples=[JOB_ID])]
DeliveryPath = Annotated[str, Path(pattern=ID, description="the gateway's id of a delivery", examples=[DELIVERY_ID])]
Part = Literal["document", "body", "answer"]


class Filters(BaseModel):
    """What every list takes; a parameter that is not known is refused, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    party: Annotated[Text | None, Field(description="code of a party; of messages the sender or one it was delivered to")] = None
    cursor: Cursor | None = None
    limit: Limit = 50


class MessageFilters(Filters):
    """How messages are searched; all given conditions hold at once."""

    procedure: Annotated[Text | None, Field(examples=["BNN&PTNT0300002"])] = None
    reference: Annotated[Text | None, Field(description="dossier reference, the present or the earlier one")] = None
    key: Annotated[Text | None, Field(description="a business key: certificate, declaration, bill of lading, container, tax code")] = None
    state: Literal["accepted", "refused"] | None = None
    message_id: Annotated[Text | None, Field(description="the sender's own id")] = None
    since: Annotated[Moment | None, Field(description="received at or after")] = None
    until: Annotated[Moment | None, Field(description="received before")] = None


class DeadFilters(Filters):
    """How dead letters are listed."""


class DeliveryFilters(Filters):
    """How deliveries are listed; all given conditions hold at once."""

    message: Annotated[str | None, Field(pattern=ID)] = None
    state: State | None = None
    route: Text | None = None
    cause: Annotated[Text | None, Field(description="how the cause begins", examples=["timeout"])] = None
    procedure: Annotated[Text | None, Field(examples=["BNN&PTNT0300002"])] = None
    since: Annotated[Moment | None, Field(description="created at or after")] = None
    until: Annotated[Moment | None, Field(description="created before")] = None
