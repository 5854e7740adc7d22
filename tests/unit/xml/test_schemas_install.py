"""Installing a folder: what is mended, what is refused and why, and that nothing outside the folder is touched."""

from pathlib import Path

import pytest

from gateway.errors import explain
from gateway.xml.install import FileReport, InstallReport, install
from gateway.xml.parse import parse
from gateway.xml.schemas import Schemas
from gateway.xml.sources import SchemasInvalid

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"'
NAME = '<xs:simpleType name="Name"><xs:restriction base="xs:string"><xs:maxLength value="9"/></xs:restriction></xs:simpleType>'
TYPES = HEAD + f">\n{NAME}</xs:schema>"
GOOD = HEAD + '>\n<xs:include schemaLocation="types.xsd"/>\n<xs:element name="doc" type="Name"/>\n</xs:schema>'


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


def installed(tmp_path: Path, files: dict[str, str | bytes]) -> InstallReport:
    return install(write(tmp_path / "pack", files), tmp_path / "schemas")


def of(report: InstallReport, name: str) -> FileReport:
    return next(file for file in report.files if file.file == name)


def is_valid(tmp_path: Path, name: str, document: bytes) -> bool:
    return Schemas.load([tmp_path / "schemas"]).validate(name, parse(document), size=len(document)) == ()


def test_a_good_folder_is_installed_and_serves(tmp_path: Path) -> None:
    report = installed(tmp_path, {"BNN&PTNT03000021001.xsd": GOOD, "types.xsd": TYPES})

    assert report.is_complete
    assert {file.file: (file.state, file.schema) for file in report.files} == {
        "BNN&PTNT03000021001.xsd": ("good", "BNN&PTNT03000021001"),
        "types.xsd": ("good", None),
    }
    assert is_valid(tmp_path, "BNN&PTNT03000021001", b"<doc>x</doc>")
    assert not is_valid(tmp_path, "BNN&PTNT03000021001", b"<doc>1234567890</doc>")


def test_a_good_file_is_copied_byte_by_byte(tmp_path: Path) -> None:
    report = installed(tmp_path, {"doc.xsd": GOOD, "types.xsd": TYPES})

    assert report.folder is not None
    assert (report.folder / "doc.xsd").read_bytes() == GOOD.encode()


def test_an_empty_target_namespace_is_taken_out(tmp_path: Path) -> None:
    faulty = TYPES.replace("<xs:schema", '<xs:schema targetNamespace=""')

    report = installed(tmp_path, {"doc.xsd": GOOD, "types.xsd": faulty})

    assert report.is_complete
    assert [(repair.text, repair.line) for repair in of(report, "types.xsd").repairs] == [("schema.mended-namespace", 2)]
    assert is_valid(tmp_path, "doc", b"<doc>x</doc>")


def test_an_include_in_other_letters_finds_its_file(tmp_path: Path) -> None:
    report = installed(tmp_path, {"doc.xsd": GOOD, "Types.XSD": TYPES})

    repair = of(report, "doc.xsd").repairs[0]
    assert report.is_complete
    assert (repair.text, repair.values["new"]) == ("schema.mended-location", "Types.XSD")


def test_an_include_finds_the_one_file_of_its_name(tmp_path: Path) -> None:
    report = installed(tmp_path, {"messages/doc.xsd": GOOD, "common/types.xsd": TYPES})

    assert of(report, "messages/doc.xsd").repairs[0].values["new"] == "../common/types.xsd"
    assert is_valid(tmp_path, "doc", b"<doc>x</doc>")


def test_a_missing_include_that_nothing_needs_is_taken_out(tmp_path: Path) -> None:
    needless = GOOD.replace('type="Name"', 'type="xs:string"')

    report = installed(tmp_path, {"doc.xsd": needless})

    assert [repair.text for repair in of(report, "doc.xsd").repairs] == ["schema.mended-include"]
    assert is_valid(tmp_path, "doc", b"<doc>x</doc>")


def test_a_missing_include_that_is_needed_is_told_first(tmp_path: Path) -> None:
    report = installed(tmp_path, {"doc.xsd": GOOD})

    problems = of(report, "doc.xsd").problems
    assert of(report, "doc.xsd").state == "refused"
    assert (problems[0].text, problems[0].path, problems[0].line) == ("schema.file-missing", "doc.xsd", 3)
    assert "Name" in explain(problems[1], "en")
    assert report.folder is None


@pytest.mark.parametrize("pattern", [r"(\s*[^\s]\s*)+", r"(\s*\S\s*)+"])
def test_a_back_tracking_pattern_is_replaced_by_its_equal(tmp_path: Path, pattern: str) -> None:
    faulty = TYPES.replace("<xs:maxLength", f'<xs:pattern value="{pattern}"/><xs:maxLength')

    report = installed(tmp_path, {"doc.xsd": GOOD, "types.xsd": faulty})

    assert [repair.text for repair in of(report, "types.xsd").repairs] == ["schema.mended-pattern"]
    assert report.folder is not None
    assert rb"\s*\S[\s\S]*" in (report.folder / "types.xsd").read_bytes()
    assert not is_valid(tmp_path, "doc", b"<doc>  </doc>")
    assert is_valid(tmp_path, "doc", b"<doc> x </doc>")


def test_a_back_tracking_pattern_without_a_known_equal_is_told(tmp_path: Path) -> None:
    doubtful = TYPES.replace("<xs:maxLength", '<xs:pattern value="([a-z]+,?)*"/><xs:maxLength')

    report = installed(tmp_path, {"doc.xsd": GOOD, "types.xsd": doubtful})

    told = of(report, "types.xsd")
    assert (told.state, [problem.text for problem in told.problems]) == ("good", ["schema.file-pattern"])


def test_an_import_without_a_place_finds_the_namespace(tmp_path: Path) -> None:
    other = HEAD + ' targetNamespace="urn:o"><xs:element name="o" type="xs:int"/></xs:schema>'
    main = (
        HEAD + ' xmlns:o="urn:o" targetNamespace="urn:m"><xs:import namespace="urn:o"/><xs:element name="m"><xs:complexType><xs:sequence>'
    )
    main += '<xs:element ref="o:o"/></xs:sequence></xs:complexType></xs:element></xs:schema>'

    report = installed(tmp_path, {"m.xsd": main, "deep/o.xsd": other})

    assert of(report, "m.xsd").repairs[0].values["new"] == "deep/o.xsd"
    assert is_valid(tmp_path, "m", b'<m xmlns="urn:m"><o xmlns="urn:o">1</o></m>')


def test_a_schema_in_utf_16_is_mended_and_serves(tmp_path: Path) -> None:
    faulty = GOOD.replace("UTF-8", "UTF-16").replace("<xs:schema", "<xs:schema targetNamespace=''").encode("utf-16")

    report = installed(tmp_path, {"doc.xsd": faulty, "types.xsd": TYPES})

    assert of(report, "doc.xsd").state == "mended"
    assert is_valid(tmp_path, "doc", b"<doc>x</doc>")


# --- hostile and broken input ---------------------------------------------------------------------------------------------

BODY = '><xs:element name="doc" type="xs:string"/></xs:schema>'
HOSTILE = {
    "doctype": '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + HEAD.partition("\n")[2] + BODY,
    "bomb": '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + HEAD.partition("\n")[2] + BODY,
    "cut off": HEAD + "><xs:element",
    "no schema": "<html/>",
    "empty": "",
    "remote include": HEAD
    + '><xs:include schemaLocation="http://127.0.0.1:9/types.xsd"/><xs:element name="doc" type="xs:string"/></xs:schema>',
    "remote import": HEAD
    + '><xs:import namespace="urn:r" schemaLocation="https://127.0.0.1:9/r.xsd"/><xs:element name="doc"/></xs:schema>',
    "network share": HEAD + '><xs:include schemaLocation="//host/share/t.xsd"/><xs:element name="doc" type="xs:string"/></xs:schema>',
    "file url": HEAD + '><xs:include schemaLocation="file:///etc/passwd"/><xs:element name="doc" type="xs:string"/></xs:schema>',
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused_and_the_rest_is_installed(tmp_path: Path, content: str) -> None:
    report = installed(tmp_path, {"bad.xsd": content, "doc.xsd": GOOD, "types.xsd": TYPES})

    assert of(report, "bad.xsd").state == "refused"
    assert of(report, "bad.xsd").problems
    assert not report.is_complete
    assert report.folder is not None
    assert not (report.folder / "bad.xsd").exists()
    assert is_valid(tmp_path, "doc", b"<doc>x</doc>")


@pytest.mark.parametrize("location", ["../outside.xsd", "../../outside.xsd", "%2e%2e/outside.xsd", "/outside.xsd", "a/../../outside.xsd"])
def test_a_reference_out_of_the_folder_reads_nothing_there(tmp_path: Path, location: str) -> None:
    write(tmp_path, {"outside.xsd": HEAD + '><xs:simpleType name="Name"><xs:restriction base="xs:string"/></xs:simpleType></xs:schema>'})

    report = installed(tmp_path, {"doc.xsd": GOOD.replace("types.xsd", location)})

    assert of(report, "doc.xsd").state == "refused"
    assert report.folder is None


def test_a_link_is_refused_and_not_followed(tmp_path: Path) -> None:
    outside = write(tmp_path, {"types.xsd": TYPES}) / "types.xsd"
    folder = write(tmp_path / "pack", {"doc.xsd": GOOD})
    (folder / "types.xsd").symlink_to(outside)

    report = install(folder, tmp_path / "schemas")

    assert [problem.text for problem in of(report, "types.xsd").problems] == ["schema.file-link"]
    assert of(report, "doc.xsd").state == "refused"


def test_an_included_file_with_an_element_of_its_own_is_a_part(tmp_path: Path) -> None:
    frame = HEAD + '>\n<xs:element name="frame" type="Name"/>\n</xs:schema>'  # Name is for whoever includes it to bring
    includes = '<xs:include schemaLocation="types.xsd"/>\n<xs:include schemaLocation="frame.xsd"/>'
    document = GOOD.replace('<xs:include schemaLocation="types.xsd"/>', includes)

    report = installed(tmp_path, {"doc.xsd": document, "frame.xsd": frame, "types.xsd": TYPES})

    assert report.is_complete
    assert (of(report, "frame.xsd").state, of(report, "frame.xsd").schema, of(report, "frame.xsd").problems) == ("good", None, ())
    assert is_valid(tmp_path, "doc", b"<frame>x</frame>")


def test_a_broken_part_refuses_only_what_uses_it(tmp_path: Path) -> None:
    alone = HEAD + '><xs:element name="alone" type="xs:string"/></xs:schema>'

    report = installed(tmp_path, {"doc.xsd": GOOD, "types.xsd": TYPES[:-5], "alone.xsd": alone})

    assert {file.file: file.state for file in report.files} == {"doc.xsd": "refused", "types.xsd": "refused", "alone.xsd": "good"}


def test_a_folder_without_schemas_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemasInvalid) as refusal:
        installed(tmp_path, {"readme.txt": "nothing"})

    assert refusal.value.problems[0].text == "schema.pack-empty"


# --- installing again -----------------------------------------------------------------------------------------------------


def test_installing_again_replaces_the_pack(tmp_path: Path) -> None:
    installed(tmp_path, {"doc.xsd": GOOD, "types.xsd": TYPES})
    first = Schemas.load([tmp_path / "schemas"]).version
    write(tmp_path / "pack", {"types.xsd": TYPES.replace('"9"', '"2"')})

    install(tmp_path / "pack", tmp_path / "schemas")

    assert Schemas.load([tmp_path / "schemas"]).version != first
    assert not is_valid(tmp_path, "doc", b"<doc>123</doc>")
    assert [path.name for path in (tmp_path / "schemas").iterdir()] == ["pack"]


def test_two_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    report = installed(tmp_path, {"old/doc.xsd": HEAD + BODY, "new/doc.xsd": HEAD + BODY})

    assert {file.schema for file in report.files} == {"old/doc", "new/doc"}
    assert Schemas.load([tmp_path / "schemas"]).names() == ("new/doc", "old/doc")
