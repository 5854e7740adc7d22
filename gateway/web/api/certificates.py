"""/api/v1/certificates: what is registered, a party's next certificate, and requests that wait for a person."""

import binascii
from base64 import b64decode
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from gateway.errors import Code, NotValid, Problem
from gateway.model import Channel, PartyCode
from gateway.security.certificates import Certificate
from gateway.security.enrolment import Asked

from .filters import ID, Text
from .gate import Gate, label, party_of, told_by
from .responses import refusals
from .views import SHA256, Reason, View

if TYPE_CHECKING:
    from gateway.hub import Hub

REQUEST_ID = "0198f3c2-6b1e-7c44-9a53-1f0c2ab4d5e6"
MAX_PEM = 40_000  # characters; a certificate with four issuers has 10,000
RequestPath = Annotated[str, Path(pattern=ID, description="the id of a request", examples=[REQUEST_ID])]
OfParty = Annotated[Text | None, Query(description="for staff: of which party; a party sees its own")]
Pem = Annotated[
    str, Field(min_length=1, max_length=MAX_PEM, pattern=r"^[\x20-\x7e\r\n\t]+$", examples=["-----BEGIN CERTIFICATE-----\n..."])
]


class Next(BaseModel):
    """A party's next certificate, signed with its present one: the signature is over the very characters of `certificate`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    certificate: Pem
    signature: str = Field(max_length=2000, description="in base64; RSA PKCS#1 or ECDSA with SHA-256, on P-384 SHA-384", examples=["MEUC…"])


class Request(BaseModel):
    """A request for a certificate (PKCS#10, PEM)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    csr: Pem


class Approval(BaseModel):
    """What an authority issued for a request; empty on a development gateway, which issues itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    certificate: Pem | None = None


class CertificateView(View):
    """One registered certificate."""

    party: str = Field(examples=["BNN"])
    subject: str = Field(examples=["CN=Bộ Nông nghiệp và Môi trường,C=VN"])
    not_before: datetime
    not_after: datetime
    sha256: str = Field(examples=[SHA256])


class CertificateList(View):
    """Registered certificates, by party."""

    items: list[CertificateView]


class RequestView(View):
    """One request; `certificate` once it was approved."""

    id: str = Field(examples=[REQUEST_ID])
    party: str = Field(examples=["BNN"])
    csr: str
    sha256: str = Field(description="of the request, in hex: compare it with the party by telephone", examples=[SHA256])
    state: Literal["waiting", "approved", "declined"]
    requested_at: datetime
    requested_by: str
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None
    certificate: str | None


class RequestList(View):
    """Requests, the last first."""

    items: list[RequestView]


def router(hub: "Hub", gate: Gate) -> APIRouter:
    """Let parties renew and ask, and staff decide."""
    routes = APIRouter(prefix="/api/v1/certificates", tags=["certificates"])
    looker, sender, operator = gate.needs("reader", "sender", "operator"), gate.party("sender"), gate.staff("operator")

    @routes.get("", responses=refusals(), summary="List registered certificates")
    def listed(channel: Annotated[Channel, Depends(looker)], party: OfParty = None) -> CertificateList:
        """List the certificates that are registered, a party's own only."""
        wanted = party_of(channel, party)
        held = hub.trust.registry.parties.items()
        return CertificateList(items=[_view(code, c) for code, found in sorted(held) for c in found if wanted in (None, code)])

    @routes.post("/next", status_code=201, responses=refusals(409, 422), summary="Upload the next certificate")
    def renew(channel: Annotated[Channel, Depends(sender)], what: Next, party: OfParty = None) -> CertificateView:
        """Register a party's next certificate at once, beside the present one, with whose key it is signed."""
        owner = _owner(hub, gate, channel, party)
        signature = _decoded(what.signature)
        return _view(owner, hub.certificates.renew(owner, what.certificate.encode(), signature, by=label(channel)))

    @routes.post("/requests", status_code=202, responses=refusals(409, 422), summary="Ask for a certificate")
    def ask(channel: Annotated[Channel, Depends(sender)], what: Request, party: OfParty = None) -> RequestView:
        """Keep a request until a person decides."""
        return _request_view(hub.certificates.ask(_owner(hub, gate, channel, party), what.csr, by=label(channel)), channel)

    @routes.get("/requests", responses=refusals(), summary="List requests")
    def requests(channel: Annotated[Channel, Depends(looker)], party: OfParty = None) -> RequestList:
        """List requests, a party's own only."""
        found = hub.certificates.requests(party=party_of(channel, party) or "")
        return RequestList(items=[_request_view(asked, channel) for asked in found])

    @routes.get("/requests/{request}", responses=refusals(404), summary="Show a request")
    def show(channel: Annotated[Channel, Depends(looker)], request: RequestPath) -> RequestView:
        """Show a request, with its certificate once it was approved."""
        found = hub.certificates.request(request)
        if channel.party not in (None, found.party):
            raise NotValid(Code.NOT_FOUND, Problem(text="certificates.no-request", values={"request": request}))
        return _request_view(found, channel)

    @routes.post("/requests/{request}/approve", responses=refusals(404, 409, 422), summary="Approve a request")
    def approve(channel: Annotated[Channel, Depends(operator)], request: RequestPath, what: Approval) -> RequestView:
        """Register the certificate that an authority issued for a request."""
        pem = what.certificate.encode() if what.certificate else None
        return _request_view(hub.certificates.approve(request, pem, by=label(channel)), channel)

    @routes.post("/requests/{request}/decline", responses=refusals(404, 409), summary="Decline a request")
    def decline(channel: Annotated[Channel, Depends(operator)], request: RequestPath, why: Reason) -> RequestView:
        """End a request without a certificate."""
        return _request_view(hub.certificates.decline(request, by=label(channel), reason=why.reason), channel)

    return routes


def _owner(hub: "Hub", gate: Gate, channel: Channel, asked: str | None) -> PartyCode:
    """Name the party that a caller is; raises NotProven where it is none, NotValid(NOT_FOUND) where the rules know no such party."""
    named = gate.owner(channel, asked)
    party = hub.rules.current.party(named)
    if party is None:
        raise NotValid(Code.NOT_FOUND, Problem(text="web.no-party", values={"party": named}))
    return party.code


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotValid(Code.SCHEMA, Problem(text="certificates.base64")) from error


def _view(party: str, found: Certificate) -> CertificateView:
    return CertificateView(party=party, subject=found.subject, not_before=found.not_before, not_after=found.not_after, sha256=found.sha256)


def _request_view(asked: Asked, channel: Channel) -> RequestView:
    told = {field.name: getattr(asked, field.name) for field in fields(asked)}
    return RequestView(**told | {"decided_by": asked.decided_by and told_by(channel, asked.decided_by)})
