"""The documentation agrees with the code and with itself."""

import importlib.util
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
ADR = re.compile(r"\d{4}-[a-z0-9-]+\.md")
ADR_PARTS = ("## Context", "## Decision", "## Consequences")


@pytest.fixture(scope="module")
def generator(root: Path) -> Any:
    spec = importlib.util.spec_from_file_location("generate", root / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(files: Sequence[Path]) -> Sequence[Path]:
    return tuple(file for file in files if file.suffix == ".md")


def _links(page: Path) -> Iterator[str]:
    for found in LINK.finditer(CODE.sub("", page.read_text("utf-8"))):
        link = found[1] or found[2]
        if "://" not in link and not link.startswith(("mailto:", "#")):
            yield unquote(link.partition("#")[0])


def test_the_page_of_settings_is_up_to_date(root: Path, generator: Any) -> None:
    assert (root / "docs/reference/settings.md").read_text("utf-8") == generator.settings_page(), "run make docs"


def test_the_page_of_codes_is_up_to_date(root: Path, generator: Any) -> None:
    assert (root / "docs/reference/errors.md").read_text("utf-8") == generator.errors_page(), "run make docs"


def test_pages_show_the_examples_that_are_tested(pages: Sequence[Path], generator: Any) -> None:
    stale = [str(page) for page in pages if generator.with_examples(page.read_text("utf-8")) != page.read_text("utf-8")]

    assert not stale, "run make docs"


def test_every_link_leads_somewhere(pages: Sequence[Path], root: Path) -> None:
    broken = {f"{page.relative_to(root)}: {link}" for page in pages for link in _links(page) if not (page.parent / link).exists()}

    assert not broken


def test_every_page_is_reached_from_the_index(root: Path) -> None:
    index = root / "docs" / "README.md"
    reached = {(index.parent / link).resolve() for link in _links(index)}
    decisions = set((root / "docs" / "adr").glob("0*.md"))  # listed in docs/adr/README.md

    assert set((root / "docs").rglob("*.md")) - decisions - reached == {index}


def test_every_decision_has_its_number_and_its_parts(root: Path) -> None:
    records = sorted(file for file in (root / "docs" / "adr").glob("*.md") if file.name != "README.md")
    index = (root / "docs" / "adr" / "README.md").read_text("utf-8")

    assert [int(file.name[:4]) for file in records] == list(range(1, len(records) + 1))
    assert all(ADR.fullmatch(file.name) for file in records)
    assert [file.name for file in records if not all(part in file.read_text("utf-8") for part in ADR_PARTS)] == []
    assert [file.name for file in records if file.name not in index] == []


def test_every_decision_says_what_we_will_do(root: Path) -> None:
    records = (root / "docs" / "adr").glob("0*.md")

    assert [file.name for file in records if "\nWe will " not in file.read_text("utf-8")] == []
