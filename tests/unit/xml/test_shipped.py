from importlib import resources
from pathlib import Path

import pytest

from gateway.xml.shipped import shipped


def test_source_tree_folder_is_found_beside_the_package() -> None:
    assert shipped("xsd") == Path(str(resources.files("gateway"))).parent / "xsd"


def test_wheel_folder_comes_before_the_source_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gateway" / "_shipped" / "xsd").mkdir(parents=True)
    (tmp_path / "xsd").mkdir()
    monkeypatch.setattr(resources, "files", lambda _: tmp_path / "gateway")

    found = shipped("xsd")

    assert found == tmp_path / "gateway" / "_shipped" / "xsd"


def test_missing_folder_is_named_with_the_places_searched() -> None:
    with pytest.raises(FileNotFoundError, match=r"'nowhere'.*_shipped"):
        shipped("nowhere")
