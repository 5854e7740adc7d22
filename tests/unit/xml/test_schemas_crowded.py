"""Documents with very many siblings: the same verdicts and places, without the cost of counting siblings for each fault."""

import pytest
from lxml import etree

from gateway.xml.compiled import MAX_PROBLEMS, Schema
from gateway.xml.crowded import MAX_SIBLINGS, is_crowded
from gateway.xml.parse import parse
from gateway.xml.sources import Sources

MANY = 5000
SCHEMA = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:l" xmlns="urn:l" elementFormDefault="qualified">
<xs:element name="list"><xs:complexType><xs:sequence>
<xs:element name="head" type="xs:string"/>
<xs:element name="item" maxOccurs="unbounded"><xs:complexType><xs:sequence>
<xs:element name="code" type="xs:int"/><xs:element name="part" type="xs:int" minOccurs="0" maxOccurs="300"/>
</xs:sequence><xs:attribute name="id" type="xs:int"/></xs:complexType></xs:element>
<xs:element name="tail" type="xs:int"/>
</xs:sequence></xs:complexType></xs:element></xs:schema>"""


@pytest.fixture(scope="module")
def schema() -> Schema:
    return Schema(Sources({"list.xsd": SCHEMA.encode()}.__getitem__).closure("list.xsd"))


def document(*, prefix: str = "", **changes: str) -> bytes:
    """Write a list; `changes` replace items by their number (`_17`), the head or the tail."""
    space = f'xmlns:{prefix[:-1]}="urn:l"' if prefix else 'xmlns="urn:l"'
    items = [
        changes.get(f"_{number}", f"<{prefix}item id='1'>\n<{prefix}code>{number}</{prefix}code></{prefix}item>")
        for number in range(1, MANY + 1)
    ]
    head = changes.get("head", f"<{prefix}head>đầu &lt;</{prefix}head>")
    tail = changes.get("tail", f"<{prefix}tail>1</{prefix}tail>")
    return f"<{prefix}list {space}>{head}\n{''.join(items)}{tail}</{prefix}list>".encode()


def found(schema: Schema, data: bytes) -> list[tuple[str, str | None, int | None]]:
    root = parse(data)
    assert is_crowded(root, len(data))
    return [(problem.text, problem.path, problem.line) for problem in schema.problems(root, size=len(data))]


@pytest.mark.parametrize("prefix", ["", "l:"])
def test_a_long_valid_list_is_valid(schema: Schema, prefix: str) -> None:
    assert found(schema, document(prefix=prefix)) == []


@pytest.mark.parametrize("number", [1, 2, 17, 2500, MANY - 1, MANY])
def test_one_fault_among_thousands_is_found_in_its_place(schema: Schema, number: int) -> None:
    data = document(**{f"_{number}": "<item><code>x</code></item>"})

    line = data[: data.index(b">x<")].count(b"\n") + 1
    assert found(schema, data) == [("schema.value", f"/list/item[{number}]/code", line)]


def test_a_fault_is_named_with_the_documents_prefix(schema: Schema) -> None:
    data = document(prefix="l:", _4000="<l:item id='x'><l:code>1</l:code></l:item>")

    assert [(text, path) for text, path, _ in found(schema, data)] == [("schema.value", "/l:list/l:item[4000]/@id")]


def test_faults_at_both_ends_are_found(schema: Schema) -> None:
    data = document(_1="<item><code>x</code></item>", tail="<tail>x</tail>")

    assert [path for _, path, _ in found(schema, data)] == ["/list/item[1]/code", "/list/tail"]


def test_a_missing_end_is_told_of_the_list(schema: Schema) -> None:
    assert [(text, path) for text, path, _ in found(schema, document(tail=""))] == [("schema.missing-one", "/list")]


def test_a_fault_in_a_list_within_a_list_is_found(schema: Schema) -> None:
    parts = "".join(f"<part>{'x' if number == 250 else number}</part>" for number in range(1, 301))

    data = document(_4321=f"<item><code>1</code>{parts}</item>")

    assert [(text, path) for text, path, _ in found(schema, data)] == [("schema.value", "/list/item[4321]/part[250]")]


def test_one_sibling_too_many_is_told_where_it_begins(schema: Schema) -> None:
    data = document(_4321=f"<item><code>1</code>{'<part>1</part>' * 301}</item>")

    [(text, path, _)] = found(schema, data)

    assert text == "schema.superfluous"
    assert (path or "").startswith("/list/item[4321]/part[")


def test_no_more_than_twenty_of_thousands_are_told(schema: Schema) -> None:
    data = document().replace(b"<code>", b"<code>x")

    told = found(schema, data)

    assert len(told) == MAX_PROBLEMS
    assert [path for _, path, _ in told] == [f"/list/item[{number}]/code" for number in range(1, MAX_PROBLEMS + 1)]


def test_thousands_of_unknown_children_are_one_problem(schema: Schema) -> None:
    data = b'<list xmlns="urn:l">' + b"<w/>" * 50_000 + b"</list>"

    assert [(text, path) for text, path, _ in found(schema, data)] == [("schema.unexpected", "/list/w[1]")]


def test_an_ordinary_document_is_not_crowded() -> None:
    root = etree.Element("list")
    for _ in range(MAX_SIBLINGS):
        etree.SubElement(root, "item")

    assert not is_crowded(root, 1_000_000)
    etree.SubElement(root, "item")
    assert is_crowded(root, 1_000_000)
    assert not is_crowded(root, 1000)
