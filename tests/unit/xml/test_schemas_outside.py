"""Schemas and messages that were not written for this project: installed, compiled and judged as their results say."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import NotReadable
from gateway.xml.install import install
from gateway.xml.parse import parse
from gateway.xml.schemas import Schemas

SETS = {
    "wco-dec": "schemas",
    "ubl23": "schemas",
    "ens": "xsds",
    "as4": "schemas",
    "ephyto-hub": "schemas-extracted",
}
# libxml2 alone refuses these for white space around a date, which the standard allows
ALLOWED_BY_THE_STANDARD = {"inventory-linking/TT_EX038a__Movement_Messages__Exports_Movement_Request.xml"}


def pack(name: str, outside: Path, into: Path) -> Schemas:
    """Install a set and load what was installed."""
    report = install(outside / name / SETS[name], into)
    assert report.is_complete, [(file.file, file.problems) for file in report.files if file.state == "refused"]
    return Schemas.load([into])


def verdict(schemas: Schemas, file: Path, name: str | None = None) -> str:
    data = file.read_bytes()
    try:
        root = parse(data)
    except NotReadable:
        return "NOT-WELL-FORMED"
    schema = name or schemas.name_for(root)
    if schema is None:
        return "INVALID"
    problems = schemas.validate(schema, root, size=len(data))
    assert all(problem.path and problem.path.startswith("/") for problem in problems)
    return "INVALID" if problems else "VALID"


def rows(file: Path) -> Iterator[list[str]]:
    for line in file.read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            yield line.split("\t")


def test_customs_declarations_are_judged_as_published(outside: Path, tmp_path: Path) -> None:
    schemas, differing = pack("wco-dec", outside, tmp_path), {}
    for expected, _, file in rows(outside / "wco-dec" / "RESULTS.tsv"):
        wanted = "VALID" if file in ALLOWED_BY_THE_STANDARD else expected
        got = verdict(schemas, outside / "wco-dec" / file)
        if got != wanted:
            differing[file] = (wanted, got)

    assert differing == {}


@pytest.mark.slow
def test_trade_documents_are_judged_as_published(outside: Path, tmp_path: Path) -> None:
    schemas = pack("ubl23", outside, tmp_path)
    samples = [(row[0], row[1]) for row in rows(outside / "ubl23" / "RESULTS.tsv") if row[0] != "COMPILED"]

    assert len(samples) == 3
    for expected, file in samples:
        assert verdict(schemas, outside / "ubl23" / "samples" / file) == expected


def test_entry_summaries_are_judged_as_published(outside: Path, tmp_path: Path) -> None:
    schemas = pack("ens", outside, tmp_path)
    expected = {row[1]: (row[2].removesuffix(".xsd"), row[3]) for row in rows(outside / "ens" / "RESULTS.tsv")}
    files = sorted((outside / "ens").glob("ruleTestCases*/*.xml"))

    assert files
    for file in files:
        schema, result = expected[file.name]
        assert verdict(schemas, file, schema) == result


def test_as4_messages_are_judged_as_published(outside: Path, tmp_path: Path) -> None:
    schemas, differing = pack("as4", outside, tmp_path), {}
    for expected, _, file in rows(outside / "as4" / "RESULTS-xsd.tsv"):
        place = file.replace("messages-phase4/", "messages/").replace("messages-domibus/", "messages/domibus/")
        got = verdict(schemas, outside / "as4" / place, "all-as4")
        if got != expected:
            differing[file] = (expected, got)

    assert differing == {}


def test_the_hubs_certificate_schema_compiles_and_refuses_an_empty_one(outside: Path, tmp_path: Path) -> None:
    schemas = pack("ephyto-hub", outside, tmp_path)
    document = b'<SPSCertificate xmlns="urn:un:unece:uncefact:data:standard:SPSCertificate:17"><wrong/></SPSCertificate>'
    root = parse(document)
    name = schemas.name_for(root)

    assert name is not None
    assert schemas.validate(name, root, size=len(document))
