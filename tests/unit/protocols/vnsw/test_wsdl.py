from pathlib import Path
from typing import Any

import pytest
import zeep
from lxml import etree

from gateway.errors import Code, NotValid
from gateway.protocols.vnsw.wsdl import gateway_wsdl, service_wsdl

ADDRESS = "http://127.0.0.1:8080/ws"
WSDL = {"w": "http://schemas.xmlsoap.org/wsdl/", "s": "http://schemas.xmlsoap.org/wsdl/soap/"}


def loaded(document: bytes, folder: Path) -> Any:
    path = folder / "service.wsdl"
    path.write_bytes(document)
    return zeep.Client(str(path))  # type: ignore[no-untyped-call]  # zeep has no types


def test_zeep_reads_the_gateways_operation(tmp_path: Path) -> None:
    client = loaded(gateway_wsdl(ADDRESS), tmp_path)

    operation = client.service._binding._operations["receive"]

    signature = "officeCode: xsd:string, documentType: xsd:string, requestPayload: xsd:string"
    assert operation.input.signature() == signature
    assert operation.input.body.qname == "{http://com/vnsw/receive/gateway/generated}receiveRequest"
    assert client.service._binding_options["address"] == ADDRESS


def test_zeep_reads_both_port_types_of_a_ministry(tmp_path: Path) -> None:
    client = loaded(service_wsdl("mard", ADDRESS), tmp_path)

    ports = client.wsdl.services["MardPortService"].ports

    operations = {name: set(port.binding._operations) for name, port in ports.items()}
    assert operations == {"MardPortSoap11": {"receive"}, "MardSendPortSoap11": {"sendToMinistry"}}


def test_no_port_type_holds_two_operations_of_one_name() -> None:
    for document in (gateway_wsdl(ADDRESS), service_wsdl("mard", ADDRESS)):
        for port_type in etree.fromstring(document).iterfind("w:portType", WSDL):
            names = [operation.get("name") for operation in port_type.iterfind("w:operation", WSDL)]
            assert len(names) == len(set(names)) == 1


def test_names_are_those_that_clients_were_generated_from() -> None:
    root = etree.fromstring(gateway_wsdl(ADDRESS))

    assert root.get("targetNamespace") == "http://com/vnsw/receive/gateway/generated"
    assert [e.get("name") for e in root.iterfind("w:portType", WSDL)] == ["NSWGateway"]
    assert [e.get("name") for e in root.iterfind("w:service", WSDL)] == ["NSWGatewayService"]
    assert [e.get("name") for e in root.iterfind("w:service/w:port", WSDL)] == ["NSWGatewaySoap11"]
    assert [e.get("soapAction") for e in root.iterfind("w:binding/w:operation/s:operation", WSDL)] == [""]


def test_a_ministrys_description_is_in_the_ministries_namespace() -> None:
    assert etree.fromstring(service_wsdl("byte", ADDRESS)).get("targetNamespace") == "http://com/vnsw/ws/generated"


def test_an_address_cannot_break_out_of_its_attribute() -> None:
    root = etree.fromstring(gateway_wsdl('http://x/"><evil/>&'))

    (address,) = root.iterfind("w:service/w:port/s:address", WSDL)
    assert address.get("location") == 'http://x/"><evil/>&'


@pytest.mark.parametrize("name", ["", "Mard", "mard/../x", "m" * 33, "1mard", "mard\n", 'm"', "bộ"])
def test_what_is_no_service_name_is_refused(name: str) -> None:
    with pytest.raises(NotValid) as refusal:
        service_wsdl(name, ADDRESS)

    assert refusal.value.code is Code.NOT_FOUND
