"""The threat model names tests that are there: whoever renames or drops one decides anew what shows its control."""

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
ROW = re.compile(r"\| (?P<id>[A-Z]\d+) \| (?P<kinds>[STRIDE ]+) \| (?P<cells>.+) \|")
ACCEPTED = "Z"  # threats without a control: they have a reason instead of a test
BOUNDARIES = "DRWXPOLBAKNCY"  # one letter a table: doors, replay, wrapping, XML, partners, staff, database, disks, authorities, ...


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "explain" / "threat-model.md").read_text("utf-8")


@pytest.fixture(scope="module")
def rows(page: str) -> Sequence[re.Match[str]]:
    return [row for line in page.splitlines() if (row := ROW.fullmatch(line))]


@pytest.fixture(scope="module")
def known(modules: Sequence[Any]) -> set[tuple[str, str]]:
    """Every test there is: its path below tests/, and its name."""
    return {found for module in modules if module.name.startswith("tests/") for found in _tests(module.name[len("tests/") :], module.tree)}


def _tests(path: str, tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield path, node.name


def test_every_test_that_the_threat_model_names_is_there(page: str, known: set[tuple[str, str]]) -> None:
    named = set(NAMED.findall(page))

    assert named
    assert named - known == set()


def test_nothing_on_the_page_looks_like_a_test_and_is_none(page: str) -> None:
    assert page.count("::") == len(NAMED.findall(page))


def test_every_threat_is_controlled_and_shown_or_accepted_with_a_reason(rows: Sequence[re.Match[str]]) -> None:
    cells = {row["id"]: row["cells"].split(" | ") for row in rows}

    assert [name for name, found in cells.items() if not name.startswith(ACCEPTED) and not NAMED.search(found[-1])] == []
    assert [name for name, found in cells.items() if len(found) != (2 if name.startswith(ACCEPTED) else 3)] == []
    assert [name for name, found in cells.items() if not all(map(str.strip, found))] == []


def test_every_threat_has_a_number_of_its_own(page: str, rows: Sequence[re.Match[str]]) -> None:
    numbers = [row["id"] for row in rows]
    tables = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| |")]

    assert len(numbers) == len(set(numbers)) == len(tables)


def test_no_boundary_and_no_kind_of_threat_is_left_out(rows: Sequence[re.Match[str]]) -> None:
    assert {row["id"][0] for row in rows} == {*BOUNDARIES, ACCEPTED}
    assert {kind for row in rows for kind in row["kinds"].split()} == set("STRIDE")
