"""Opening schema documents: what is inside the folders, and nothing else."""

from pathlib import Path

import pytest

from gateway.xml.compiled import Schema, slow_patterns
from gateway.xml.parse import parse
from gateway.xml.sources import SchemasInvalid, Sources, is_inside, overlay, resolved

HEAD = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"'


def sources(**files: str) -> Sources:
    return Sources({f"{name}.xsd": text.encode() for name, text in files.items()}.__getitem__)


def reading(folder: Path) -> Sources:
    return Sources(overlay([folder]))


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x.xsd", "a/../../x.xsd", "C:/x.xsd", "a\\x.xsd", "x\0.xsd", "file:/etc/passwd"])
def test_names_that_lead_out_are_not_inside(name: str) -> None:
    assert not is_inside(name)


@pytest.mark.parametrize(
    ("base", "location", "name"),
    [
        ("a/b.xsd", "c.xsd", "a/c.xsd"),
        ("a/b.xsd", "../c.xsd", "c.xsd"),
        ("b.xsd", "a%20b&c.xsd", "a b&c.xsd"),
        ("b.xsd", "./c.xsd", "c.xsd"),
    ],
)
def test_locations_are_read_from_the_document_that_names_them(base: str, location: str, name: str) -> None:
    assert resolved(base, location) == name


def test_a_link_out_of_a_folder_counts_as_absent(tmp_path: Path) -> None:
    (tmp_path / "secret.xsd").write_text(HEAD + "/>")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link.xsd").symlink_to(tmp_path / "secret.xsd")

    with pytest.raises(FileNotFoundError):
        reading(folder).open("link.xsd")


def test_a_circle_of_includes_ends(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        text = f'{HEAD}><xs:include schemaLocation="{other}.xsd"/><xs:element name="{name}" type="xs:int"/></xs:schema>'
        (tmp_path / f"{name}.xsd").write_text(text)

    closure = reading(tmp_path).closure("a.xsd")

    assert [document.name for document in closure.documents] == ["a.xsd", "b.xsd"]
    assert Schema(closure).problems(parse(b"<b>1</b>"), size=9) == ()


def test_an_include_of_too_many_files_ends(tmp_path: Path) -> None:
    for number in range(502):
        text = f'{HEAD}><xs:include schemaLocation="{number + 1}.xsd"/></xs:schema>'
        (tmp_path / f"{number}.xsd").write_text(text)

    with pytest.raises(SchemasInvalid) as refusal:
        reading(tmp_path).closure("0.xsd")

    assert [problem.text for problem in refusal.value.problems] == ["schema.file-count"]


def test_a_remote_import_is_answered_by_the_file_of_its_namespace(tmp_path: Path) -> None:
    (tmp_path / "o.xsd").write_text(f'{HEAD} targetNamespace="urn:o"><xs:element name="o" type="xs:int"/></xs:schema>')
    (tmp_path / "m.xsd").write_text(
        f'{HEAD} xmlns:o="urn:o" targetNamespace="urn:m"><xs:import namespace="urn:o" schemaLocation="http://127.0.0.1:9/o.xsd"/>'
        '<xs:element name="m"><xs:complexType><xs:sequence><xs:element ref="o:o"/></xs:sequence></xs:complexType></xs:element></xs:schema>'
    )
    (tmp_path / "all.xsd").write_text(
        f'{HEAD}><xs:import namespace="urn:m" schemaLocation="m.xsd"/><xs:import namespace="urn:o" schemaLocation="o.xsd"/></xs:schema>'
    )

    schema = Schema(reading(tmp_path).closure("all.xsd"))

    assert schema.problems(parse(b'<m xmlns="urn:m"><o xmlns="urn:o">1</o></m>'), size=50) == ()
    assert schema.problems(parse(b'<m xmlns="urn:m"><o xmlns="urn:o">x</o></m>'), size=50)[0].text == "schema.value"


def test_opening_schemas_leaves_the_parser_of_documents_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.xsd").write_text(f'{HEAD}><xs:element name="a"/></xs:schema>')
    Schema(reading(tmp_path).closure("a.xsd"))

    assert parse(b"<a/>").getroottree().parser is not parse(b"<a/>").getroottree().parser


@pytest.mark.parametrize("pattern", [r"(\s*[^\s]\s*)+", "(a+)+", "(a*)*b", "((ab)*c)+", "(a{2,})*", "([^)]+)*"])
def test_nested_repetition_is_found(pattern: str) -> None:
    document = sources(p=_with_pattern(pattern)).open("p.xsd")

    assert len(slow_patterns(document)) == 1


@pytest.mark.parametrize("pattern", [r"\s*\S[\s\S]*", "[0-9]{4}(-[0-9]{2}){2}", r"\(a+\)+", "[(a+)]+", "(a|b)*", "(a{2})+", "(a+)?b*"])
def test_plain_repetition_is_left_alone(pattern: str) -> None:
    document = sources(p=_with_pattern(pattern)).open("p.xsd")

    assert slow_patterns(document) == ()


def _with_pattern(pattern: str) -> str:
    restriction = f'<xs:restriction base="xs:string"><xs:pattern value="{pattern}"/></xs:restriction>'
    return f'{HEAD}><xs:simpleType name="P">{restriction}</xs:simpleType></xs:schema>'
