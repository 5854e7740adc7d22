"""The WSDL 1.1 descriptions of the VNSW door, shaped as the clients in the field know them.

Names follow what those clients were generated from (Spring-WS): port type `NSWGateway` or `{Service}Port`, binding and port
`{PortType}Soap11`, service `{PortType}Service`, messages named by their element, an empty SOAPAction. SOAP 1.1 only: a second
binding gives .NET clients two endpoints to choose from; the door itself also takes SOAP 1.2.
"""

import re
from html import escape

from gateway.errors import Code, NotValid, Problem

from .dialects import GATEWAY, SEND_TO_MINISTRY, SERVICE, Dialect

_SERVICE_NAME = re.compile(r"[a-z][a-z0-9]{0,31}", re.ASCII)  # becomes part of XML names and of a URL

_DOCUMENT = """\
<?xml version="1.0" encoding="UTF-8"?>
<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" \
xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:tns={namespace} targetNamespace={namespace}>
  <wsdl:types>
    <xs:schema elementFormDefault="qualified" targetNamespace={namespace}>
{elements}
    </xs:schema>
  </wsdl:types>
{messages}
{port_types}
{bindings}
  <wsdl:service name="{service}">
{ports}
  </wsdl:service>
</wsdl:definitions>
"""
_ELEMENT = """\
      <xs:element name="{name}">
        <xs:complexType>
          <xs:sequence>
{fields}
          </xs:sequence>
        </xs:complexType>
      </xs:element>"""
_FIELD = '            <xs:element name="{name}" type="xs:string"/>'
_MESSAGE = """\
  <wsdl:message name="{name}">
    <wsdl:part name="{name}" element="tns:{name}"/>
  </wsdl:message>"""
_PORT_TYPE = """\
  <wsdl:portType name="{port}">
    <wsdl:operation name="{operation}">
      <wsdl:input name="{request}" message="tns:{request}"/>
      <wsdl:output name="{response}" message="tns:{response}"/>
    </wsdl:operation>
  </wsdl:portType>"""
_BINDING = """\
  <wsdl:binding name="{port}Soap11" type="tns:{port}">
    <soap:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
    <wsdl:operation name="{operation}">
      <soap:operation soapAction=""/>
      <wsdl:input name="{request}"><soap:body use="literal"/></wsdl:input>
      <wsdl:output name="{response}"><soap:body use="literal"/></wsdl:output>
    </wsdl:operation>
  </wsdl:binding>"""
_PORT = """\
    <wsdl:port name="{port}Soap11" binding="tns:{port}Soap11">
      <soap:address location={address}/>
    </wsdl:port>"""


def gateway_wsdl(address: str) -> bytes:
    """Describe the gateway's own operation, with office code and document type; `address` is where requests are posted."""
    return _describe({"NSWGateway": GATEWAY}, address)


def service_wsdl(service: str, address: str) -> bytes:
    """Describe a ministry's operations under its port type, `mard` -> `MardPort`; what is sent towards it has a port type of its own.

    Raises NotValid(NOT_FOUND) for a name that is none.
    """
    if not _SERVICE_NAME.fullmatch(service):
        raise NotValid(Code.NOT_FOUND, Problem(text="vnsw.service"))
    name = service.capitalize()
    return _describe({f"{name}Port": SERVICE, f"{name}SendPort": SEND_TO_MINISTRY}, address)


def _describe(ports: dict[str, Dialect], address: str) -> bytes:
    """Write one document; all dialects are of one namespace, the first port names the service."""
    names = [_names(port, dialect, address) for port, dialect in ports.items()]
    return _DOCUMENT.format(
        namespace=_attribute(next(iter(ports.values())).namespace),
        elements="\n".join(element for dialect in ports.values() for element in _elements(dialect)),
        messages="\n".join(_MESSAGE.format(name=name) for dialect in ports.values() for name in (dialect.request, dialect.response)),
        port_types="\n".join(_PORT_TYPE.format_map(each) for each in names),
        bindings="\n".join(_BINDING.format_map(each) for each in names),
        ports="\n".join(_PORT.format_map(each) for each in names),
        service=f"{next(iter(ports))}Service",
    ).encode()


def _names(port: str, dialect: Dialect, address: str) -> dict[str, str]:
    return {
        "port": port,
        "operation": dialect.request.removesuffix("Request"),
        "request": dialect.request,
        "response": dialect.response,
        "address": _attribute(address),
    }


def _elements(dialect: Dialect) -> list[str]:
    asked = [name for name in (dialect.office, dialect.document_type, dialect.payload) if name]
    return [
        _ELEMENT.format(name=element, fields="\n".join(_FIELD.format(name=name) for name in fields))
        for element, fields in ((dialect.request, asked), (dialect.response, [dialect.result]))
    ]


def _attribute(value: str) -> str:
    return f'"{escape(value)}"'
