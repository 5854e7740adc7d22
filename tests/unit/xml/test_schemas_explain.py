"""Explanations: where, what was found, what was expected, in both languages, from both engines."""

import copy
from functools import cache

import pytest
from lxml import etree

from gateway.errors import Problem, explain, remedy
from gateway.testing import builders
from gateway.xml.compiled import MAX_EXPLAINED, MAX_PROBLEMS, Schema
from gateway.xml.parse import line_of, parse
from gateway.xml.shipped import shipped
from gateway.xml.sources import Sources, overlay

SMALL, LARGE = 1000, MAX_EXPLAINED + 1
CONTENT = "/Envelope/Body/Content"
REGISTRATION = f"{CONTENT}/Phytosanitary"

SHAPES = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:s" xmlns="urn:s" elementFormDefault="qualified">
<xs:element name="shapes"><xs:complexType><xs:sequence>
<xs:choice><xs:element name="circle" type="xs:decimal"/><xs:element name="square" type="xs:decimal"/></xs:choice>
<xs:element name="kind" minOccurs="0"><xs:simpleType><xs:restriction base="xs:string">
<xs:enumeration value="A"/><xs:enumeration value="B"/></xs:restriction></xs:simpleType></xs:element>
<xs:element name="made" type="xs:dateTime" minOccurs="0"/>
<xs:element name="fixed" type="xs:string" fixed="Z" minOccurs="0"/>
<xs:element name="none" minOccurs="0"><xs:complexType/></xs:element>
<xs:element name="either" minOccurs="0"><xs:simpleType><xs:union memberTypes="xs:int xs:date"/></xs:simpleType></xs:element>
<xs:element name="many" type="xs:int" minOccurs="0" maxOccurs="2"/>
<xs:element name="code" minOccurs="0"><xs:simpleType><xs:restriction base="xs:string"><xs:pattern value="[A-Z]{3}"/></xs:restriction>
</xs:simpleType></xs:element>
<xs:element name="sum" minOccurs="0"><xs:simpleType><xs:restriction base="xs:decimal"><xs:totalDigits value="3"/>
<xs:minExclusive value="0"/><xs:maxExclusive value="999"/></xs:restriction></xs:simpleType></xs:element>
<xs:element name="name" minOccurs="0"><xs:simpleType><xs:restriction base="xs:string"><xs:minLength value="2"/></xs:restriction>
</xs:simpleType></xs:element>
</xs:sequence><xs:attribute name="id" type="xs:int" use="required"/></xs:complexType></xs:element></xs:schema>"""


@cache
def application() -> Schema:
    return Schema(Sources(overlay([shipped("xsd")])).closure("vnsw/1.0/BNNPTNT0300002/application.xsd"))


@cache
def shapes() -> Schema:
    return Schema(Sources({"shapes.xsd": SHAPES.encode()}.__getitem__).closure("shapes.xsd"))


def document() -> etree._Element:
    """Give an application with three goods, each element on its own line."""
    root = parse(builders.message("10/01"))
    etree.indent(root)
    return parse(etree.tostring(root))


def at(root: etree._Element, path: str) -> etree._Element:
    found = root.find(path)
    assert found is not None
    return found


def goods(root: etree._Element, number: int) -> etree._Element:
    return root.findall("Body/Content/Phytosanitary/GoodsList/Goods")[number - 1]


def only(root: etree._Element, *, size: int = SMALL, schema: Schema | None = None) -> Problem:
    found = (schema or application()).problems(root, size=size)
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_value_too_long_is_named_with_its_index_and_line(size: int) -> None:
    root = document()
    code = at(goods(root, 2), "HsCode")
    code.text = "8109092-8109092-8109092"

    problem = only(root, size=size)

    assert (problem.text, problem.path) == ("schema.too-long", f"{REGISTRATION}/GoodsList/Goods[2]/HsCode")
    assert problem.line == line_of(code)
    assert problem.values["found"] == "8109092-8109092-8109092"
    assert (problem.values["length"], problem.values["limit"]) == ("23", "12")


def test_an_explanation_speaks_both_languages_and_names_the_field() -> None:
    root = document()
    at(goods(root, 2), "HsCode").text = "8109092-8109092"

    problem = only(root)

    assert explain(problem, "vi") == "Giá trị của <HsCode> (Mã HS của hàng hóa) dài 15 ký tự; tối đa là 12."
    assert explain(problem, "en") == "The value of <HsCode> (HS commodity code) has 15 characters; at most 12 are allowed."
    assert remedy(problem, "vi") == "Rút ngắn “8109092-8109092” còn nhiều nhất 12 ký tự, kể cả khoảng trắng."


def test_a_long_value_is_quoted_shortened() -> None:
    root = document()
    at(root, "Body/Content/Phytosanitary/Uses").text = "rất   dài " * 1000

    problem = only(root)

    assert len(problem.values["found"]) <= 61
    assert problem.values["found"].startswith("rất dài rất dài")


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_missing_element_is_told_of_its_parent(size: int) -> None:
    root = document()
    parent = goods(root, 3)
    parent.remove(at(parent, "HsCode"))

    problem = only(root, size=size)

    assert problem.path == f"{REGISTRATION}/GoodsList/Goods[3]"
    assert problem.values["expected"] == "HsCode"


def test_a_missing_element_is_told_after_which_one_it_belongs() -> None:
    root = document()
    parent = goods(root, 1)
    parent.remove(at(parent, "ManufactureAddress"))

    problem = only(root)

    assert problem.text == "schema.missing-after"
    assert problem.values["after"] == "CodeOfManufacture"
    assert problem.line == line_of(at(parent, "CodeOfManufacture"))
    assert "<ManufactureAddress> (Địa chỉ cơ sở sản xuất)" in explain(problem, "vi")


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_misspelt_name_is_corrected(size: int) -> None:
    root = document()
    at(root, "Body/Content/Phytosanitary/AddressOfRegistration").tag = "AdressOfRegistration"

    problem = only(root, size=size)

    assert (problem.text, problem.path) == ("schema.misnamed", f"{REGISTRATION}/AdressOfRegistration")
    assert problem.values["expected"] == "AddressOfRegistration"


def test_only_the_element_out_of_order_is_told() -> None:
    root = document()
    parent = goods(root, 2)
    parent.insert(0, at(parent, "HsCode"))

    problem = only(root)

    assert (problem.text, problem.path) == ("schema.order", f"{REGISTRATION}/GoodsList/Goods[2]/HsCode")
    assert problem.values["after"] == "ContractNumber"


def test_an_element_that_belongs_first_is_told_so() -> None:
    root = document()
    parent = goods(root, 2)
    parent.append(at(parent, "Sort"))

    problem = only(root)

    assert (problem.text, problem.path) == ("schema.order-first", f"{REGISTRATION}/GoodsList/Goods[2]/Sort")


def test_a_repeated_element_is_told_at_the_superfluous_one() -> None:
    root = document()
    element = at(root, "Header/From/name")
    element.addnext(copy.deepcopy(element))

    problem = only(root)

    assert (problem.text, problem.path) == ("schema.repeated", "/Envelope/Header/From/name[2]")
    assert problem.values["count"] == "2"


def test_several_faults_of_one_element_are_all_told() -> None:
    root = document()
    parent = goods(root, 1)
    parent.remove(at(parent, "HsCode"))
    at(parent, "NameOfGoods").tag = "NameOfGood"
    etree.SubElement(parent, "Colour").text = "red"

    found = application().problems(root, size=SMALL)

    assert sorted(problem.text for problem in found) == ["schema.misnamed", "schema.missing-after", "schema.unexpected"]


def test_many_missing_elements_are_one_problem() -> None:
    root = document()
    goods(root, 2)[:] = []

    problem = only(root)

    assert problem.text == "schema.missing-many"
    assert problem.values["expected"] == "Sort, Id, NameOfGoods, Manufacture, ManufactureAddress, HsCode"


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("text", ["", "   "])
def test_an_empty_value_is_called_empty(text: str, size: int) -> None:
    root = document()
    at(root, "Body/Content/Phytosanitary/NSWFileCode").text = text

    assert only(root, size=size).text == "schema.empty"


def test_an_expected_form_comes_from_the_schemas_documentation() -> None:
    root = document()
    at(root, "Body/Content/Phytosanitary/SignDate").text = "12/10/2026"

    problem = only(root)

    assert problem.text == "schema.value"
    assert "yyyy-MM-dd HH:mm:ss" in explain(problem, "vi")
    assert "“12/10/2026”" in explain(problem, "en")


def test_problems_come_in_the_order_of_lines() -> None:
    root = document()
    at(root, "Header/Subject/documentYear").text = "MMXXVI"
    root[0].remove(at(root, "Header/From"))
    at(goods(root, 3), "Sort").text = "three"

    lines = [problem.line or 0 for problem in application().problems(root, size=SMALL)]

    assert len(lines) == 3
    assert lines == sorted(lines)


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_no_more_than_twenty_problems_are_told(size: int) -> None:
    root = document()
    listed = at(root, "Body/Content/Phytosanitary/GoodsList")
    for _ in range(40):
        listed.append(copy.deepcopy(listed[0]))
    for element in listed.iter("Sort"):
        element.text = "x"

    assert len(application().problems(root, size=size)) == MAX_PROBLEMS


def test_paths_are_those_of_a_copy_without_signatures() -> None:
    root = document()
    at(goods(root, 2), "HsCode").text = ""

    assert only(copy.deepcopy(root)).line == line_of(at(goods(root, 2), "HsCode"))


def test_a_part_of_a_larger_document_is_judged_from_its_own_root() -> None:
    inner = document()
    at(goods(inner, 2), "HsCode").text = ""
    wrapper = etree.Element("wrapper")
    wrapper.append(inner)

    for size in (SMALL, LARGE):
        assert only(inner, size=size).path == f"{REGISTRATION}/GoodsList/Goods[2]/HsCode"


SHAPE_FAULTS = [
    ("<{}circle>x</{}circle>", "value", "circle"),
    ("<{}circle/>", "empty", "circle"),
    ("<{}circle>1</{}circle><{}kind>C</{}kind>", "value", "kind"),
    ("<{}circle>1</{}circle><{}made>yesterday</{}made>", "value", "made"),
    ("<{}circle>1</{}circle><{}fixed>Y</{}fixed>", "fixed", "fixed"),
    ("<{}circle>1</{}circle><{}none>text</{}none>", "not-empty", "none"),
    ("<{}circle>1</{}circle><{}either>q</{}either>", "value", "either"),
    ("<{}circle>1</{}circle><{}code>abc</{}code>", "value", "code"),
    ("<{}circle>1</{}circle><{}sum>0</{}sum>", "above", "sum"),
    ("<{}circle>1</{}circle><{}sum>999</{}sum>", "below", "sum"),
    ("<{}circle>1</{}circle><{}sum>1.234</{}sum>", "digits", "sum"),
    ("<{}circle>1</{}circle><{}name>a</{}name>", "too-short", "name"),
    ("<{}circle>1<{}point/></{}circle>", "children", "circle"),
    ("<{}circle>1</{}circle>loose", "text-between", ""),
]


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("prefix", ["", "s:"])
@pytest.mark.parametrize(("inside", "text", "name"), SHAPE_FAULTS)
def test_both_engines_name_the_fault_and_the_place(inside: str, text: str, name: str, prefix: str, size: int) -> None:
    space = 'xmlns:s="urn:s"' if prefix else 'xmlns="urn:s"'
    root = parse(f'<{prefix}shapes {space} id="1">{inside.replace("{}", prefix)}</{prefix}shapes>'.encode())

    problem = only(root, size=size, schema=shapes())

    assert (problem.text, problem.path) == (f"schema.{text}", f"/{prefix}shapes" + (f"/{prefix}{name}" if name else ""))
    assert explain(problem, "vi") != explain(problem, "en")
    assert "…" not in explain(problem, "vi")


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize(
    ("attributes", "text", "path"),
    [
        ("", "attribute-missing", "/shapes/@id"),
        ('id="x"', "value", "/shapes/@id"),
        ('id="1" colour="red"', "attribute-unknown", "/shapes/@colour"),
    ],
)
def test_attributes_are_told_by_name(attributes: str, text: str, path: str, size: int) -> None:
    root = parse(f'<shapes xmlns="urn:s" {attributes}><circle>1</circle></shapes>'.encode())

    problem = only(root, size=size, schema=shapes())

    assert (problem.text, problem.path) == (f"schema.{text}", path)


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_choice_not_made_lists_what_may_stand(size: int) -> None:
    root = parse(b'<shapes xmlns="urn:s" id="1"/>')

    problem = only(root, size=size, schema=shapes())

    assert (problem.text, problem.values["expected"]) == ("schema.missing-one", "circle, square")


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_choice_made_wrongly_lists_what_may_stand(size: int) -> None:
    root = parse(b'<shapes xmlns="urn:s" id="1"><hexagon>1</hexagon></shapes>')

    problem = only(root, size=size, schema=shapes())

    assert (problem.text, problem.path) == ("schema.unexpected", "/shapes/hexagon")
    assert problem.values["expected"] == "circle, square"


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_wrong_root_is_told_as_such(size: int) -> None:
    problem = only(parse(b"<triangle/>"), size=size, schema=shapes())

    assert (problem.text, problem.path) == ("schema.root", "/triangle")


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_type_that_names_nothing_is_told_in_libxml2s_words(size: int) -> None:
    xsi = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    root = parse(f'<shapes xmlns="urn:s" {xsi} id="1"><circle xsi:type="round">1</circle></shapes>'.encode())

    problem = only(root, size=size, schema=shapes())

    assert (problem.text, problem.path) == ("schema.other", "/shapes/circle")
    assert "xsi:type" in problem.values["reason"]


@pytest.mark.parametrize("value", [" 2026-01-01T00:00:00", "2026-01-01T00:00:00\n"])
def test_white_space_around_a_built_in_date_is_allowed(value: str) -> None:
    root = parse(f'<shapes xmlns="urn:s" id="1"><circle>1</circle><made>{value}</made></shapes>'.encode())

    assert shapes().problems(root, size=SMALL) == ()
    assert (root[1].text or "") == value


def test_white_space_does_not_excuse_another_fault() -> None:
    root = parse(b'<shapes xmlns="urn:s" id="1"><circle>1</circle><made> 2026-01-01T00:00:00</made><either> q </either></shapes>')

    assert "/shapes/either" in [problem.path for problem in shapes().problems(root, size=SMALL)]


def test_location_hints_of_a_document_load_nothing() -> None:
    xsi = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    hint = 'xsi:schemaLocation="urn:other file:///etc/passwd http://127.0.0.1:9/x.xsd x"'
    root = parse(f'<shapes xmlns="urn:s" {xsi} {hint} id="1"><circle>x</circle></shapes>'.encode())

    assert only(root, schema=shapes()).path == "/shapes/circle"
