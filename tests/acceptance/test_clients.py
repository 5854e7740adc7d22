"""The field's clients, unchanged, against the live SOAP door."""

import socket
from contextlib import closing
from dataclasses import replace
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import zeep
from lxml import etree

from gateway.testing import builders
from gateway.testing.vnsw import SOAP_REQUEST, read_answer

SOAP_ACTIONS = ('""', "", f'"{builders.GATEWAY_NS}/receiveRequest"', "http://mard.gov.vn/nsw/services/IMardGateway/receive", "anything")
SERVICES = ("gateway", "mard", "bnn")


def loaded(wsdl: str) -> Any:
    return zeep.Client(wsdl)  # type: ignore[no-untyped-call]  # zeep has no types


@pytest.mark.parametrize("version", ["1.1", "1.2"])
@pytest.mark.parametrize("client", builders.CLIENTS)
def test_each_client_of_the_field_gets_its_99(doors: Any, client: str, version: str) -> None:
    assert doors.call(doors.application(), client=client, version=version).function == "99"


@pytest.mark.parametrize("action", SOAP_ACTIONS)
def test_any_soap_action_will_do(doors: Any, action: str) -> None:
    body = builders.soap(doors.application(), client="wcf")

    reply = doors.soap(body, headers={"content-type": "text/xml; charset=utf-8", "soapaction": action})

    assert read_answer(reply.body).function == "99"


def test_a_client_without_a_soap_action_or_media_type_gets_its_99(doors: Any) -> None:
    reply = doors.soap(builders.soap(doors.application(), client="dotnet"), headers={})

    assert read_answer(reply.body).function == "99"


@pytest.mark.parametrize("namespace", [builders.GATEWAY_NS, builders.SERVICE_NS])
def test_the_answer_stands_in_the_namespace_that_was_asked_in(doors: Any, namespace: str) -> None:
    reply = doors.soap(builders.soap(doors.application(), client="saaj", namespace=namespace))

    assert etree.fromstring(reply.body).find(f".//{{{namespace}}}responsePayload") is not None


@pytest.mark.parametrize("service", SERVICES)
def test_an_unmodified_zeep_client_gets_its_99_with_nothing_but_our_wsdl(doors: Any, service: str) -> None:
    client = loaded(f"{doors.url}/ws/{service}.wsdl")
    hints = {"officeCode": "BNN", "documentType": builders.PROCEDURE} if service == "gateway" else {}

    answer = client.service.receive(**hints, requestPayload=doors.application().decode())

    payload = answer if isinstance(answer, str) else answer.responsePayload
    assert etree.fromstring(payload.encode()).findtext("Header/Subject/function") == "99"


@pytest.mark.parametrize("query", ["wsdl", "WSDL", "singleWsdl"])
def test_the_wsdl_is_where_clients_look_for_it(doors: Any, query: str) -> None:
    client = loaded(f"{doors.url}/ws?{query}")

    [service] = client.wsdl.services.values()
    [port, *_] = service.ports.values()
    assert port.binding_options["address"] == f"{doors.url}/ws"


def test_the_ministry_calls_unsigned_from_where_its_exception_is_bound_to(doors: Any) -> None:
    about = doors.traveller.application()
    assert doors.call(doors.application(about=about)).function == "99"

    fee = builders.message("18/14", about, under=replace(builders.header("18/14", about), id=str(uuid4())))
    fee = fee.replace(b"<Note>", "<Note>Bổ sung: ".encode())  # the simulated ministry sends one of its own

    answer = doors.call(fee, client="wcf")

    assert answer.function == "99"
    row = next(r for r in doors.traveller.messages(reference=about.file_code) if r["type"] == "18")
    assert row["proof"] == "network"


def test_a_client_that_sends_in_chunks_gets_its_99(doors: Any) -> None:
    body = builders.soap(doors.application(), client="saaj")
    pieces = (body[at : at + 1_000] for at in range(0, len(body), 1_000))
    with closing(HTTPConnection(*address(doors), timeout=5)) as connection:
        connection.request("POST", "/ws", pieces, {**SOAP_REQUEST, "transfer-encoding": "chunked"}, encode_chunked=True)

        assert read_answer(connection.getresponse().read()).function == "99"


def test_a_client_that_waits_for_a_100_gets_it_and_then_its_99(doors: Any) -> None:
    body = builders.soap(doors.application(), client="wcf")
    head = (
        f"POST /ws HTTP/1.1\r\nhost: x\r\ncontent-type: text/xml; charset=utf-8\r\ncontent-length: {len(body)}\r\n"
        "expect: 100-continue\r\nconnection: close\r\n\r\n"
    )
    with socket.create_connection(address(doors), timeout=5) as connection:
        connection.sendall(head.encode())
        interim = connection.recv(4_096)
        connection.sendall(body)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))

    assert interim.startswith(b"HTTP/1.1 100 ")
    assert read_answer(answer.partition(b"\r\n\r\n")[2]).function == "99"


def test_a_client_that_keeps_its_connection_gets_every_answer_on_it(doors: Any) -> None:
    with closing(HTTPConnection(*address(doors), timeout=5)) as connection:
        for _ in range(3):
            connection.request("POST", "/ws", builders.soap(doors.application()), SOAP_REQUEST)
            assert read_answer(connection.getresponse().read()).function == "99"


def address(doors: Any) -> tuple[str, int]:
    place = urlsplit(doors.url)
    return str(place.hostname), int(place.port or 0)
