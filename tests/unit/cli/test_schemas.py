"""nsw schemas: packs installed, listed and checked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

XSD = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:element name="{name}" type="xs:int"/></xs:schema>"""


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A folder with one good schema."""
    folder = tmp_path / "my pack"
    folder.mkdir()
    (folder / "Thing.xsd").write_text(XSD.format(name="thing"))
    return folder


def test_shipped_schemas_are_listed(run: Run) -> None:
    ran = run("schemas", "list", "--json")

    assert ran.code == 0
    (row,) = [row for row in ran.json["schemas"] if row["name"] == "BNN&PTNT03000021001"]
    assert row.keys() == {"name", "pack", "version", "owner", "valid_from", "valid_to", "in_force", "file"}
    assert (row["pack"], row["in_force"], row["valid_to"]) == ("vnsw-plant-export", True, None)
    assert Path(row["file"]).is_file()


def test_people_see_the_list(run: Run) -> None:
    assert "BNN&PTNT03000021001  vnsw-plant-export@1.0" in run("schemas", "list").out


def test_shipped_schemas_compile(run: Run) -> None:
    ran = run("schemas", "check", "--json")

    assert (ran.code, ran.json["ok"], ran.json["errors"]) == (0, True, [])
    assert ran.json["schemas"] > 40


def test_installed_pack_judges_documents(run: Run, pack: Path, tmp_path: Path) -> None:
    ran = run("schemas", "install", pack, "--json")

    assert ran.code == 0
    assert (ran.json["ok"], ran.json["pack"]) == (True, "my-pack")
    assert ran.json["files"] == [{"file": "Thing.xsd", "state": "good", "schema": "Thing", "problems": [], "repairs": []}]
    (tmp_path / "thing.xml").write_text("<thing>x</thing>")
    assert run("validate", tmp_path / "thing.xml", "--json").json["document"]["schema"] == "Thing"
    assert "Thing" in [row["name"] for row in run("schemas", "list", "--json").json["schemas"]]


def test_repairs_and_refusals_are_told_for_each_file(run: Run, pack: Path) -> None:
    (pack / "Empty.xsd").write_text(XSD.format(name="empty").replace("<xs:schema", '<xs:schema targetNamespace=""'))
    (pack / "Broken.xsd").write_text(XSD.format(name="broken").replace("xs:int", "xs:nothing"))
    (pack / "Cut.xsd").write_text("<xs:schema")

    ran = run("schemas", "install", pack)

    assert ran.code == 1
    assert "✗ Broken.xsd" in ran.out
    assert "✗ Cut.xsd" in ran.out
    assert "~ Took out targetNamespace" in ran.out
    assert "! Pack my-pack is installed in" in ran.out


@pytest.fixture
def installed(run: Run, tmp_path: Path) -> Callable[..., list[tuple[str, str]]]:
    """Install a folder of these schemas, and give its notices by their codes."""

    def install(folder: str, *names: str) -> list[tuple[str, str]]:
        (tmp_path / folder).mkdir(parents=True)
        for name in names:
            (tmp_path / folder / f"{name}.xsd").write_text(XSD.format(name="thing"))
        ran = run("schemas", "install", tmp_path / folder, "--json")
        assert ran.code == 0
        return [(notice["code"], notice["message_en"]) for notice in ran.json["notices"]]

    return install


def test_pack_that_takes_the_place_of_another_of_its_name_tells_what_is_gone(installed: Any) -> None:
    assert installed("health/schemas", "Thing", "Other") == []

    assert installed("customs/schemas", "Declaration", "Other") == [
        ("cli.schemas-gone", "The schema Thing is gone: the former pack schemas had it, and what has now taken its place has not.")
    ]


def test_schema_that_another_pack_judged_is_told_of(installed: Any) -> None:
    taken = "The schema BNN&PTNT03000021001 was that of pack vnsw-plant-export and is now that of pack mard."
    behind = "The schema BNN&PTNT03000021001 of this pack is not used: pack mard has one of that name, too, and comes first."

    assert installed("mard", "BNN&PTNT03000021001") == [("cli.schemas-taken", taken)]
    assert installed("moh", "BNN&PTNT03000021001") == [("cli.schemas-behind", behind)]


def test_pack_whose_catalogue_is_broken_is_mended_by_installing_it_again(run: Run, pack: Path, home: Path) -> None:
    run("schemas", "install", pack)
    (home / "schemas" / "my-pack" / "catalog.toml").write_text("[[pack\n")

    assert run("schemas", "install", pack, "--json").json["notices"] == []
    assert run("schemas", "check").code == 0


def test_people_see_the_notices(run: Run, pack: Path) -> None:
    run("schemas", "install", pack)
    (pack / "Thing.xsd").rename(pack / "Other.xsd")

    assert "! The schema Thing is gone" in run("schemas", "install", pack).out


def test_folder_without_any_good_schema_installs_nothing(run: Run, tmp_path: Path, home: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "Cut.xsd").write_text("<xs:schema")

    ran = run("schemas", "install", tmp_path / "bad", "--json")

    assert (ran.code, ran.json["folder"]) == (1, None)
    assert not (home / "schemas").exists()


def test_folder_without_schemas_is_refused(run: Run, home: Path) -> None:
    assert run("schemas", "install", home).code == 1


def test_missing_folder_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    assert run("schemas", "install", tmp_path / "none").code == 2


def test_file_in_place_of_a_folder_is_wrong_usage(run: Run, pack: Path) -> None:
    assert run("schemas", "install", pack / "Thing.xsd").code == 2


def test_folder_that_cannot_be_written_is_wrong_usage(run: Run, pack: Path, home: Path) -> None:
    (home / "schemas").write_text("in the way")

    ran = run("schemas", "install", pack)

    assert ran.code == 2
    assert "cannot be written" in ran.err


@pytest.mark.parametrize("command", ["check", "list"])
def test_broken_catalogue_is_told_with_its_file(run: Run, home: Path, command: str) -> None:
    (home / "schemas").mkdir()
    (home / "schemas" / "catalog.toml").write_text("[[pack\n")

    ran = run("schemas", command, "--json")

    assert (ran.code, ran.json["ok"]) == (1, False)
    assert ran.json["errors"][0]["path"].endswith("catalog.toml")
