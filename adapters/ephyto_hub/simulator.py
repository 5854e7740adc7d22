"""A simulated IPPC hub: serves our WSDL, takes certificates that our schemas accept, numbers them, and says they were delivered.

A number is drawn from the envelope's content, so the same envelope sent again keeps its number and has one effect. An envelope
is PendingDelivery for `pending_polls` questions and for `pending_time`, then Delivered; an importing country that fetches and
acknowledges it (AcknowledgeEnvelopeReceipt and its two sisters) decides earlier, and otherwise.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial
from types import MappingProxyType
from typing import cast
from uuid import UUID

from lxml import etree

from gateway.errors import GatewayError, NotReadable
from gateway.protocols.wsdl.codec import Decoded, Message
from gateway.testing.journal import Journal, Mark, SimReply, SimRequest
from gateway.testing.simulator import SimContext, Simulator
from gateway.xml import soap
from gateway.xml.parse import parse

from .adapter import DELIVER, TRACK, codec, specification
from .mapping import RAM, RSM

OK = 200
SERVICE = "/hub/DeliveryService"
PLACEHOLDER = b"http://127.0.0.1/hub/DeliveryService"  # the address in the shipped WSDL
EXCEPTION = "{http://ephyto.ippc.int/}HubWebException"
RECEIPT = "/receipt"  # follows a number in the mark of what an importing country said about it
HEADER = ("From", "To", "CertificateType", "CertificateStatus", "NPPOCertificateNumber")
NOBODY = MappingProxyType({"From": "", "To": "", "CertificateType": 0, "CertificateStatus": 0, "NPPOCertificateNumber": ""})
RECEIPTS = MappingProxyType({  # operation -> tracking word, and where the country's message stands
    "AcknowledgeEnvelopeReceipt": ("Delivered", ""),
    "AdvancedAcknowledgeEnvelopeReceipt": ("DeliveredWithWarnings", "warningMessage"),
    "AcknowledgeFailedEnvelopeReceipt": ("DeliveredNotReadable", "message"),
})  # fmt: skip
AGREEMENTS = (("CertificateType", "TypeCode"), ("CertificateStatus", "StatusCode"), ("NPPOCertificateNumber", "ID"))

Values = Mapping[str, object]


class RefusedError(Exception):
    """What the hub says no to; its text is the HubWebException's message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long an envelope is on its way."""

    pending_polls: int = 0
    pending_time: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the hub knows at one moment: its journal, the time, and its pace."""

    journal: Journal
    now: datetime
    pace: Pace

    def envelope(self, number: str) -> Values:
        """Give an envelope as it was sent; empty where there is none."""
        request = self.journal.request(number)
        return {} if request is None else _sent(codec().decode(request.body))

    def header(self, number: str) -> Values:
        """Say how an envelope stands."""
        sent = self.envelope(number)
        state, message = self._tracking(number) if sent else ("EnvelopeNotExists", "")
        known = {name: sent[name] for name in HEADER} if sent else NOBODY
        return {**known, "hubDeliveryNumber": number, "HUBTrackingInfo": state, "hubDeliveryErrorMessage": message or None}

    def waiting(self) -> list[Values]:
        """Give the headers of the envelopes that no importing country has spoken about."""
        effects = cast("list[str]", self.journal.report()["effects"])
        return [self.header(name) for name in effects if not name.endswith(RECEIPT) and name + RECEIPT not in effects]

    def _tracking(self, number: str) -> tuple[str, str]:
        """Give the tracking word, and the importing country's message."""
        receipt = self.journal.request(number + RECEIPT)
        if receipt is not None:
            said = _call(receipt.body)
            state, place = RECEIPTS[said.operation]
            return state, str(said.values.get(place, ""))
        arrivals = cast("list[Mapping[str, str]]", self.journal.report()["arrivals"])
        polls = sum(line["about"] == number for line in arrivals)
        sent = next(datetime.fromisoformat(line["at"]) for line in arrivals if line["id"] == number)
        pending = polls <= self.pace.pending_polls or self.now - sent < self.pace.pending_time
        return "PendingDelivery" if pending else "Delivered", ""


def hub(pace: Pace | None = None) -> Simulator:
    """Make a hub of a certain pace."""
    return Simulator("ephyto_hub", partial(_handle, pace=pace or Pace()), mark=_mark, path=SERVICE)


# --- a request -----------------------------------------------------------------------------------------------------


def _mark(request: SimRequest) -> Mark:
    """Recognise an envelope by its number and a receipt by the envelope's; a poll is only about one."""
    try:
        call = _call(request.body)
    except (GatewayError, RefusedError):
        return Mark()
    if call.operation == DELIVER:
        return Mark(id=_number(_sent(call)))
    number = str(call.values.get("hubTrackingNumber", ""))
    return Mark(id=number + RECEIPT) if call.operation in RECEIPTS else Mark(about=number if call.operation == TRACK else "")


def _handle(request: SimRequest, context: SimContext, *, pace: Pace) -> SimReply:
    if request.method == "GET":
        return _description(request)
    try:
        call = _call(request.body)
        _check(call, request.body)
        desk = Desk(journal=context.journal, now=context.clock(), pace=pace)
        return _reply(200, codec().answer(call.operation, OPERATIONS[call.operation](call, desk)))
    except (NotReadable, RefusedError) as error:
        return _reply(500, codec().fault(EXCEPTION, {"message": str(error)}, sender=True, text=str(error)))


def _description(request: SimRequest) -> SimReply:
    """Serve the WSDL under the address that was asked, and the schemas beside it."""
    folder, name = specification().parent, request.path.rpartition("/")[2]
    if request.path == SERVICE:
        address = f"http://{request.headers.get('host', '127.0.0.1')}{SERVICE}".encode()
        return SimReply(body=specification().read_bytes().replace(PLACEHOLDER, address), effect=False)
    schemas = {path.name: path for path in folder.glob("*.xsd")}
    return SimReply(body=schemas[name].read_bytes(), effect=False) if name in schemas else SimReply(status=404, effect=False)


def _reply(status: int, message: Message) -> SimReply:
    return SimReply(status=status, body=message.body, headers={"content-type": message.media_type}, effect=status == OK)


# --- the operations ------------------------------------------------------------------------------------------------


def _deliver(call: Decoded, desk: Desk) -> Values:
    del desk
    sent = _sent(call)
    _check_content(sent)
    header = {name: sent[name] for name in HEADER}
    return {"DeliverEnvelopeResult": {**header, "hubDeliveryNumber": _number(sent), "HUBTrackingInfo": "PendingDelivery"}}


def _track(call: Decoded, desk: Desk) -> Values:
    return {"GetEnvelopeTrackingInfoResult": desk.header(str(call.values["hubTrackingNumber"]))}


def _under_delivery(call: Decoded, desk: Desk) -> Values:
    del call
    pending = [header for header in desk.waiting() if header["HUBTrackingInfo"] == "PendingDelivery"]
    return {"GetUnderDeliveryEnvelopeResult": {"EnvelopeHeader": pending}}


def _import_headers(call: Decoded, desk: Desk) -> Values:
    country = call.values.get("countryCode")
    return {"GetImportEnvelopeHeadersResult": {"EnvelopeHeader": [h for h in desk.waiting() if country in {None, h["To"]}]}}


def _pull(call: Decoded, desk: Desk) -> Values:
    number = _known(call, desk)
    return {"PULLSingleImportEnvelopeResult": {**desk.header(number), "Content": desk.envelope(number)["Content"]}}


def _acknowledge(call: Decoded, desk: Desk) -> Values:
    _known(call, desk)
    return {}


OPERATIONS: Mapping[str, Callable[[Decoded, Desk], Values]] = MappingProxyType({
    DELIVER: _deliver,
    TRACK: _track,
    "GetUnderDeliveryEnvelope": _under_delivery,
    "GetImportEnvelopeHeaders": _import_headers,
    "PULLSingleImportEnvelope": _pull,
    **dict.fromkeys(RECEIPTS, _acknowledge),
})  # fmt: skip


# --- what is not accepted ------------------------------------------------------------------------------------------


def _call(body: bytes) -> Decoded:
    """Read a request; raises NotReadable and RefusedError."""
    call = codec().decode(body)
    if not isinstance(call, Decoded) or call.answer:
        raise RefusedError("not a request of this service")
    return call


def _check(call: Decoded, body: bytes) -> None:
    """Hold a request against the schema of our WSDL."""
    _check_schema("hub.xsd", soap.unwrap(body).child, f"{call.operation} is not valid")


def _check_content(sent: Values) -> None:
    """Hold the certificate against its schema, and the envelope's header against the certificate."""
    try:
        certificate = parse(str(sent.get("Content") or "").encode())
    except NotReadable as error:
        raise RefusedError("Content is not XML") from error
    _check_schema("SPSCertificate.xsd", certificate, "Content is not a valid SPSCertificate")
    document = f"{{{RSM}}}SPSExchangedDocument/{{{RAM}}}"
    certified = {name: certificate.findtext(document + tag) for name, tag in AGREEMENTS}
    certified["To"] = certificate.findtext(f"{{{RSM}}}SPSConsignment/{{{RAM}}}ImportSPSCountry/{{{RAM}}}ID")
    other = [name for name, text in certified.items() if text != str(sent[name])]
    if other:
        raise RefusedError(f"the envelope and its certificate differ in {', '.join(other)}")


def _check_schema(name: str, element: etree._Element, sentence: str) -> None:
    try:
        _schema(name).assertValid(element)
    except etree.DocumentInvalid as error:
        raise RefusedError(f"{sentence}: {error}") from error


def _known(call: Decoded, desk: Desk) -> str:
    number = str(call.values["hubTrackingNumber"])
    if not desk.envelope(number):
        raise RefusedError(f"no envelope has the number {number}")
    return number


# --- small parts ---------------------------------------------------------------------------------------------------


def _sent(call: object) -> Values:
    """Take the envelope out of a DeliverEnvelope."""
    found = call.values.get("env") if isinstance(call, Decoded) else None
    return cast("Values", found) if isinstance(found, Mapping) else {}


def _number(sent: Values) -> str:
    """Draw a number from everything an envelope says."""
    return str(UUID(bytes=hashlib.sha256(repr(sorted(sent.items(), key=str)).encode()).digest()[:16]))


@cache
def _schema(name: str) -> etree.XMLSchema:
    return etree.XMLSchema(file=str(specification().parent / name))


SIMULATOR = hub()
