"""Every problem the code names has its wording in both languages, and every wording is used."""

import ast
import re
import string
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

Texts = Mapping[str, Mapping[str, str]]

LANGUAGES = {"vi", "en"}
FIXES = {"vi_fix", "en_fix"}
VIETNAMESE = re.compile("[àáảãạăằắẳẵặâầấẩẫậđèéẻẽẹêềếểễệìíỉĩịòóỏõọôồốổỗộơờớởỡợùúủũụưừứửữựỳýỷỹỵ]", re.IGNORECASE)
MIN_SENTENCE = 20  # characters; a shorter text may well have no diacritic
EVENTS = {"watch", "_watch"}  # calls that name an event of the log, not a text


@dataclass(frozen=True, slots=True, kw_only=True)
class Composer:
    """A function that puts an area before a name it is given: f"routing.{name}"."""

    function: str
    scope: str  # the file of a private one, the package of a public one
    parameter: str
    position: int
    prefix: str


@pytest.fixture(scope="module")
def texts(root: Path) -> Texts:
    tables = [tomllib.loads(file.read_text("utf-8")) for file in sorted((root / "gateway" / "texts").glob("*.toml"))]
    return {f"{area}.{name}": entry for table in tables for area, entries in table.items() for name, entry in entries.items()}


@pytest.fixture(scope="module")
def composed(product: Sequence[Any]) -> set[str]:
    """Give the texts that code names by their last part, to a function that puts the area before it."""
    return set(_composed(product))


@pytest.fixture(scope="module")
def named(product: Sequence[Any], texts: Texts, composed: set[str]) -> set[str]:
    """Give all texts that code names."""
    key = re.compile(rf"({'|'.join(sorted({t.partition('.')[0] for t in texts}))})\.[a-z0-9-]*[a-z0-9]")
    found = {t for module in product for t in _literals(module.tree) - _events(module.tree) if key.fullmatch(t)}
    return found | composed


def _literals(tree: ast.AST) -> set[str]:
    return {str(node.value) for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str | int)}


def _events(tree: ast.AST) -> set[str]:
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in EVENTS)
    return {str(a.value) for call in calls for a in call.args[:1] if isinstance(a, ast.Constant)}


def _beginnings(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Find f-strings of the form f"prefix{name}": the prefix, and the name where it is a plain one."""
    for node in ast.walk(tree):
        match node:
            case ast.JoinedStr(values=[ast.Constant(value=str(prefix)), ast.FormattedValue(value=inner)]):
                yield prefix, inner.id if isinstance(inner, ast.Name) else ""


def _composers(product: Sequence[Any]) -> Iterator[Composer]:
    for module in product:
        for function in (node for node in ast.walk(module.tree) if isinstance(node, ast.FunctionDef)):
            parameters = [a.arg for a in (*function.args.posonlyargs, *function.args.args) if a.arg != "self"]
            for prefix, name in _beginnings(function):
                if "." in prefix and name in parameters:
                    scope = module.name if function.name.startswith("_") else module.name.rpartition("/")[0]
                    at = parameters.index(name)
                    yield Composer(function=function.name, scope=scope, parameter=name, position=at, prefix=prefix)


def _composed(product: Sequence[Any]) -> Iterator[str]:
    composers: dict[str, list[Composer]] = {}
    for composer in _composers(product):
        composers.setdefault(composer.function, []).append(composer)
    for module in product:
        for call in (node for node in ast.walk(module.tree) if isinstance(node, ast.Call)):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            for composer in composers.get(name, ()):
                if module.name.startswith(composer.scope):
                    yield from _given(call, composer)


def _given(call: ast.Call, composer: Composer) -> Iterator[str]:
    values = [k.value for k in call.keywords if k.arg == composer.parameter] + call.args[composer.position :][:1]
    yield from (composer.prefix + str(value.value) for value in values if isinstance(value, ast.Constant))


def _makeable(text: str, literals: set[str], prefixes: set[str], *, depth: int = 2) -> bool:
    """Say whether code holds the text, or a beginning of it and then the rest."""
    if text in literals:
        return True
    rests = (text.removeprefix(prefix) for prefix in prefixes if text.startswith(prefix))
    return depth > 0 and any(_makeable(rest, literals, prefixes, depth=depth - 1) for rest in rests)


def _blanks(template: str, language: str) -> set[str]:
    """Give the values a template names; {label_vi} and {label_en}, or {vi} and {en}, are one value in two languages."""
    return {re.sub(rf"(^|_){language}$", "", name) for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def test_every_problem_in_code_has_its_text(named: set[str], texts: Texts) -> None:
    assert named - set(texts) == set()


def test_composed_names_are_found_at_all(composed: set[str]) -> None:
    assert {name.partition(".")[0] for name in composed} >= {"routing", "schema", "signature", "xml"}


def test_every_text_is_used(product: Sequence[Any], texts: Texts) -> None:
    literals = {literal for module in product for literal in _literals(module.tree)}
    literals |= {literal.replace(".", "-") for literal in literals}  # an event's name in a text's
    prefixes = {prefix for module in product for prefix, _ in _beginnings(module.tree) if prefix}

    assert [text for text in texts if not _makeable(text, literals, prefixes)] == []


def test_every_text_stands_in_both_languages(texts: Texts) -> None:
    kinds = {frozenset(entry) for entry in texts.values()}

    assert kinds <= {frozenset(LANGUAGES), frozenset(LANGUAGES | FIXES)}


def test_both_languages_name_the_same_values(texts: Texts) -> None:
    advice = {f"{t}, advice": {"vi": e["vi_fix"], "en": e["en_fix"]} for t, e in texts.items() if "vi_fix" in e}
    differing = {t for t, e in {**texts, **advice}.items() if _blanks(e["vi"], "vi") != _blanks(e["en"], "en")}

    assert not differing


def test_vietnamese_is_written_with_its_diacritics(texts: Texts) -> None:
    words = {t: re.sub(r"\{\w*\}", "", e["vi"]) for t, e in texts.items()}
    plain = {t for t, said in words.items() if len(said) >= MIN_SENTENCE and not VIETNAMESE.search(said)}

    assert not plain
