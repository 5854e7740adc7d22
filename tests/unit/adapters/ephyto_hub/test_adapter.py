import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ephyto_hub.adapter import ADAPTER, DELIVER, TRACK, codec
from gateway.errors import Code, NotValid
from gateway.lifecycle import Accepted, Delivered, Failed, Outcome, Rejected
from gateway.model import Document, Envelope, Reply
from gateway.ports import Pollable
from gateway.protocols.wsdl.codec import Decoded
from gateway.testing import builders
from gateway.xml.envelope import read_header
from gateway.xml.parse import parse

GOLDEN = Path(__file__).parents[1] / "golden" / "ephyto_hub"
IPPC = builders.party("IPPC", adapter="ephyto_hub", endpoint="https://hub.example/DeliveryService")
ROUTE = builders.route(replace(IPPC, dialect={"issuer": "Plant Protection Department of Viet Nam"}))
HEADER = {"From": "VN", "To": "NL", "CertificateType": 851, "CertificateStatus": 70, "NPPOCertificateNumber": "26-0123/KDTV-V2"}
EXCEPTION = "{http://ephyto.ippc.int/}HubWebException"


def golden(part: str) -> bytes:
    return (GOLDEN / f"{part}.xml").read_bytes().removesuffix(b"\n")


def accepted(payload: bytes) -> Envelope:
    header = read_header(parse(payload), zone=builders.ZONE)
    document = Document(type="BNN&PTNT03000022118", content=payload, sha256=sha256(payload).hexdigest())
    return replace(builders.envelope("21/18", payload=payload), header=header, document=document)


def decoded(operation: str, header: Mapping[str, object]) -> Outcome:
    reply = codec().answer(operation, {f"{operation}Result": {**HEADER, **header}})
    return ADAPTER.decode(Reply(status=200, body=reply.body))


# --- what leaves ---------------------------------------------------------------------------------------------------


def test_a_certificate_becomes_the_golden_request() -> None:
    request = ADAPTER.encode(accepted(golden("message")), ROUTE)

    assert request.body == golden("request")
    assert request.action == "http://ephyto.ippc.int/IDeliveryService/DeliverEnvelope"
    assert request.endpoint == "https://hub.example/DeliveryService"
    assert request.headers == {"content-type": "text/xml; charset=utf-8"}


def test_a_request_is_made_twice_the_same() -> None:
    envelope = accepted(golden("message"))

    assert ADAPTER.encode(envelope, ROUTE) == ADAPTER.encode(envelope, ROUTE)


def test_the_sender_issues_where_the_party_names_nobody() -> None:
    request = ADAPTER.encode(accepted(golden("message")), builders.route(IPPC))

    call = codec().decode(request.body)

    assert isinstance(call, Decoded)
    assert "Bộ Nông nghiệp" in str(call.values["env"])


def test_another_message_is_refused() -> None:
    with pytest.raises(NotValid) as refusal:
        ADAPTER.encode(builders.envelope("13/07"), ROUTE)

    assert refusal.value.code is Code.MESSAGE_UNKNOWN


def test_a_poll_names_the_hubs_number() -> None:
    request = ADAPTER.poll("4711", ROUTE)

    assert isinstance(ADAPTER, Pollable)
    assert codec().decode(request.body) == Decoded(operation=TRACK, answer=False, values={"hubTrackingNumber": "4711"})
    assert request.action == "http://ephyto.ippc.int/IDeliveryService/GetEnvelopeTrackingInfo"


# --- what comes back -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "status", "outcome"),
    [
        ("reply-accepted", 200, Accepted(reference="9538ce48-04d8-4cfd-b951-eb356448daf4", ask_again_in=timedelta(seconds=2))),
        ("reply-pending", 200, Accepted(reference="9538ce48-04d8-4cfd-b951-eb356448daf4", ask_again_in=timedelta(seconds=10))),
        ("reply-delivered", 200, Delivered(reference="9538ce48-04d8-4cfd-b951-eb356448daf4")),
        ("reply-not-readable", 200, Rejected(reason="DeliveredNotReadable: unknown unit code")),
        ("reply-refused", 500, Rejected(reason="the country does not take certificates of type 657")),
        ("reply-fault", 500, Failed(code="hub-fault", detail="Fault occurred while processing.")),
    ],
)
def test_golden_replies_mean_what_they_say(part: str, status: int, outcome: Outcome) -> None:
    assert ADAPTER.decode(Reply(status=status, body=golden(part))) == outcome


@pytest.mark.parametrize("operation", [DELIVER, TRACK])
@pytest.mark.parametrize(
    ("header", "outcome"),
    [
        ({"hubDeliveryNumber": "7", "HUBTrackingInfo": "Delivered"}, Delivered(reference="7")),
        ({"hubDeliveryNumber": "7", "HUBTrackingInfo": "DeliveredWithWarnings"}, Delivered(reference="7")),
        ({"hubDeliveryNumber": "7", "HUBTrackingInfo": "FailedDelivery"}, Rejected(reason="FailedDelivery")),
        (
            {"HUBTrackingInfo": "FailedDelivery", "hubDeliveryErrorMessage": "no channel"},
            Rejected(reason="FailedDelivery: no channel"),
        ),
        ({"HUBTrackingInfo": "EnvelopeNotExists"}, Failed(code="envelope-not-exists", detail="EnvelopeNotExists")),
        ({"HUBTrackingInfo": "PendingDelivery"}, Failed(code="reply-unreadable", detail="PendingDelivery")),
        ({"hubDeliveryNumber": "7", "HUBTrackingInfo": "Lost"}, Failed(code="reply-unreadable", detail="Lost")),
        ({}, Failed(code="reply-unreadable", detail="PendingDelivery")),
    ],
)
def test_every_tracking_word_has_its_outcome(operation: str, header: Mapping[str, object], outcome: Outcome) -> None:
    assert decoded(operation, header) == outcome


def test_a_number_without_a_word_is_pending() -> None:
    assert decoded(DELIVER, {"hubDeliveryNumber": "7"}) == Accepted(reference="7", ask_again_in=timedelta(seconds=2))


def test_a_server_exception_may_work_later() -> None:
    fault = codec().fault(EXCEPTION, {"message": "database away"}, sender=False, text="fault")

    assert ADAPTER.decode(Reply(status=500, body=fault.body)) == Failed(code="hub-fault", detail="database away")


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (200, b"", "reply-unreadable"),
        (200, b"<html><body>Bao tri he thong</body></html>", "reply-unreadable"),
        (503, b"<html/>", "http-503"),
        (403, b"", "http-403"),
        (500, b"\x00\xff", "http-500"),
    ],
)
def test_what_is_no_answer_fails(status: int, body: bytes, code: str) -> None:
    outcome = ADAPTER.decode(Reply(status=status, body=body))

    assert isinstance(outcome, Failed)
    assert outcome.code == code


@pytest.mark.parametrize("operation", ["GetImportEnvelopeHeaders", "AcknowledgeEnvelopeReceipt"])
def test_an_answer_to_another_question_is_unreadable(operation: str) -> None:
    assert ADAPTER.decode(Reply(status=200, body=codec().answer(operation, {}).body)) == Failed(code="reply-unreadable", detail=operation)


def test_an_echoed_request_is_unreadable() -> None:
    outcome = ADAPTER.decode(Reply(status=200, body=ADAPTER.poll("7", ROUTE).body))

    assert outcome == Failed(code="reply-unreadable", detail=TRACK)


@given(st.integers(100, 599), st.binary(max_size=300))
def test_garbage_never_raises(status: int, body: bytes) -> None:
    assert isinstance(ADAPTER.decode(Reply(status=status, body=body)), Failed)


# --- how it loads --------------------------------------------------------------------------------------------------


def test_importing_the_adapter_reads_no_wsdl() -> None:
    script = "import adapters.ephyto_hub.adapter as a; import sys; sys.exit(a.codec.cache_info().currsize)"

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
