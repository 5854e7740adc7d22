"""What the REST interface answers, as its OpenAPI document describes it."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.errors import Problem
from gateway.lifecycle import State
from gateway.outbox.history import Attempt
from gateway.store.queries import DeliveryRow, MessageRow, Moment
from gateway.web.problems import describe

MESSAGE_ID = "0198f3c2-6b1e-7c44-9a53-1f0c2ab4d5e6"
DELIVERY_ID = "0198f3c2-6b20-7d01-8e77-52b1c9f0a3d4"
JOB_ID = "0198f3c4-02aa-7c19-b0f1-9d3e5a7c1b20"
SHA256 = "9f2b6c1e4a7d8053b1c6e9f7a2d40518c3be67f09a1d2e4b5c6f7081923a4b5c"


class View(BaseModel):
    """What all answers share: they are written, never changed."""

    model_config = ConfigDict(frozen=True)


class Explained(View):
    """One thing that is wrong or worth a warning, in Vietnamese and English."""

    code: str = Field(description="which text this is; never renamed", examples=["schema.missing"])
    path: str | None = Field(description="element path in the document", examples=["/Envelope/Body/Content/Phytosanitary/GoodsList"])
    line: int | None = Field(description="line in the document, from 1", examples=[42])
    message_vi: str = Field(examples=["Thiếu phần tử bắt buộc <Goods>."])
    message_en: str = Field(examples=["The required element <Goods> is missing."])
    fix: str = Field(description="what to do about it, in Vietnamese", examples=["Thêm ít nhất một <Goods>."])
    fix_en: str = Field(description="what to do about it, in English", examples=["Add at least one <Goods>."])


class ProblemDocument(View):
    """A refusal (RFC 9457). `vnsw_code`, `id` and `state` stand only where a document was refused and kept."""

    type: str = Field(examples=["urn:nsw:problem:schema"])
    title: str = Field(examples=["Unprocessable Content"])
    status: int = Field(examples=[422])
    detail: str = Field(description="the first error, in Vietnamese", examples=["Thiếu phần tử bắt buộc <Goods>."])
    code: str = Field(description="why, in the gateway's words; never renamed", examples=["schema"])
    errors: list[Explained]
    vnsw_code: str | None = Field(default=None, description="why, in the field's words", examples=["ERR02_CODE"])
    id: str | None = Field(default=None, description="the gateway's id of the refused message", examples=[MESSAGE_ID])
    state: Literal["refused"] | None = Field(default=None, examples=["refused"])


class AttachmentView(View):
    """What came beside a message."""

    number: int = Field(description="its place, from 1", examples=[1])
    name: str = Field(description="what its sender calls it", examples=["hoá đơn.pdf"])
    media_type: str = Field(description="what its sender says it is; nobody checked", examples=["application/pdf"])
    size: int = Field(description="bytes", examples=[482113])
    sha256: str = Field(description="digest of its content, in hex", examples=[SHA256])


class AttachmentList(View):
    """Everything that came beside a message, in its order."""

    items: list[AttachmentView]


class ReceiptView(View):
    """The promise that a document is durable and will be delivered."""

    id: str = Field(description="the gateway's id of the message", examples=[MESSAGE_ID])
    state: Literal["accepted"] = Field(examples=["accepted"])
    sha256: str = Field(description="digest of the document as received, in hex", examples=[SHA256])
    accepted_at: datetime
    deliveries: list[str] = Field(examples=[[DELIVERY_ID]])
    warnings: list[Explained]
    attachments: list[AttachmentView] | None = Field(default=None, description="only where there are any", examples=[None])


class MessageView(View):
    """One arrival, accepted or refused."""

    id: str = Field(examples=[MESSAGE_ID])
    state: Literal["accepted", "refused"]
    received_at: datetime
    door: str = Field(examples=["vnsw"])
    channel: str = Field(description="what the connection proved: kind:name", examples=["key:portal"])
    sender: str | None = Field(examples=["NSW"])
    receiver: str | None = Field(examples=["BNN"])
    procedure: str | None = Field(examples=["BNN&PTNT0300002"])
    type: str | None = Field(examples=["10"])
    function: str | None = Field(examples=["01"])
    reference: str | None = Field(examples=["NSW-2026-000123"])
    year: str | None = Field(examples=["2026"])
    previous: str | None = Field(description="the dossier's earlier reference, where the message gives one")
    message_id: str | None = Field(description="the sender's own id", examples=["5d5c9f3e-3f0e-4d6a-9c58-0c9b1f2a7e11"])
    sha256: str = Field(examples=[SHA256])
    schema_name: str | None = Field(examples=["BNN&PTNT03000021001"])
    proof: str | None = Field(description="what proves the header: signature or the channel's kind", examples=["signature"])
    signers: list[Mapping[str, Any]] = Field(description="who signed: role, subject, tax code, certificate digest")
    schema_pack: str | None = Field(description="version of the schemas that judged it")
    rule_set: str | None = Field(description="version of the rules that judged it")
    procedure_version: str | None = Field(description="version of the procedure that judged it")
    code: str | None = Field(description="why it was refused", examples=[None])
    cause: list[Explained]
    warnings: list[Explained]


class DeliveryView(View):
    """One delivery as it stands."""

    id: str = Field(examples=[DELIVERY_ID])
    message: str = Field(examples=[MESSAGE_ID])
    party: str = Field(examples=["BNN"])
    route: str = Field(examples=["ministry"])
    state: State = Field(examples=["delivered"])
    attempt: int = Field(description="attempts so far", examples=[1])
    due_at: datetime | None = Field(description="when it is tried or asked about again; null when it ended or is under way")
    reference: str = Field(description="the partner's own number for it", examples=[""])
    cause: str = Field(description="why it ended or waits", examples=[""])
    created_at: datetime
    updated_at: datetime
    perhaps_taken: bool | None = Field(
        description="whether the party may have it though it is not delivered: it left, and no clear answer came; "
        "null for the sender, where it goes to another party",
        examples=[False],
    )


class AttemptView(View):
    """One attempt to deliver; what was sent and answered is kept apart, for those who may see it."""

    number: int | None = Field(description="null where nothing left, such as for want of an address", examples=[1])
    sent_at: datetime | None
    ended_at: datetime | None = Field(description="null where the process ended on the way")
    outcome: str | None = Field(examples=["failed"])
    code: str | None = Field(description="why, as in the delivery's cause", examples=["timeout"])
    status: int | None = Field(description="the partner's HTTP status", examples=[503])
    request_digest: str | None = Field(description="keyed digest of what was sent: equal ones were equal")


class MomentView(View):
    """One event of a message's timeline."""

    at: datetime
    kind: str = Field(examples=["message.accepted"])
    delivery: str | None = Field(examples=[None])
    values: Mapping[str, Any] = Field(description="ids, codes and digests")


class DeliveryDetail(DeliveryView):
    """One delivery with its attempts, the latest 50, and everything that happened to it."""

    attempts: list[AttemptView]
    timeline: list[MomentView]


class MessageDetail(MessageView):
    """One arrival with its timeline and its deliveries."""

    purged_at: datetime | None = Field(
        description="when its content went, by its retention period; what is shown here stays", examples=[None]
    )
    timeline: list[MomentView]
    deliveries: list[DeliveryView]


class MessagePage(View):
    """A page of messages, newest first."""

    items: list[MessageView]
    next_cursor: str | None = Field(description="give it as `cursor` to get the page after this one; null at the end")


class DeliveryPage(View):
    """A page of deliveries, newest first."""

    items: list[DeliveryView]
    next_cursor: str | None = Field(description="give it as `cursor` to get the page after this one; null at the end")


class Reason(View):
    """Why staff do something; it goes into the ledger."""

    reason: str = Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$", examples=["Hồ sơ đã được xử lý bằng giấy"])


def message_view(row: MessageRow) -> MessageView:
    """Show a message."""
    return MessageView(**_message_fields(row))


def message_detail(row: MessageRow, timeline: tuple[Moment, ...], deliveries: tuple[DeliveryRow, ...]) -> MessageDetail:
    """Show a message with all that happened to it."""
    moments = [MomentView(at=m.at, kind=m.kind, delivery=m.delivery, values=m.values) for m in timeline]
    views = [delivery_view(d) for d in deliveries]
    return MessageDetail(**_message_fields(row), purged_at=purged_at(timeline), timeline=moments, deliveries=views)


def purged_at(timeline: Iterable[Moment]) -> datetime | None:
    """Say when a message's content was purged; None where it was not."""
    return next((moment.at for moment in timeline if moment.kind == "message.purged"), None)


def delivery_view(row: DeliveryRow) -> DeliveryView:
    """Show a delivery."""
    return DeliveryView(**{name: getattr(row, name) for name in DeliveryView.model_fields})


def delivery_detail(row: DeliveryRow, attempts: Iterable[Attempt], timeline: Iterable[Moment]) -> DeliveryDetail:
    """Show a delivery with its history; `timeline` is its message's."""
    return DeliveryDetail(
        **delivery_view(row).model_dump(),
        attempts=[AttemptView(**{name: getattr(each, name) for name in AttemptView.model_fields}) for each in attempts],
        timeline=[MomentView(at=m.at, kind=m.kind, delivery=m.delivery, values=m.values) for m in timeline if m.delivery == row.id],
    )


def _message_fields(row: MessageRow) -> dict[str, Any]:
    same = {name: getattr(row, name) for name in MessageView.model_fields if name != "schema_name"}
    explained = {name: [_explained(item) for item in same[name]] for name in ("cause", "warnings")}
    return same | explained | {"schema_name": row.schema, "signers": list(row.signers)}


def _explained(stored: Mapping[str, Any]) -> Explained:
    """Explain a stored cause; the document's own values are not stored, so they read as an ellipsis."""
    problem = Problem(text=stored["text"], path=stored.get("path"), line=stored.get("line"), values=stored.get("values", {}))
    return Explained.model_validate(describe(problem))
