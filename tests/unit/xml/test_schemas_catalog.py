"""Catalogues: what they may hold, and that every mistake is told at once."""

from pathlib import Path

import pytest

from gateway.errors import explain
from gateway.xml.catalog import read_catalogs
from gateway.xml.sources import SchemasInvalid

GOOD = '[[pack]]\nname = "p"\nversion = "1"\n[pack.schemas]\n"A" = "a.xsd"\n'


def folder(path: Path, text: str, *, below: str = "") -> Path:
    (path / below).mkdir(parents=True, exist_ok=True)
    (path / below / "catalog.toml").write_text(text, "utf-8")
    return path


def test_a_pack_without_dates_is_always_in_force(tmp_path: Path) -> None:
    pack = read_catalogs([folder(tmp_path, GOOD)])[0]

    assert pack.is_in_force(pack.valid_from)
    assert dict(pack.schemas) == {"A": "a.xsd"}


def test_a_pack_folder_names_its_files_from_itself(tmp_path: Path) -> None:
    pack = read_catalogs([folder(tmp_path, GOOD, below="ministry")])[0]

    assert dict(pack.schemas) == {"A": "ministry/a.xsd"}


def test_a_pack_that_is_being_installed_is_not_read(tmp_path: Path) -> None:
    folder(tmp_path, GOOD)
    folder(tmp_path, "nonsense", below=".installing-x")

    assert len(read_catalogs([tmp_path])) == 1


def test_packs_come_by_folder_and_then_the_latest(tmp_path: Path) -> None:
    late = GOOD.replace('version = "1"', 'version = "2"\nvalid_from = 2026-01-01T00:00:00Z')
    own = folder(tmp_path / "own", GOOD.replace('"1"', '"own"'))
    shipped = folder(tmp_path / "shipped", GOOD + late)

    assert [pack.version for pack in read_catalogs([own, shipped])] == ["own", "2", "1"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (GOOD.replace('name = "p"', ""), "name"),
        (GOOD.replace('version = "1"', "version = 1"), "version"),
        (GOOD.replace('version = "1"', 'version = "1"\nvalid_from = 2026-01-01'), "valid_from"),
        (GOOD.replace('version = "1"', 'version = "1"\nvalid_to = 2026-01-01T00:00:00'), "valid_to"),
        (GOOD.replace('version = "1"', 'version = "1"\nvalid_form = 2026-01-01T00:00:00Z'), "valid_form"),
        (GOOD.replace('"a.xsd"', '"../a.xsd"'), "schemas"),
        (GOOD.replace('"a.xsd"', '"/a.xsd"'), "schemas"),
        (GOOD.replace('"a.xsd"', "1"), "schemas"),
        ("pack = 1", "pack"),
        ("", "pack"),
    ],
)
def test_a_wrong_field_is_told_with_its_file_and_the_accepted_form(tmp_path: Path, wrong: str, field: str) -> None:
    with pytest.raises(SchemasInvalid) as refusal:
        read_catalogs([folder(tmp_path, wrong)])

    problem = refusal.value.problems[0]
    assert (problem.text, problem.values["field"], problem.path) == ("schema.catalog-field", field, str(tmp_path / "catalog.toml"))
    assert "…" not in explain(problem, "vi") + explain(problem, "en")


def test_every_catalogue_is_told_at_once(tmp_path: Path) -> None:
    first = folder(tmp_path / "a", "= not toml")
    second = folder(tmp_path / "b", GOOD.replace('name = "p"', "").replace('version = "1"', ""))

    with pytest.raises(SchemasInvalid) as refusal:
        read_catalogs([first, second])

    assert [problem.text for problem in refusal.value.problems] == ["schema.catalog-toml", "schema.catalog-field", "schema.catalog-field"]
