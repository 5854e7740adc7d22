"""The registry: which folder and version wins, names, slots, and what load() refuses."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.errors import Code, NotValid
from gateway.xml.parse import parse
from gateway.xml.schemas import Schemas
from gateway.xml.shipped import shipped
from gateway.xml.sources import SchemasInvalid

HEAD = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"'
WORD = HEAD + '><xs:include schemaLocation="types.xsd"/><xs:element name="word" type="Word"/></xs:schema>'
OTHER = HEAD + ' targetNamespace="urn:o"><xs:element name="other" type="xs:int"/></xs:schema>'


def types(limit: int) -> str:
    return (
        f'{HEAD}><xs:simpleType name="Word"><xs:restriction base="xs:string"><xs:maxLength value="{limit}"/>'
        "</xs:restriction></xs:simpleType></xs:schema>"
    )


def pack(name: str = "words", *, version: str = "1", dates: str = "", schemas: str = '"Word" = "a/word.xsd"') -> str:
    return f'[[pack]]\nname = "{name}"\nversion = "{version}"\n{dates}\n[pack.schemas]\n{schemas}\n'


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_xsd", ".xsd").replace("_toml", ".toml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder


@pytest.fixture
def words(tmp_path: Path) -> Path:
    return write(tmp_path / "shipped", catalog_toml=pack(), a__word_xsd=WORD, a__types_xsd=types(5))


def is_valid(schemas: Schemas, name: str, text: str, at: datetime | None = None) -> bool:
    document = f"<word>{text}</word>".encode()
    return schemas.validate(name, parse(document), size=len(document), at=at) == ()


def test_a_schema_judges_by_its_name(words: Path) -> None:
    schemas = Schemas.load([words])

    assert schemas.names() == ("Word",)
    assert is_valid(schemas, "Word", "short")
    assert not is_valid(schemas, "Word", "longer")


def test_an_override_replaces_one_file_and_leaves_the_rest(words: Path, tmp_path: Path) -> None:
    override = write(tmp_path / "override", a__types_xsd=types(6))

    schemas = Schemas.load([override, words])

    assert is_valid(schemas, "Word", "longer")


def test_an_override_changes_the_version_that_is_recorded(words: Path, tmp_path: Path) -> None:
    override = write(tmp_path / "override", a__types_xsd=types(6))

    before, after = Schemas.load([words]), Schemas.load([override, words])

    assert before.pack("Word").startswith("words@1+")
    assert after.pack("Word").startswith("words@1+")
    assert before.pack("Word") != after.pack("Word")
    assert before.version == before.pack("Word")


def test_a_pack_of_an_earlier_folder_wins(words: Path, tmp_path: Path) -> None:
    own = write(tmp_path / "own", ministry__catalog_toml=pack("official", schemas='"Word" = "w.xsd"'), ministry__w_xsd=types(9))
    write(own, ministry__w_xsd=WORD.replace("types.xsd", "t.xsd"), ministry__t_xsd=types(9))

    schemas = Schemas.load([own, words])

    assert schemas.pack("Word").startswith("official@1+")
    assert is_valid(schemas, "Word", "nine char")


def test_the_moment_of_receipt_chooses_the_version(tmp_path: Path) -> None:
    old = pack(version="1", dates="valid_to = 2026-01-01T00:00:00+07:00")
    new = pack(version="2", dates="valid_from = 2026-01-01T00:00:00+07:00", schemas='"Word" = "b/word.xsd"')
    folder = write(tmp_path, catalog_toml=old + new, a__word_xsd=WORD, a__types_xsd=types(5), b__word_xsd=WORD, b__types_xsd=types(6))
    schemas = Schemas.load([folder])
    before, after = datetime(2025, 12, 31, 16, 59, tzinfo=UTC), datetime(2025, 12, 31, 17, 0, tzinfo=UTC)

    assert not is_valid(schemas, "Word", "longer", before)
    assert is_valid(schemas, "Word", "longer", after)
    assert is_valid(schemas, "Word", "longer")
    assert schemas.pack("Word", at=before).startswith("words@1+")
    assert schemas.pack("Word", at=after).startswith("words@2+")


def test_a_schema_that_is_not_in_force_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, catalog_toml=pack(dates="valid_from = 2026-01-01T00:00:00+07:00"), a__word_xsd=WORD, a__types_xsd=types(5))
    schemas = Schemas.load([folder])

    with pytest.raises(NotValid) as refusal:
        is_valid(schemas, "Word", "short", datetime(2020, 1, 1, tzinfo=UTC))

    assert refusal.value.code is Code.MESSAGE_UNKNOWN


def test_an_unknown_name_is_refused(words: Path) -> None:
    with pytest.raises(NotValid) as refusal:
        Schemas.load([words]).slots("Nothing")

    assert refusal.value.problems[0].text == "schema.not-in-force"


def test_a_bare_document_finds_its_schema_by_its_root(words: Path) -> None:
    write(words, catalog_toml=pack(schemas='"Word" = "a/word.xsd"\n"Other" = "o.xsd"'), o_xsd=OTHER)
    schemas = Schemas.load([words])

    assert schemas.name_for(parse(b"<word/>")) == "Word"
    assert schemas.name_for(parse(b'<x:other xmlns:x="urn:o">1</x:other>')) == "Other"
    assert schemas.name_for(parse(b"<other/>")) is None


def test_an_envelope_finds_no_schema_by_its_root() -> None:
    schemas = Schemas.load([shipped("xsd")])

    assert schemas.name_for(parse(b"<Envelope/>")) is None
    certificate = b'<SPSCertificate xmlns="urn:un:unece:uncefact:data:standard:SPSCertificate:17"/>'
    assert schemas.name_for(parse(certificate)) == "SPSCertificate-17"


def test_load_reports_what_is_wrong_with_every_file(tmp_path: Path) -> None:
    catalog = pack(schemas='"A" = "a.xsd"\n"B" = "b.xsd"\n"C" = "c.xsd"')
    folder = write(tmp_path, catalog_toml=catalog, a_xsd=HEAD, b_xsd=f'{HEAD}><xs:element name="b" type="None"/></xs:schema>')

    with pytest.raises(SchemasInvalid) as refusal:
        Schemas.load([folder])

    assert refusal.value.code is Code.RULES
    assert [(p.path, p.text.partition(".")[0] if p.path == "a.xsd" else p.text) for p in refusal.value.problems] == [
        ("a.xsd", "xml"),
        ("b.xsd", "schema.file-invalid"),
        ("c.xsd", "schema.file-missing"),
    ]


def test_an_empty_installation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemasInvalid) as refusal:
        Schemas.load([tmp_path])

    assert refusal.value.problems[0].text == "schema.catalog-none"


def test_shipped_schemas_load_and_name_their_packs() -> None:
    version = Schemas.load([shipped("xsd")]).version

    assert [part.partition("+")[0] for part in version.split()] == ["ippc@17", "vnsw-animal-import@1.0", "vnsw-plant-export@1.0"]
