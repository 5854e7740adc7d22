"""The VNSW schemas this project writes: every message, valid in its least and fullest form, and each rule that refuses."""

import copy
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import xmlschema
from lxml import etree
from xmlschema.validators import XsdElement, XsdGroup

from gateway.testing import builders
from gateway.xml.compiled import slow_patterns
from gateway.xml.namespaces import DS, XML, XS
from gateway.xml.parse import parse
from gateway.xml.schemas import Schemas
from gateway.xml.shipped import shipped
from gateway.xml.sources import Sources, overlay

XSD = shipped("xsd")
LARGE = 1_000_000  # a size at which libxml2's own words are translated: fast enough for hundreds of documents
LONG = "Đ"  # two bytes: limits count characters
PLANT = "BNN&PTNT0300002"
ANIMAL = "BNNPTNT0600009"
OURS = ("1001", "1002", "1003", "1104", "1408", "1611", "1915", "1916", "2320", "2422")

VALUES = {
    "DateTimeText": "2026-03-15 08:30:00",
    "DateTimeTextOrEmpty": "2026-03-15 08:30:00.123",
    "SendDate": "2026-03-15 08:30:00",
    "CountryCode": "VN",
    "YearOrEmpty": "2025",
    "Digit": "9",
    "Number3": "999",
    "Number9": "999999999",
    "Number15": "999999999999999",
    "Amount": "999999999999999",
    "Quantity": "999999999999999.999",
    "Size": "999999999999999.9",
    "short": "2026",
}


@cache
def schemas() -> Schemas:
    return Schemas.load([XSD])


@cache
def names() -> tuple[str, ...]:
    return tuple(name for name in schemas().names() if name.startswith((PLANT, ANIMAL)))


@cache
def model(name: str) -> xmlschema.XMLSchema10:
    entry = schemas()._entries[name][0]
    return xmlschema.XMLSchema10(str(XSD / entry.compiled.closure.entry.name), allow="local", defuse="always")


def particles(group: XsdGroup) -> Iterator[XsdElement]:
    for particle in group:
        if isinstance(particle, XsdElement):
            yield particle
        elif isinstance(particle, XsdGroup):
            yield from particles(particle)


def value(declaration: XsdElement, *, full: bool) -> str:
    name = declaration.type.local_name or ""
    if name in VALUES:
        return VALUES[name]
    limit = int(name.removeprefix("NonEmptyString").removeprefix("String"))
    if full:
        return LONG * limit
    return "" if name.startswith("String") else LONG


def fill(element: etree._Element, declaration: XsdElement, *, full: bool) -> None:
    if declaration.type.is_simple():
        element.text = value(declaration, full=full)
        return
    content = declaration.type.model_group
    assert content is not None
    for child in particles(content):
        times = (2 if full and child.max_occurs is None else 1) if full or child.min_occurs else 0
        if child.name and child.local_name not in {"Signature", "SystemSignature"}:
            for _ in range(times):
                fill(etree.SubElement(element, child.name), child, full=full)


@cache
def sample(name: str, *, full: bool) -> bytes:
    """Write a document with everything the schema allows, or with nothing it does not demand."""
    root = etree.Element("Envelope")
    fill(root, model(name).elements["Envelope"], full=full)
    return etree.tostring(root)


def faults(name: str, root: etree._Element) -> list[tuple[str, str | None]]:
    return [(problem.text, problem.path) for problem in schemas().validate(name, root, size=LARGE)]


def test_every_message_of_both_procedures_has_a_schema() -> None:
    plant = "1001 1002 1003 1104 1205 1206 1307 1408 1509 1510 1611 1712 1713 1814 1915 1916 2017 2118 2121 2124 2219 2320 2422 2523 2625"
    animal = "1001 1002 1003 1105 1106 1107 1204 1308 1409 1410 1511 1612 1613 1714 1716 1815 1817 1918"

    expected = {PLANT + kind for kind in plant.split()} | {ANIMAL + kind for kind in animal.split()}

    assert set(names()) == expected


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("name", names())
def test_a_message_is_valid_with_all_it_may_hold_and_with_no_more_than_it_must(name: str, *, full: bool) -> None:
    document = sample(name, full=full)

    assert schemas().validate(name, parse(document), size=len(document)) == ()
    assert model(name).is_valid(etree.fromstring(document))


@pytest.mark.parametrize("kind", list(builders.KINDS))
def test_realistic_messages_are_valid(kind: str) -> None:
    document = builders.message(kind, builders.TWELVE_KB)

    assert schemas().validate(PLANT + kind.replace("/", ""), parse(document), size=len(document)) == ()


@pytest.mark.parametrize("name", names())
def test_a_message_without_one_required_element_is_refused(name: str) -> None:
    whole = parse(sample(name, full=False))
    optional_content = schemas().names() and name.startswith(ANIMAL)
    count = sum(1 for _ in whole.iter())

    for position in range(1, count):
        broken = copy.deepcopy(whole)
        element = list(broken.iter())[position]
        parent = element.getparent()
        assert parent is not None
        if optional_content and parent.tag == "Content":
            continue
        parent.remove(element)
        assert faults(name, broken), f"{name} is valid without {element.tag}"


@pytest.mark.parametrize("name", names())
def test_each_limit_of_a_message_refuses_the_first_value_beyond_it(name: str) -> None:
    whole = parse(sample(name, full=True))
    limited = [element for element in whole.iter() if element.text and set(element.text) == {LONG}]

    for element in limited:
        element.text = (element.text or "") + LONG
        found = faults(name, whole)
        element.text = element.text[:-1]
        assert [text for text, _ in found] == ["schema.too-long"], element.tag
        assert (found[0][1] or "").rstrip("]0123456789[").endswith(str(element.tag))


@pytest.mark.parametrize(
    ("kind", "path", "wrong"),
    [
        ("1307", "Phytosanitary/NSWFileCode", "  \n"),
        ("1307", "Phytosanitary/SignDate", "2026-13-01 00:00:00"),
        ("1307", "Phytosanitary/SignDate", "2026-03-15T08:30:00"),
        ("1307", "Phytosanitary/SignDate", ""),
        ("1307", "Phytosanitary/GoodsList/Goods/Sort", "-1"),
        ("1307", "Phytosanitary/GoodsList/Goods/Sort", "1000000000"),
        ("1307", "Phytosanitary/GoodsList/Goods/Id", "1000000000000000"),
        ("1307", "Phytosanitary/GoodsList/Goods/Quantity", "1.2345"),
        ("1307", "Phytosanitary/GoodsList/Goods/Quantity", "1,5"),
        ("1307", "Phytosanitary/GoodsList/Goods/Quantity", "1000000000000000"),
        ("2118", "PhytosanitaryCer/TypeCer", "10"),
        ("2118", "PhytosanitaryCer/TreatmentCode", "1000"),
        ("2118", "PhytosanitaryCer/CountryExportCode", ""),
        ("1814", "PhytosanitaryFee/TotalFee", "free"),
    ],
)
def test_a_value_outside_its_type_is_refused_where_it_stands(kind: str, path: str, wrong: str) -> None:
    root = parse(sample(PLANT + kind, full=True))
    element = root.find(f"Body/Content/{path}")
    assert element is not None
    element.text = wrong

    found = faults(PLANT + kind, root)

    assert len(found) == 1
    assert (found[0][1] or "").replace("[1]", "") == f"/Envelope/Body/Content/{path}"


def test_the_subject_stands_in_any_order() -> None:
    root = parse(sample(PLANT + "1307", full=True))
    subject = root.find("Header/Subject")
    assert subject is not None
    subject[:] = reversed(list(subject))

    assert faults(PLANT + "1307", root) == []


@pytest.mark.parametrize("date", ["2026-03-15 08:30:00", "2026-03-15 08:30:00.123", "2026-03-15T08:30:00+07:00", "2026-03-15 08:30:00Z"])
def test_a_send_date_may_name_a_fraction_and_a_zone(date: str) -> None:
    root = parse(sample(PLANT + "1307", full=True))
    field = root.find("Header/Subject/sendDate")
    assert field is not None
    field.text = date

    assert faults(PLANT + "1307", root) == []


def test_both_signatures_may_be_absent_empty_or_there() -> None:
    for inside in (None, "", f'<s:Signature xmlns:s="{DS}"><s:SignedInfo/></s:Signature>'):
        root = parse(sample(PLANT + "1307", full=True))
        body = root.find("Body")
        assert body is not None
        if inside is not None:
            body.append(etree.fromstring(f"<Signature>{inside}</Signature>"))
            root.append(etree.fromstring(f"<SystemSignature>{inside}</SystemSignature>"))

        assert faults(PLANT + "1307", root) == []


@pytest.mark.parametrize("place", ["Body", "Body/Content"])
def test_a_signature_in_another_place_is_refused(place: str) -> None:
    root = parse(sample(PLANT + "1307", full=True))
    holder = root.find(place)
    assert holder is not None
    etree.SubElement(holder, f"{{{DS}}}Signature")

    assert faults(PLANT + "1307", root)


def test_a_second_business_element_is_refused() -> None:
    root = parse(sample(PLANT + "1307", full=True))
    content = root.find("Body/Content")
    assert content is not None
    content.append(copy.deepcopy(content[0]))

    assert faults(PLANT + "1307", root) == [("schema.superfluous", "/Envelope/Body/Content/Phytosanitary[2]")]


@pytest.mark.parametrize("name", names())
def test_schemas_declare_both_signatures_optional(name: str) -> None:
    assert schemas().slots(name) == ("optional", "optional")


# --- how the files are written ------------------------------------------------------------------------------------------

FILES = sorted((XSD / "vnsw").rglob("*.xsd"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_declaration_is_documented_in_both_languages(file: Path) -> None:
    root = parse(file.read_bytes())
    declared = [root, *(e for e in root.iter(f"{{{XS}}}element", f"{{{XS}}}attribute", f"{{{XS}}}simpleType") if e.get("name"))]

    for component in declared:
        texts = component.iterfind(f"{{{XS}}}annotation/{{{XS}}}documentation")
        languages = {text.get(f"{{{XML}}}lang"): (text.text or "").strip() for text in texts}
        assert languages.keys() == {"vi", "en"}, component.get("name")
        assert all(languages.values()), component.get("name")


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_no_pattern_can_back_track(file: Path) -> None:
    document = Sources(overlay([XSD])).open(file.relative_to(XSD).as_posix())

    assert slow_patterns(document) == ()


def test_schemas_of_the_portals_messages_say_that_they_are_ours() -> None:
    for name in names():
        entry = schemas()._entries[name][0].compiled.closure.entry
        is_ours = name.startswith(PLANT) and name.removeprefix(PLANT) in OURS
        assert (b"Written for this gateway" in entry.data) == is_ours, name
