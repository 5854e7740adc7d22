"""The codec: typed values to SOAP 1.1 and back, by a WSDL that lies on disk. zeep does the typing; nothing here sends or downloads."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from lxml import etree
from zeep import Client, Settings, Transport
from zeep.exceptions import Error as ZeepError
from zeep.helpers import serialize_object

from gateway.errors import Code, NotReadable, NotValid, Problem
from gateway.xml import soap
from gateway.xml.namespaces import SOAP11, WSDL11, XS
from gateway.xml.parse import parse

MEDIA_TYPE = "text/xml; charset=utf-8"
VERSION = "1.1"  # the only one that WSDLs of our partners bind


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One encoded SOAP message: `action` is the operation's SOAPAction, empty for answers."""

    action: str
    body: bytes
    media_type: str = MEDIA_TYPE


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """One decoded SOAP message: which operation it belongs to, whether it is the answer, and its values by element name."""

    operation: str
    answer: bool
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A SOAP fault as a value: `sender` says that the same message must not be sent again; `detail` is the element's local name."""

    sender: bool
    text: str
    detail: str = ""
    values: Mapping[str, object] = field(default_factory=dict)


class Codec:
    """One WSDL's operations. Writes strictly by the schema, reads leniently: an absent element is an absent value."""

    def __init__(self, wsdl: Path) -> None:
        """Load the WSDL and the schemas in its folder; raises PermissionError where it asks for anything else."""
        # zeep logs values it cannot convert, and a partner's values are no business of our logs
        logging.getLogger("zeep.xsd.types.simple").disabled = True
        transport = _LocalFiles(wsdl.parent)
        settings = Settings(forbid_dtd=True, forbid_entities=True, forbid_external=True)
        self._client: Any = Client(str(wsdl), transport=transport, settings=settings)  # type: ignore[no-untyped-call] # zeep
        bindings: Any = self._client.wsdl.bindings.values()
        operations = [operation for binding in bindings for operation in binding.all().values()]
        self._operations: Mapping[str, Any] = {operation.name: operation for operation in operations}
        self._prefixes = {prefix: name for prefix, name in self._client.namespaces.items() if name != XS}  # declared once, at the top
        self._schemas = _schemas(wsdl)
        self._requests = {operation.input.body.qname.text: operation.name for operation in operations}
        self._answers = {operation.output.body.qname.text: operation.name for operation in operations}

    def encode(self, operation: str, values: Mapping[str, object]) -> Message:
        """Write a request; raises NotValid where the values are not what the operation takes, KeyError for an unknown operation."""
        known = self._operations[operation]
        return Message(action=known.soapaction, body=self._enveloped(known.input.body, values, operation))

    def answer(self, operation: str, values: Mapping[str, object]) -> Message:
        """Write an answer, for whoever serves the WSDL; raises as encode()."""
        return Message(action="", body=self._enveloped(self._operations[operation].output.body, values, operation))

    def fault(self, element: str, values: Mapping[str, object], *, sender: bool, text: str) -> Message:
        """Write a fault with a declared element (in {namespace}name form) as its detail; raises NotValid where the values do not fit."""
        fault = etree.Element(f"{{{SOAP11}}}Fault", nsmap={"soap": SOAP11, **self._prefixes})
        etree.SubElement(fault, "faultcode").text = "soap:Client" if sender else "soap:Server"
        etree.SubElement(fault, "faultstring").text = text
        self._render(etree.SubElement(fault, "detail"), self._client.get_element(element), values, text)
        return Message(action="", body=soap.wrap(etree.tostring(fault, encoding="UTF-8"), version=VERSION))

    def decode(self, body: bytes) -> Decoded | Fault:
        """Read a request, an answer or a fault; raises NotReadable for everything else."""
        child = _body_child(body)
        if child.tag == f"{{{SOAP11}}}Fault":
            return self._fault(child)
        operation = self._requests.get(child.tag) or self._answers.get(child.tag)
        if operation is None:
            raise NotReadable(Code.NOT_SOAP, Problem(text="wsdl.unknown-element", values={"element": child.tag}))
        return Decoded(operation=operation, answer=child.tag in self._answers, values=self._values(child))

    def _enveloped(self, element: Any, values: Mapping[str, object], operation: str) -> bytes:
        holder = etree.Element("holder", nsmap=self._prefixes)
        self._render(holder, element, values, operation)
        return soap.wrap(etree.tostring(holder[0], encoding="UTF-8"), version=VERSION)

    def _render(self, parent: etree._Element, element: Any, values: Mapping[str, object], operation: str) -> None:
        """Write values as the last child of `parent`; the schema has the last word, because zeep checks no simple types."""
        try:
            element.render(parent, element(**values))
            if element.qname.namespace in self._schemas:
                self._schemas[element.qname.namespace].assertValid(parent[-1])
        except (ZeepError, TypeError, ValueError, etree.DocumentInvalid) as error:
            problem = Problem(text="wsdl.values", values={"operation": operation, "reason": str(error)})
            raise NotValid(Code.SCHEMA, problem) from error

    def _values(self, element: etree._Element) -> Mapping[str, object]:
        try:
            with self._client.settings(strict=False):
                value = self._client.get_element(element.tag).parse(element, self._client.wsdl.types)
        except (ZeepError, TypeError, ValueError, AttributeError) as error:
            raise NotReadable(Code.NOT_SOAP, Problem(text="wsdl.unreadable", values={"element": str(element.tag)})) from error
        values = serialize_object(value, dict)  # type: ignore[no-untyped-call] # zeep
        return values if isinstance(values, dict) else {}

    def _fault(self, fault: etree._Element) -> Fault:
        code = (fault.findtext("faultcode") or "").strip().rpartition(":")[2]
        detail = next(iter(fault.iterfind("detail/*")), None)
        return Fault(
            sender=code.split(".")[0] == "Client",  # a dot leads to a finer code
            text=(fault.findtext("faultstring") or "").strip(),
            detail="" if detail is None else etree.QName(detail).localname,
            values={} if detail is None else self._detail(detail),
        )

    def _detail(self, detail: etree._Element) -> Mapping[str, object]:
        """Read a fault's detail where the WSDL declares it; what a server adds of its own has no values."""
        try:
            self._client.get_element(detail.tag)
        except ZeepError:
            return {}
        return self._values(detail)


class _LocalFiles(Transport):
    """Opens files in the WSDL's own folder, and nothing else in the world."""

    def __init__(self, folder: Path) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # zeep
        self._folder = folder.resolve()

    def load(self, url: str) -> bytes:
        """Read one file; raises PermissionError for an address or a path outside the folder."""
        path = Path(url).resolve()
        if not path.is_relative_to(self._folder):
            raise PermissionError(f"{url} is not in {self._folder}; put the schema beside the WSDL")
        return path.read_bytes()

    def get(self, address: str, params: object, headers: object) -> NoReturn:
        """Refuse: the transport package sends."""
        del params, headers
        raise PermissionError(f"a codec does not call {address}")

    def post(self, address: str, message: object, headers: object) -> NoReturn:
        """Refuse: the transport package sends."""
        del message, headers
        raise PermissionError(f"a codec does not call {address}")


def _schemas(wsdl: Path) -> Mapping[str, etree.XMLSchema]:
    """Compile the schemas that the WSDL imports from files, by namespace; those inside it are zeep's alone."""
    imports = parse(wsdl.read_bytes()).iterfind(f"{{{WSDL11}}}types/{{{XS}}}schema/{{{XS}}}import[@schemaLocation]")
    return {found.get("namespace", ""): etree.XMLSchema(file=str(wsdl.parent / found.get("schemaLocation", ""))) for found in imports}


def _body_child(body: bytes) -> etree._Element:
    unwrapped = soap.unwrap(body)
    if unwrapped.version != VERSION:
        raise NotReadable(Code.NOT_SOAP, Problem(text="wsdl.soap-version", values={"version": unwrapped.version}))
    return unwrapped.child
