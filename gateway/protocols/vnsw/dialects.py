"""The dialects in which VNSW parties wrap an envelope: which element asks, which answers, where the payload stands.

A dialect is data. All of them carry the whole envelope as text in one element; they differ in names only. What is not
public about a dialect is marked so in docs/protocol/VNSW.md and can be overridden in a party's data.
"""

from dataclasses import dataclass, replace
from typing import Literal

from gateway.model import Party

RECEIVE_NS = "http://com/vnsw/receive/gateway/generated"
SEND_NS = "http://com/vnsw/send/gateway/generated"
SERVICE_NS = "http://com/vnsw/ws/generated"
MARD_NS = "http://mard.gov.vn/nsw/services"
MARD_DATA_NS = "http://mard.gov.vn/nsw/data/contract"
SCIENCE_NS = "http://ws.viettel.com/"
ANY_NS = "*"  # a dialect whose namespace is not public: matched by local name and answered in the caller's namespace


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """How a dialect names what stands in the Content of a synchronous reply."""

    received: str = "ReceiveDate"
    errors: str = "ErrorList"
    error: str = "Error"
    code: str = "ErrorCode"
    name: str = "ErrorName"


PLAIN = Answers()
TRANSPORT = Answers(received="ngaythongbao", errors="DS_Loi", error="Thongtin_Loi", code="ma_loi", name="ten_loi")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One way of wrapping: `request` and `response` are the Body children, in `namespace`.

    `office` and `document_type` are empty where the dialect has no such hint. Where `holder` is set, the fields stand one
    element deeper, in `holder` of `namespace` itself, and are in `fields_namespace`; likewise `result_holder` for the answer.
    """

    name: str
    namespace: str
    request: str = "receiveRequest"
    response: str = "receiveResponse"
    payload: str = "requestPayload"
    result: str = "responsePayload"
    office: str = ""
    office_of: Literal["sender", "receiver"] = "receiver"  # whose code `office` names
    document_type: str = ""
    holder: str = ""
    result_holder: str = ""
    fields_namespace: str | None = None  # None: the dialect's own namespace; "": none (unqualified)
    action: str = ""
    answers: Answers = PLAIN

    @property
    def fields(self) -> str:
        """The namespace of payload, hints and result."""
        return self.namespace if self.fields_namespace is None else self.fields_namespace


GATEWAY = Dialect(name="gateway", namespace=RECEIVE_NS, office="officeCode", office_of="sender", document_type="documentType")
GATEWAY_SEND = replace(GATEWAY, name="gateway-send", namespace=SEND_NS, office_of="receiver")
SERVICE = Dialect(name="service", namespace=SERVICE_NS)
SEND_TO_MINISTRY = replace(SERVICE, name="send-to-ministry", request="sendToMinistryRequest", response="sendToMinistryResponse")
TRANSPORT_MINISTRY = replace(
    GATEWAY_SEND, name="transport-ministry", namespace=ANY_NS, request="NSWRequest", response="NSWResponse", answers=TRANSPORT
)
MARD = replace(
    GATEWAY_SEND,
    name="mard",
    namespace=MARD_NS,
    fields_namespace=MARD_DATA_NS,
    request="receive",
    response="receiveResponse",
    holder="receiveRequest",
    result_holder="receiveResult",
    action="http://mard.gov.vn/nsw/services/IMardGateway/receive",
)
SCIENCE_MINISTRY = Dialect(
    name="science-ministry",
    namespace=SCIENCE_NS,
    fields_namespace="",
    request="ImportDocument",
    response="ImportDocumentResponse",
    payload="data",
    result="return",
)
DIALECTS = (GATEWAY, GATEWAY_SEND, SERVICE, SEND_TO_MINISTRY, TRANSPORT_MINISTRY, MARD, SCIENCE_MINISTRY)


def for_party(dialect: Dialect, party: Party) -> Dialect:
    """Give an adapter's dialect as one party wants it: what its data may change is listed here."""
    wanted = party.dialect
    return replace(
        dialect,
        namespace=wanted.get("namespace", dialect.namespace),
        fields_namespace=wanted.get("fields_namespace", dialect.fields_namespace),
        request=wanted.get("request", dialect.request),
        payload=wanted.get("payload", dialect.payload),
        holder=wanted.get("holder", dialect.holder),
        action=wanted.get("action", dialect.action),
    )
