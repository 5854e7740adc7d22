from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import zeep

from adapters.ephyto_hub import mapping
from adapters.ephyto_hub.adapter import ADAPTER, DELIVER, TRACK, codec
from adapters.ephyto_hub.simulator import SERVICE, SIMULATOR, Pace, hub
from gateway.lifecycle import Accepted, Delivered, Failed, Outcome, Rejected
from gateway.model import Reply, Request, Route
from gateway.protocols.wsdl.codec import Decoded, Fault
from gateway.testing import builders
from gateway.testing.client import post
from gateway.testing.contents import Consignment
from gateway.testing.simulator import RunningSimulator

START = datetime(2026, 10, 13, 2, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def running() -> Iterator[RunningSimulator]:
    with SIMULATOR.start() as agency:
        yield agency


def route(agency: RunningSimulator) -> Route:
    return builders.route(builders.party("IPPC", adapter="ephyto_hub", endpoint=agency.url + SERVICE))


def request(agency: RunningSimulator, number: int = 1, *, find: bytes = b"", put: bytes = b"") -> Request:
    payload = builders.message("21/18", Consignment(number=number)).replace(b"<CountryExportCode>VN<", b"<CountryExportCode>NL<")
    assert find in payload
    return ADAPTER.encode(builders.envelope("21/18", payload=payload.replace(find, put) if find else payload), route(agency))


def send(request: Request) -> Reply:
    return post(request.endpoint, request.body, request.headers, timeout=5)


def deliver(agency: RunningSimulator, number: int = 1) -> str:
    outcome = ADAPTER.decode(send(request(agency, number)))
    assert isinstance(outcome, Accepted)
    return outcome.reference


def poll(agency: RunningSimulator, reference: str) -> Outcome:
    return ADAPTER.decode(send(ADAPTER.poll(reference, route(agency))))


def call(agency: RunningSimulator, operation: str, **values: object) -> Any:
    message = codec().encode(operation, values)
    answer = codec().decode(post(agency.url + SERVICE, message.body, {"content-type": message.media_type}, timeout=5).body)
    return answer.values if isinstance(answer, Decoded) else answer


# --- a certificate's way -------------------------------------------------------------------------------------------


def test_a_certificate_is_numbered_and_then_delivered(running: RunningSimulator) -> None:
    number = deliver(running)

    assert poll(running, number) == Delivered(reference=number)
    assert running.report()["effects"] == [number]


def test_the_same_envelope_keeps_its_number_and_has_one_effect(running: RunningSimulator) -> None:
    assert deliver(running) == deliver(running)

    assert len(running.context.journal.report()["effects"]) == 1  # type: ignore[arg-type] # a report holds lists


def test_another_certificate_has_another_number(running: RunningSimulator) -> None:
    assert deliver(running, 1) != deliver(running, 2)


def test_a_slow_country_keeps_it_pending_for_so_many_polls() -> None:
    with hub(Pace(pending_polls=2)).start() as agency:
        number = deliver(agency)

        outcomes = [poll(agency, number) for _ in range(3)]

    waiting = Accepted(reference=number, ask_again_in=mapping.NEXT_POLL)
    assert outcomes == [waiting, waiting, Delivered(reference=number)]


def test_a_slow_country_keeps_it_pending_for_so_long() -> None:
    clock = Clock()
    with hub(Pace(pending_time=timedelta(minutes=5))).start(clock=clock) as agency:
        number = deliver(agency)
        clock.now += timedelta(minutes=4)
        early = poll(agency, number)
        clock.now += timedelta(minutes=1)

        assert (type(early), poll(agency, number)) == (Accepted, Delivered(reference=number))


def test_a_restart_remembers_what_was_sent(tmp_path: Path) -> None:
    with SIMULATOR.start(folder=tmp_path) as agency:
        number = deliver(agency)
    with SIMULATOR.start(folder=tmp_path) as agency:
        assert poll(agency, number) == Delivered(reference=number)
        assert deliver(agency) == number


def test_an_unknown_number_does_not_exist(running: RunningSimulator) -> None:
    assert poll(running, "4711") == Failed(code="envelope-not-exists", detail="EnvelopeNotExists")


# --- the importing country -----------------------------------------------------------------------------------------


def test_importing_country_lists_and_fetches_what_waits(running: RunningSimulator) -> None:
    number = deliver(running)

    headers = call(running, "GetImportEnvelopeHeaders", countryCode="NL")["GetImportEnvelopeHeadersResult"]["EnvelopeHeader"]
    fetched = call(running, "PULLSingleImportEnvelope", hubTrackingNumber=number)["PULLSingleImportEnvelopeResult"]

    assert [header["hubDeliveryNumber"] for header in headers] == [number]
    assert (fetched["From"], fetched["To"]) == ("VN", "NL")
    assert fetched["Content"].startswith("<rsm:SPSCertificate")


def test_another_country_sees_nothing(running: RunningSimulator) -> None:
    deliver(running)

    assert not call(running, "GetImportEnvelopeHeaders", countryCode="JP")["GetImportEnvelopeHeadersResult"]


def test_sender_lists_what_is_on_its_way(running: RunningSimulator) -> None:
    number = deliver(running)
    before = call(running, "GetUnderDeliveryEnvelope")["GetUnderDeliveryEnvelopeResult"]["EnvelopeHeader"]
    poll(running, number)

    assert [header["hubDeliveryNumber"] for header in before] == [number]
    assert not call(running, "GetUnderDeliveryEnvelope")["GetUnderDeliveryEnvelopeResult"]


@pytest.mark.parametrize(
    ("operation", "values", "outcome"),
    [
        ("AcknowledgeEnvelopeReceipt", {}, Delivered),
        ("AdvancedAcknowledgeEnvelopeReceipt", {"warningMessage": "late"}, Delivered),
        ("AcknowledgeFailedEnvelopeReceipt", {"message": "no unit code"}, Rejected),
    ],
)
def test_the_countrys_receipt_decides(operation: str, values: dict[str, str], outcome: type) -> None:
    with hub(Pace(pending_polls=9)).start() as agency:
        number = deliver(agency)

        call(agency, operation, hubTrackingNumber=number, **values)

        result = poll(agency, number)
        assert type(result) is outcome
        if isinstance(result, Rejected):
            assert result.reason == "DeliveredNotReadable: no unit code"
        assert not call(agency, "GetImportEnvelopeHeaders")["GetImportEnvelopeHeadersResult"]


@pytest.mark.parametrize("operation", ["AcknowledgeEnvelopeReceipt", "PULLSingleImportEnvelope"])
def test_an_unknown_number_cannot_be_fetched_or_acknowledged(running: RunningSimulator, operation: str) -> None:
    assert isinstance(call(running, operation, hubTrackingNumber="4711"), Fault)
    assert running.report()["effects"] == []


# --- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("find", "put", "reason"),
    [
        (b"ns1:To>NL<", b"ns1:To>JP<", "differ in To"),
        (b"ns1:CertificateType>851<", b"ns1:CertificateType>657<", "differ in CertificateType"),
        (b"ns1:CertificateType>851<", b"ns1:CertificateType>none<", "DeliverEnvelope is not valid"),
        (b"&lt;ram:SequenceNumeric&gt;1&lt;", b"&lt;ram:SequenceNumeric&gt;one&lt;", "not a valid SPSCertificate"),
        (b"&lt;rsm:SPSCertificate ", b"&lt;rsm:SPSCertificat ", "Content is not XML"),
        (b"DeliverEnvelope", b"DeliverParcel", "unknown-element"),
    ],
)
def test_what_our_schemas_refuse_is_refused_with_a_reason(running: RunningSimulator, find: bytes, put: bytes, reason: str) -> None:
    good = request(running)
    assert find in good.body

    outcome = ADAPTER.decode(send(replace(good, body=good.body.replace(find, put))))

    assert isinstance(outcome, Rejected)
    assert reason in outcome.reason
    assert running.report()["effects"] == []


@pytest.mark.parametrize("body", [b"", b"<a/>", b"\xff", codec().answer(TRACK, {}).body])
def test_what_is_no_request_is_a_fault(running: RunningSimulator, body: bytes) -> None:
    reply = post(running.url + SERVICE, body, {"content-type": "text/xml"}, timeout=5)

    assert reply.status == 500
    assert isinstance(codec().decode(reply.body), Fault)


def test_a_refused_envelope_may_be_sent_again(running: RunningSimulator) -> None:
    good = request(running)
    send(replace(good, body=good.body.replace(b"ns1:To>NL<", b"ns1:To>JP<")))

    assert isinstance(ADAPTER.decode(send(good)), Accepted)


# --- clients -------------------------------------------------------------------------------------------------------


def test_an_unmodified_zeep_client_loads_the_wsdl_and_delivers(running: RunningSimulator) -> None:
    decoded = codec().decode(request(running).body)
    assert isinstance(decoded, Decoded)
    client: Any = zeep.Client(f"{running.url}{SERVICE}?wsdl")  # type: ignore[no-untyped-call] # zeep

    header = client.service.DeliverEnvelope(env=decoded.values["env"])

    assert header.HUBTrackingInfo == "PendingDelivery"
    assert client.service.GetEnvelopeTrackingInfo(header.hubDeliveryNumber).HUBTrackingInfo == "Delivered"
    assert decoded.operation == DELIVER


def test_an_unmodified_zeep_client_reads_the_exception(running: RunningSimulator) -> None:
    client: Any = zeep.Client(f"{running.url}{SERVICE}?wsdl")  # type: ignore[no-untyped-call] # zeep

    with pytest.raises(zeep.exceptions.Fault) as fault:
        client.service.PULLSingleImportEnvelope("4711")

    assert fault.value.message == "no envelope has the number 4711"
    assert fault.value.detail[0].tag == "{http://ephyto.ippc.int/}HubWebException"
