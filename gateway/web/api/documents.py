"""POST /api/v1/documents: the REST door's endpoint."""

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response

from gateway.errors import Code, NotReadable, Problem
from gateway.model import Attachment, Channel, Reply
from gateway.security import beside
from gateway.web.bodies import Bodies, read_head
from gateway.web.crew import Crew
from gateway.web.doors import rest
from gateway.web.doors.arrivals import arrival
from gateway.web.multipart import KINDS, Upload, is_multipart
from gateway.web.replies import as_response
from gateway.web.uploads import take_parcel, turns_of

from .gate import Gate
from .responses import refusals
from .views import ReceiptView

if TYPE_CHECKING:
    from gateway.hub import Hub

PATH = "/api/v1/documents"
MEDIA_TYPES = frozenset({"application/xml", "text/xml"})
EXAMPLE = """<Envelope>
  <Header>
    <Reference><version>1.0</version><messageId>5d5c9f3e-3f0e-4d6a-9c58-0c9b1f2a7e11</messageId></Reference>
    <From><name>NSW</name><identity>NSW</identity><countryCode>VN</countryCode>\
<ministryCode>BTC</ministryCode><organizationCode>TCHQ</organizationCode></From>
    <To><name>BNN</name><identity>BNN</identity><countryCode>VN</countryCode>\
<ministryCode>BNN</ministryCode><organizationCode>BVTV</organizationCode></To>
    <Subject><documentType>BNN&amp;PTNT0300002</documentType><type>10</type><function>01</function>\
<reference>NSW-2026-000123</reference><documentYear>2026</documentYear><sendDate>2026-12-31 08:00:00</sendDate></Subject>
  </Header>
  <Body><Content>...</Content></Body>
</Envelope>"""
_FILES = {"type": "array", "items": {"type": "string", "format": "binary"}}
_FILE = {"type": "string", "format": "binary", "description": "a detached CMS signature of the document, in DER"}
_PARTS = {
    "type": "object",
    "required": ["document"],
    "properties": {"document": {"type": "string"}, "signature": _FILE, "attachment": _FILES},
}
_KINDS = {"document": {"contentType": "application/xml"}, "signature": {"contentType": "application/pkcs7-signature"}}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/xml": {"schema": {"type": "string"}, "example": EXAMPLE},
            "multipart/form-data": {"schema": _PARTS, "encoding": _KINDS},
        },
    }
}
RepeatKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="repeat a request with the same key: it gets the first answer and has one effect",
        examples=["3f7c1f0e-6a67-4b7b-9d0f-6f6c7b0b1f55"],
    ),
]


def router(hub: "Hub", gate: Gate, crew: Crew, bodies: Bodies) -> APIRouter:
    """Take in documents, alone or with attachments; the answer is given when the message is durable."""
    routes = APIRouter(tags=["documents"])
    door = rest.RestDoor(sign=lambda document, profile: hub.sealer.sign(document, profile))  # noqa: PLW0108  # asked when one signs
    sender = gate.needs("sender")
    turns = turns_of(hub.settings.intake_threads)

    @routes.post(
        PATH,
        status_code=202,
        response_model=ReceiptView,
        responses=refusals(404, 408, 409, 413, 415, 422),
        openapi_extra=_BODY,
        summary="Send a document",
    )
    async def post_document(
        request: Request, channel: Annotated[Channel, Depends(sender)], idempotency_key: RepeatKey = None
    ) -> Response:  # async only to hand the story to the doors' own threads
        """Take in one envelope: proved, validated, routed and made durable before it is answered."""
        media_type = _media_type(request)

        def accept(document: bytes, signature: bytes = b"", attachments: tuple[Attachment, ...] = ()) -> Reply:
            body, kind = (beside.write(document, signature), beside.KEPT) if signature else (document, media_type)
            came = arrival(
                hub, request.scope, door=rest.NAME, channel=channel, media_type=kind, body=body, repeat_key=idempotency_key,
                attachments=attachments,
            )  # fmt: skip
            return hub.intake.receive(came, door)

        if not is_multipart(media_type):
            body = await request.body()
            return as_response(await crew.run(lambda: accept(body)))
        with bodies.one(limit=hub.settings.attachment_bytes) as parts:
            head = read_head(request.scope)
            return as_response(
                await take_parcel(parts, head, request.receive, media_type=media_type, begin=begin, crew=crew, accept=accept, turns=turns)
            )

    def begin(name: str, media_type: str) -> Upload:
        return hub.attachments.upload(name=name, media_type=media_type)

    return routes


def _media_type(request: Request) -> str:
    media_type = request.headers.get("content-type", "")
    if media_type.partition(";")[0].strip().lower() not in MEDIA_TYPES | KINDS:
        accepted = "application/xml, multipart/form-data, multipart/related"
        raise NotReadable(Code.NOT_XML, Problem(text="web.media-type", values={"accepted": accepted}))
    return media_type
