"""Every problem that routing can raise has its words, and every text its problem."""

import re
import tomllib
from importlib import resources
from pathlib import Path

import pytest

import gateway.routing
from gateway.errors import Problem, explain

TEXTS = tomllib.loads((resources.files("gateway") / "texts" / "routing.toml").read_text("utf-8"))["routing"]
SOURCES = "\n".join(path.read_text("utf-8") for path in sorted(Path(str(resources.files(gateway.routing))).glob("*.py")))


def used() -> set[str]:
    """Names in the sources: whole ones, those of faults, and those made of a kind."""
    whole = re.findall(r'"routing\.([a-z0-9-]+)"', SOURCES)
    faults = re.findall(r'text="([a-z0-9-]+)"', SOURCES) + re.findall(r'(?:_problem\(example, |_invalid\()"([a-z0-9-]+)"', SOURCES)
    kinds = re.findall(r'PydanticCustomError\("([a-z-]+)"', SOURCES) + re.findall(r'_matching\(r"[^"]*", "([a-z-]+)"\)', SOURCES)
    tables = re.findall(r'"(want-[a-z-]+|too-[a-z-]+|[a-z]+-twice)"', SOURCES)
    return {*whole, *faults, *(f"want-{kind}" for kind in kinds), *tables}


def test_every_problem_has_its_text() -> None:
    assert used() - TEXTS.keys() == set()


def test_every_text_has_its_problem() -> None:
    assert TEXTS.keys() - used() == set()


@pytest.mark.parametrize("name", sorted(name for name, text in TEXTS.items() if "{near}" in text["vi"]))
def test_nothing_is_said_of_what_is_near_where_nothing_is(name: str) -> None:
    problem = Problem(text=f"routing.{name}", values={"near": "-"})

    for language, words in (("vi", "gần"), ("en", "nearest")):
        assert words in TEXTS[name][language]
        assert words not in explain(problem, language)
        assert explain(problem, language).endswith(".")
