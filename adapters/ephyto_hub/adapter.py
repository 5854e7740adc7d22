"""The adapter of the IPPC ePhyto hub: DeliverEnvelope out, GetEnvelopeTrackingInfo until the importing country has it."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from gateway.errors import NotReadable
from gateway.lifecycle import Failed, Outcome, Rejected
from gateway.model import Envelope, Reply, Request, Route
from gateway.ports import Profile
from gateway.protocols.wsdl.codec import Codec, Fault
from gateway.xml.envelope import business, content
from gateway.xml.parse import parse
from gateway.xml.shipped import shipped

from . import mapping

DELIVER, TRACK = "DeliverEnvelope", "GetEnvelopeTrackingInfo"
HTTP_ERROR = 400  # and above


class EphytoHub:
    """Implements ports.Adapter and ports.Pollable."""

    profile = Profile(name="ephyto_hub", protocol="wsdl", specification="IPPC ePhyto hub DeliveryService; UN/CEFACT SPSCertificate 17")

    def encode(self, envelope: Envelope, route: Route) -> Request:
        """Write a certificate as the hub's envelope; raises NotValid where the hub could not use it."""
        sender = envelope.header.sender
        issuer = route.party.dialect.get("issuer") or sender.name
        holder = content(parse(envelope.document.content))
        element = None if holder is None else business(holder)
        certificate = mapping.read(element, exporter=sender.country, issuer=issuer)
        return _request(DELIVER, {"env": mapping.envelope(certificate)}, route)

    def poll(self, reference: str, route: Route) -> Request:
        """Ask what became of the envelope with the hub's number."""
        return _request(TRACK, {"hubTrackingNumber": reference}, route)

    def decode(self, reply: Reply) -> Outcome:
        """Read the hub's answer to either."""
        try:
            answer = codec().decode(reply.body)
        except NotReadable as error:
            code = f"http-{reply.status}" if reply.status >= HTTP_ERROR else "reply-unreadable"
            return Failed(code=code, detail=error.problems[0].text)
        if isinstance(answer, Fault):
            return _refused(answer)
        header = answer.values.get(f"{answer.operation}Result")
        if not answer.answer or not isinstance(header, Mapping):
            return Failed(code="reply-unreadable", detail=answer.operation)
        return mapping.outcome(header, poll=answer.operation == TRACK)


ADAPTER = EphytoHub()


def specification() -> Path:
    """Find the hub's WSDL; the schemas lie beside it."""
    return shipped("xsd") / "ippc" / "17" / "hub.wsdl"


@cache
def codec() -> Codec:
    """Give the hub's codec; its WSDL is read at the first message."""
    return Codec(specification())


def _request(operation: str, values: Mapping[str, object], route: Route) -> Request:
    message = codec().encode(operation, values)
    return Request(endpoint=route.endpoint, action=message.action, body=message.body, headers={"content-type": message.media_type})


def _refused(fault: Fault) -> Outcome:
    """Take SOAP 1.1 at its word: a Client fault must not be sent again as it is, any other may work later."""
    reason = str(fault.values.get("message") or fault.text)
    return Rejected(reason=reason) if fault.sender else Failed(code="hub-fault", detail=reason)
