"""Every problem that routing can raise has its words in both languages."""

import re
import string
import tomllib
from importlib import resources
from pathlib import Path

import pytest

import gateway.routing
from gateway.errors import Problem, explain

TEXTS = tomllib.loads((resources.files("gateway") / "texts" / "routing.toml").read_text("utf-8"))["routing"]
SOURCES = "\n".join(path.read_text("utf-8") for path in sorted(Path(str(resources.files(gateway.routing))).glob("*.py")))
VIETNAMESE = re.compile(r"[àáảãạăâđèéêìíòóôơùúưỳýÀ-ỹ]")


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


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_both_languages_say_the_same_values(name: str) -> None:
    def values(template: str) -> set[str]:
        return {field for _, field, _, _ in string.Formatter().parse(template) if field}

    text = TEXTS[name]
    assert VIETNAMESE.search(text["vi"])
    assert ("vi_fix" in text) == ("en_fix" in text)
    if name != "rule-broken":  # the rule's own words, one value a language
        assert values(text["vi"]) == values(text["en"])


@pytest.mark.parametrize("name", sorted(name for name, text in TEXTS.items() if "{near}" in text["vi"]))
def test_nothing_is_said_of_what_is_near_where_nothing_is(name: str) -> None:
    problem = Problem(text=f"routing.{name}", values={"near": "-"})

    for language, words in (("vi", "gần"), ("en", "nearest")):
        assert words in TEXTS[name][language]
        assert words not in explain(problem, language)
        assert explain(problem, language).endswith(".")
