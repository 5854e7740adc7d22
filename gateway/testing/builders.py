"""Values to test with: envelopes, parties, routes and the SOAP bodies of the field's clients; the same input gives the same bytes."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from uuid import UUID, uuid5

from gateway.model import (
    Arrival,
    Channel,
    Document,
    Envelope,
    Header,
    Identity,
    MessageId,
    Party,
    PartyCode,
    Route,
    SealProfile,
    Subject,
    uuid7,
)
from gateway.xml import envelope as envelopes

from .contents import Consignment, Tree, application, certificate, confirmation, fee, registration, write

ZONE = timezone(timedelta(hours=7))
SENT_AT = datetime(2026, 10, 12, 9, 30, tzinfo=ZONE)
RECEIVED_AT = datetime(2026, 10, 12, 2, 30, 1, tzinfo=UTC)
PROCEDURE = "BNN&PTNT0300002"
TWELVE_KB = Consignment(goods=12)  # its application is an envelope of 12 KB before it is signed
IDS = UUID("6f1c1a52-0b3e-5d54-9d52-8a8f3f0c5f10")  # name space of every drawn message id

NSW = Identity(name="NSW", identity="NSW", country="VN", ministry="BTC", organization="TCHQ", unit="NSW")
MINISTRY = Identity(name="Bộ Nông nghiệp và Môi trường", identity="BNN", country="VN", ministry="BNN", organization="BNN")

GATEWAY_NS = "http://com/vnsw/receive/gateway/generated"
SERVICE_NS = "http://com/vnsw/ws/generated"
SOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP12 = "http://www.w3.org/2003/05/soap-envelope"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A message of the procedure: its content, and who sends it to whom."""

    content: Callable[[Tree], Tree]  # of what was registered
    sender: Identity
    receiver: Identity


KINDS: Mapping[str, Kind] = MappingProxyType({
    "10/01": Kind(content=application, sender=NSW, receiver=MINISTRY),
    "13/07": Kind(content=confirmation, sender=MINISTRY, receiver=NSW),
    "18/14": Kind(content=fee, sender=MINISTRY, receiver=NSW),
    "21/18": Kind(content=certificate, sender=MINISTRY, receiver=NSW),
})  # fmt: skip


def message_id(kind: str, consignment: Consignment) -> str:
    """Draw the id under which a message about a consignment goes by default."""
    return str(uuid5(IDS, f"{consignment.file_code} {kind}"))


def header(kind: str, consignment: Consignment | None = None) -> Header:
    """Write the header of a message such as "10/01"; raises KeyError for a kind there is no builder of."""
    about = consignment or Consignment()
    type_, function = kind.split("/")
    subject = Subject(document_type=PROCEDURE, type=type_, function=function, reference=about.file_code, year="2026")
    return Header(
        id=message_id(kind, about),
        sender=KINDS[kind].sender,
        receiver=KINDS[kind].receiver,
        subject=replace(subject, previous=about.file_code),
        sent_at=SENT_AT,
        version="1.0",
    )


def message(kind: str, consignment: Consignment | None = None, *, under: Header | None = None) -> bytes:
    """Write an unsigned envelope such as "10/01", under its own header or another one."""
    about = consignment or Consignment()
    return envelopes.write(under or header(kind, about), write(KINDS[kind].content(registration(about))), zone=ZONE)


def envelope(kind: str = "10/01", consignment: Consignment | None = None, *, payload: bytes | None = None) -> Envelope:
    """Make an accepted message, as an adapter gets it; `payload` replaces the unsigned bytes."""
    about = consignment or Consignment()
    content = message(kind, about) if payload is None else payload
    own = header(kind, about)
    name = f"{own.subject.document_type}{own.subject.type}{own.subject.function}"
    return Envelope(
        id=MessageId(uuid7(RECEIVED_AT, hashlib.sha256(content).digest())),
        header=own,
        sender=PartyCode(own.sender.identity),
        document=Document(type=name, content=content, sha256=hashlib.sha256(content).hexdigest()),
        signers=(),
        received_at=RECEIVED_AT,
    )


def party(code: str = "BNN", *, adapter: str = "agriculture", signature: str = "none", endpoint: str = "") -> Party:
    """Make a correspondent that sends and accepts signatures of one profile, "none" or "xmldsig"."""
    known = {"NSW": NSW, "BNN": MINISTRY}
    plain = Identity(name=code, identity=code, country="VN", ministry=code, organization=code)
    seal = SealProfile(signature=signature)
    return Party(code=PartyCode(code), identity=known.get(code, plain), adapter=adapter, sends=seal, accepts=seal, endpoint=endpoint)


def route(to: Party | None = None, *, endpoint: str = "http://127.0.0.1:9/ws") -> Route:
    """Make a way to a party, the agriculture ministry unless said."""
    destination = to or party(endpoint=endpoint)
    return Route(
        name=f"to-{destination.code.lower()}",
        party=destination,
        transport="http",
        endpoint=destination.endpoint or endpoint,
        timeout=timedelta(seconds=15),
    )


def arrival(body: bytes, *, path: str = "/ws", media_type: str = "text/xml; charset=utf-8", channel: Channel | None = None) -> Arrival:
    """Make raw bytes at the SOAP door, from loopback unless said."""
    return Arrival(
        id=MessageId(uuid7(RECEIVED_AT, hashlib.sha256(body).digest())),
        received_at=RECEIVED_AT,
        channel=channel or Channel(kind="network", name="127.0.0.1"),
        door="soap",
        path=path,
        media_type=media_type,
        body=body,
    )


# --- the field's SOAP clients ----------------------------------------------------------------------------------------

_CALLS: Mapping[str, str] = MappingProxyType({
    # .NET WCF: default namespace, escaped payload
    "wcf": (
        '<s:Envelope xmlns:s="{soap}"><s:Body xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xmlns:xsd="http://www.w3.org/2001/XMLSchema"><receiveRequest xmlns="{namespace}"><officeCode>{office}</officeCode>'
        "<documentType>{document_type}</documentType><requestPayload>{escaped}</requestPayload></receiveRequest></s:Body></s:Envelope>"
    ),
    # .NET, a string built by hand: declaration, white space, CDATA with a declaration of its own
    "dotnet": (
        '<?xml version="1.0" encoding="utf-8"?>\r\n<soapenv:Envelope xmlns:soapenv="{soap}" xmlns:gen="{namespace}">\r\n'
        "  <soapenv:Header/>\r\n  <soapenv:Body>\r\n    <gen:receiveRequest>\r\n      <gen:officeCode>{office}</gen:officeCode>\r\n"
        "      <gen:documentType>{document_type}</gen:documentType>\r\n      <gen:requestPayload><![CDATA[{declared}]]>"
        "</gen:requestPayload>\r\n    </gen:receiveRequest>\r\n  </soapenv:Body>\r\n</soapenv:Envelope>"
    ),
    # Java SAAJ: prefixed, empty header, escaped
    "saaj": (
        '<SOAP-ENV:Envelope xmlns:SOAP-ENV="{soap}"><SOAP-ENV:Header/><SOAP-ENV:Body><gen:receiveRequest xmlns:gen="{namespace}">'
        "<gen:officeCode>{office}</gen:officeCode><gen:documentType>{document_type}</gen:documentType>"
        "<gen:requestPayload>{escaped}</gen:requestPayload></gen:receiveRequest></SOAP-ENV:Body></SOAP-ENV:Envelope>"
    ),
    # Java Spring-WS with JAXB: ns2 prefix, the payload's declaration escaped with it
    "spring-ws": (
        '<SOAP-ENV:Envelope xmlns:SOAP-ENV="{soap}"><SOAP-ENV:Header/><SOAP-ENV:Body><ns2:receiveRequest xmlns:ns2="{namespace}">'
        "<ns2:officeCode>{office}</ns2:officeCode><ns2:documentType>{document_type}</ns2:documentType>"
        "<ns2:requestPayload>{declared_escaped}</ns2:requestPayload></ns2:receiveRequest></SOAP-ENV:Body></SOAP-ENV:Envelope>"
    ),
    # Python zeep: declaration in single quotes, ns0 prefix, escaped
    "zeep": (
        "<?xml version='1.0' encoding='utf-8'?>\n"
        '<soap-env:Envelope xmlns:soap-env="{soap}"><soap-env:Body><ns0:receiveRequest xmlns:ns0="{namespace}">'
        "<ns0:officeCode>{office}</ns0:officeCode><ns0:documentType>{document_type}</ns0:documentType>"
        "<ns0:requestPayload>{escaped}</ns0:requestPayload></ns0:receiveRequest></soap-env:Body></soap-env:Envelope>"
    ),
    # a payload that went through two layers which both escaped it
    "escaped-twice": (
        '<s:Envelope xmlns:s="{soap}"><s:Body><receiveRequest xmlns="{namespace}"><officeCode>{office}</officeCode>'
        "<documentType>{document_type}</documentType><requestPayload>{escaped_twice}</requestPayload></receiveRequest></s:Body></s:Envelope>"
    ),
})  # fmt: skip
CLIENTS = tuple(_CALLS)


def soap(payload: bytes, *, client: str = "wcf", namespace: str = GATEWAY_NS, version: str = "1.1", office: str = "BNN") -> bytes:
    """Wrap a UTF-8 payload in a receiveRequest as one of CLIENTS writes it; raises KeyError for another client."""
    text = payload.decode()
    declared = '<?xml version="1.0" encoding="UTF-8"?>' + text
    return (
        _CALLS[client]
        .format(
            soap={"1.1": SOAP11, "1.2": SOAP12}[version],
            namespace=namespace,
            office=office,
            document_type=_escaped(PROCEDURE),
            escaped=_escaped(text),
            declared=declared.replace("]]>", "]]]]><![CDATA[>"),
            declared_escaped=_escaped(declared),
            escaped_twice=_escaped(_escaped(text)),
        )
        .encode()
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#xD;")
