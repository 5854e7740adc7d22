"""Our description of the IPPC hub beside the hub's own: every operation and every type of ours, and what we write against theirs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from lxml import etree

from adapters.ephyto_hub import mapping
from adapters.ephyto_hub.adapter import ADAPTER, codec, specification
from gateway.protocols.wsdl.codec import Codec, Decoded
from gateway.testing import builders
from gateway.testing.contents import Consignment
from gateway.xml.envelope import business, content
from gateway.xml.parse import parse

WSDL, SOAP, XS = "{http://schemas.xmlsoap.org/wsdl/}", "{http://schemas.xmlsoap.org/wsdl/soap/}", "{http://www.w3.org/2001/XMLSchema}"
ANY = f"{XS}anyType"
ROOT = f"{{{mapping.RSM}}}SPSCertificate"


# --- reading a description -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Operation:
    action: str
    style: str
    parts: tuple[str, ...]  # elements of input, output and fault
    uses: tuple[str, ...]


@dataclass(frozen=True)
class Particle:
    name: str
    low: str
    high: str
    type: "Shape"
    nillable: bool = False


@dataclass(frozen=True)
class Shape:
    base: str  # the built-in type of simple content, empty for element content
    particles: tuple[Particle, ...] = ()
    attributes: tuple[tuple[str, str, str], ...] = ()


class Description:
    """A WSDL and its schemas, wherever they stand."""

    def __init__(self, wsdl: Path) -> None:
        self.wsdl = parse(wsdl.read_bytes())
        files = [parse(path.read_bytes()) for path in sorted(wsdl.parent.glob("*.xsd"))]
        self.globals: dict[tuple[str, str], etree._Element] = {}
        for schema in (*self.wsdl.iter(f"{XS}schema"), *files):
            for node in schema:
                if node.get("name"):
                    kind = "element" if node.tag == f"{XS}element" else "type"
                    self.globals[kind, f"{{{schema.get('targetNamespace')}}}{node.get('name')}"] = node

    def operations(self) -> Mapping[str, Operation]:
        ports = {node.get("name"): node for node in self.wsdl.iterfind(f"{WSDL}portType/{WSDL}operation")}
        found = {}
        for bound in self.wsdl.iterfind(f"{WSDL}binding/{WSDL}operation"):
            spoken = bound.find(f"{SOAP}operation")
            assert spoken is not None
            messages = [ports[bound.get("name")].find(f"{WSDL}{kind}") for kind in ("input", "output", "fault")]
            uses = tuple(f"{node.tag}:{node.get('use')}" for node in bound.iter(f"{SOAP}body", f"{SOAP}fault"))
            parts = tuple(self._part(node) for node in messages if node is not None)
            found[bound.get("name", "")] = Operation(spoken.get("soapAction", ""), spoken.get("style", ""), parts, uses)
        return found

    def service(self) -> tuple[str | None, ...]:
        nodes = (self.wsdl.find(f"{WSDL}{path}") for path in ("portType", "binding", "service", f"service/{WSDL}port"))
        return (self.wsdl.get("targetNamespace"), *(node.get("name") if node is not None else None for node in nodes))

    def element(self, name: str) -> Shape:
        return self._declared(self.globals["element", name])

    def _part(self, message: etree._Element) -> str:
        name = qname(message, "message").partition("}")[2]
        part = next(node for node in self.wsdl.iterfind(f"{WSDL}message") if node.get("name") == name).find(f"{WSDL}part")
        assert part is not None
        return f"{part.get('name')} {qname(part, 'element')}"

    def _declared(self, node: etree._Element) -> Shape:
        if node.get("type"):
            return self._type(qname(node, "type"))
        inline = node.find(f"{XS}complexType")
        return self._complex(inline) if inline is not None else Shape(ANY)

    def _type(self, name: str) -> Shape:
        if name.startswith(XS):
            return Shape(name)
        node = self.globals["type", name]
        restriction = node.find(f"{XS}restriction")
        return Shape(qname(restriction, "base")) if restriction is not None else self._complex(node)

    def _complex(self, node: etree._Element) -> Shape:
        extension = node.find(f"*/{XS}extension")
        own = node if extension is None else extension
        base = Shape("") if extension is None else self._type(qname(extension, "base"))
        attributes = tuple((a.get("name", ""), qname(a, "type"), a.get("use", "optional")) for a in own.iterfind(f"{XS}attribute"))
        return Shape(base.base, (*base.particles, *self._particles(own)), (*base.attributes, *attributes))

    def _particles(self, own: etree._Element) -> Iterator[Particle]:
        for node in own.iterfind(f"{XS}sequence/{XS}element"):
            target = self.globals["element", qname(node, "ref")] if node.get("ref") else node
            name = qname(node, "ref") if node.get("ref") else local_name(node)
            nillable = target.get("nillable") == "true"
            yield Particle(name, node.get("minOccurs", "1"), node.get("maxOccurs", "1"), self._declared(target), nillable)


def qname(node: etree._Element, attribute: str) -> str:
    prefix, _, name = node.get(attribute, "").rpartition(":")
    return f"{{{node.nsmap.get(prefix or None, '')}}}{name}"


def local_name(node: etree._Element) -> str:
    schema = next(node.iterancestors(f"{XS}schema"))
    form = node.get("form") or schema.get("elementFormDefault", "unqualified")
    return f"{{{schema.get('targetNamespace')}}}{node.get('name')}" if form == "qualified" else node.get("name", "")


def narrows(ours: Shape, theirs: Shape, path: str = "") -> Iterator[str]:
    """Say where a document of our shape might not be one of theirs."""
    if theirs.base == ANY:
        return
    if ours.base != theirs.base or not set(ours.attributes) <= set(theirs.attributes):
        yield f"{path}: {ours.base} {ours.attributes} is not {theirs.base} {theirs.attributes}"
    rest = iter(theirs.particles)
    for mine in ours.particles:
        passed = []
        while (other := next(rest, None)) is not None and other.name != mine.name:
            passed.append(other)
        if other is None:
            yield f"{path}/{mine.name}: not theirs, or not in this order"
            return
        yield from (f"{path}/{gone.name}: demanded by them" for gone in passed if gone.low != "0")
        if int(mine.low) < int(other.low) or other.high not in {"unbounded", mine.high}:
            yield f"{path}/{mine.name}: occurs {mine.low}..{mine.high}, theirs {other.low}..{other.high}"
        yield from narrows(mine.type, other.type, f"{path}/{mine.name}")
    yield from (f"{path}/{gone.name}: demanded by them" for gone in rest if gone.low != "0")


# --- the two descriptions ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def theirs(outside: Path) -> Description:
    return Description(outside / "ephyto-hub" / "ephyto-prod.wsdl")


@pytest.fixture(scope="module")
def their_schema(outside: Path) -> etree.XMLSchema:
    return etree.XMLSchema(file=str(outside / "ephyto-hub" / "schemas-extracted" / "all.xsd"))


OURS = Description(specification())
OPERATIONS = OURS.operations()


def test_service_has_the_hubs_names(theirs: Description) -> None:
    assert OURS.service() == theirs.service()


def test_operations_we_need_are_described() -> None:
    assert OPERATIONS.keys() >= {"DeliverEnvelope", "GetEnvelopeTrackingInfo", "AcknowledgeEnvelopeReceipt", "PULLSingleImportEnvelope"}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_is_the_hubs(name: str, theirs: Description) -> None:
    assert OPERATIONS[name] == theirs.operations()[name]


@pytest.mark.parametrize("name", sorted({part.split()[1] for operation in OPERATIONS.values() for part in operation.parts}))
def test_message_has_the_hubs_type(name: str, theirs: Description) -> None:
    assert OURS.element(name) == theirs.element(name)


def test_tracking_words_are_the_hubs(theirs: Description) -> None:
    name = "{http://ephyto.ippc.int/HUB.Entities}HUBTrackingInfo"

    words = [{node.get("value") for node in side.globals["type", name].iter(f"{XS}enumeration")} for side in (OURS, theirs)]

    assert words[0] == words[1]


def test_certificate_narrows_the_hubs(theirs: Description) -> None:
    assert list(narrows(OURS.element(ROOT), theirs.element(ROOT))) == []


def test_comparison_notices_what_differs() -> None:
    text, number = Shape(f"{XS}string"), Shape(f"{XS}int")
    one, other = Particle("a", "1", "1", text), Particle("b", "0", "1", number)

    assert list(narrows(Shape("", (one,)), Shape("", (other, one)))) == []
    assert list(narrows(Shape("", (other,)), Shape("", (other, one)))) == ["/a: demanded by them"]
    assert list(narrows(Shape("", (one, other)), Shape("", (other, one)))) == ["/b: not theirs, or not in this order"]
    assert list(narrows(Shape("", (Particle("b", "0", "2", number),)), Shape("", (other,)))) == ["/b: occurs 0..2, theirs 0..1"]
    assert list(narrows(Shape("", (Particle("b", "0", "1", text),)), Shape("", (other,))))


# --- what we write -------------------------------------------------------------------------------------------------


def certificates() -> Iterator[tuple[str, bytes]]:
    """Give 21/18 messages of every shape that the mapping distinguishes."""
    issued = builders.message("21/18").replace(b"<CountryExportCode>VN<", b"<CountryExportCode>NL<")
    yield "as issued", issued
    yield "one product", builders.message("21/18", Consignment(goods=1)).replace(b"ExportCode>VN<", b"ExportCode>NL<")
    yield "many products", builders.message("21/18", Consignment(goods=40)).replace(b"ExportCode>VN<", b"ExportCode>NL<")
    yield "re-export", issued.replace(b"<TypeCer>1<", b"<TypeCer>2<")
    transit = b"</CountryExportCode><CountryTransitName>Singapore</CountryTransitName><CountryTransitCode>sg</CountryTransitCode>"
    yield "transit", issued.replace(b"</CountryExportCode>", transit)
    yield "untreated", issued.replace(b"TreatmentName>", b"T>").replace(b"Concentration>", b"C>").replace(b"Duration>", b"D>")
    yield "amended", issued.replace(b"</PhytosanitaryCer>", b"<ReasonEdit>a &lt; b &amp; c</ReasonEdit></PhytosanitaryCer>")


@pytest.mark.parametrize("payload", [pytest.param(payload, id=name) for name, payload in certificates()])
def test_what_we_send_is_valid_by_the_hubs_schemas(payload: bytes, their_schema: etree.XMLSchema) -> None:
    message = codec().encode("DeliverEnvelope", {"env": mapping.envelope(certificate(payload))})

    request = next(iter(parse(message.body).iter("{http://ephyto.ippc.int/}DeliverEnvelope")))
    assert their_schema.validate(request), their_schema.error_log
    text = request.findtext(".//{http://ephyto.ippc.int/HUB.Entities}Content")
    assert their_schema.validate(parse((text or "").encode())), their_schema.error_log


@pytest.mark.parametrize("payload", [pytest.param(payload, id=name) for name, payload in certificates()])
def test_what_we_send_is_valid_by_our_schema(payload: bytes) -> None:
    schema = etree.XMLSchema(file=str(specification().parent / "SPSCertificate.xsd"))

    assert schema.validate(mapping.sps_certificate(certificate(payload))), schema.error_log


def test_hubs_own_wsdl_reads_what_ours_wrote(outside: Path) -> None:
    theirs = Codec(outside / "ephyto-hub" / "ephyto-prod.wsdl")
    route = builders.route(builders.party("IPPC", adapter="ephyto_hub"))

    call = theirs.decode(ADAPTER.poll("4711", route).body)

    assert isinstance(call, Decoded)
    assert (call.operation, call.values) == ("GetEnvelopeTrackingInfo", {"hubTrackingNumber": "4711"})


def certificate(payload: bytes) -> mapping.Certificate:
    holder = content(parse(payload))
    assert holder is not None
    return mapping.read(business(holder), exporter="VN", issuer="Plant Protection Department")
