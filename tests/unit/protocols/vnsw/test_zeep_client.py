"""An unmodified zeep client, given nothing but our WSDL, gets its 99 from the door over HTTP."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import zeep
from lxml import etree

from gateway.errors import NotReadable
from gateway.model import Receipt, Refusal, Reply
from gateway.protocols.vnsw.door import VnswDoor
from gateway.protocols.vnsw.wsdl import gateway_wsdl, service_wsdl
from gateway.testing import builders

ENVELOPE = builders.message("10/01").decode()


@pytest.fixture
def address(door: VnswDoor, receipt: Receipt, refuse: Callable[..., Refusal]) -> Iterator[str]:
    """Serve the WSDL documents and the door; what can be opened is accepted."""

    def answer(body: bytes, media_type: str) -> Reply:
        try:
            opened = door.open(builders.arrival(body, media_type=media_type))
        except NotReadable as error:
            return door.answer(None, refuse(error.code, *error.problems))
        return door.answer(opened, receipt if opened.payload == ENVELOPE.encode() else refuse())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            where = f"http://{self.headers['host']}/ws"
            document = gateway_wsdl(where) if self.path == "/ws/gateway.wsdl" else service_wsdl("mard", where)
            self._send(Reply(status=200, body=document, headers={"content-type": "text/xml"}))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self._send(answer(body, self.headers["content-type"]))

        def _send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in (*reply.headers.items(), ("content-length", str(len(reply.body)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: Any) -> None:
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/ws"
        server.shutdown()
        thread.join()


def loaded(wsdl: str) -> Any:
    return zeep.Client(wsdl)  # type: ignore[no-untyped-call]  # zeep has no types


def function(payload: str) -> str | None:
    return etree.fromstring(payload).findtext("Header/Subject/function")


def test_the_gateways_operation_is_called(address: str) -> None:
    with loaded(f"{address}/gateway.wsdl") as client:
        reply = client.service.receive(officeCode="BNN", documentType=builders.PROCEDURE, requestPayload=ENVELOPE)

    assert function(reply) == "99"


def test_a_ministrys_operation_is_called(address: str) -> None:
    with loaded(f"{address}/mard.wsdl") as client:
        reply = client.service.receive(requestPayload=ENVELOPE)

    assert function(reply) == "99"


def test_what_is_sent_towards_a_ministry_has_its_own_port(address: str) -> None:
    with loaded(f"{address}/mard.wsdl") as client:
        port = client.bind("MardPortService", "MardSendPortSoap11")
        reply = port.sendToMinistry(requestPayload=ENVELOPE)

    assert function(reply) == "99"


def test_a_refusal_is_a_reply_and_not_a_fault(address: str) -> None:
    with loaded(f"{address}/mard.wsdl") as client:
        reply = client.service.receive(requestPayload="")

    assert function(reply) == "00"


def test_an_unknown_operation_is_a_fault_zeep_raises(address: str) -> None:
    with loaded(f"{address}/gateway.wsdl") as client:
        binding = client.service._binding
        response = client.transport.post(address, builders.soap(b"x", namespace="urn:other"), {"content-type": "text/xml"})
        with pytest.raises(zeep.exceptions.Fault) as fault:
            binding.process_reply(client, binding.get("receive"), response)

    assert "{urn:other}receiveRequest" in fault.value.message
    assert fault.value.code.endswith("Client")
