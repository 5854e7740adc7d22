"""How large things may grow, and what every exception to a rule has to say."""

import ast
import importlib
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

MAX_FUNCTION = 60  # lines
MAX_FILE = 500
MEDIAN_FUNCTION = 7
NINTH_DECILE = 24
PUBLIC_NAMES = 20
MIGRATIONS = "gateway/store/migrations/versions/"  # each is one long list of tables, written once and never changed

# Who makes the steps of the ladder of trust, bytes -> Opened -> Proven -> Document -> Envelope. Doors make Opened, one a protocol.
# Beside the place where a type is made from the step before, the outbox reads back what it stored itself.
# Adapters and gateway/testing are free to build values to try things with.
LADDER: Mapping[str, set[str]] = {
    "Opened": {"gateway/protocols/vnsw/door.py", "gateway/web/doors/rest.py"},
    "Proven": {"gateway/security/prover.py"},
    "Document": {"gateway/routing/judge.py", "gateway/outbox/outbox.py"},
    "Envelope": {"gateway/intake.py", "gateway/outbox/outbox.py"},
}

SUPPRESSED = re.compile(r"#\s*(?:noqa|nosec)\b(?P<rest>.*)")
EXCUSE = re.compile(r":\s*[A-Z]+[0-9]+(,\s*[A-Z]+[0-9]+)*\s*(#|-)\s*\S.{5,}")
IGNORED = re.compile(r"#\s*type:\s*ignore(?P<rest>.*)")
IGNORED_ERROR = re.compile(r"\[[a-z-]+(,\s*[a-z-]+)*\]")


def _functions(modules: Sequence[Any]) -> Iterator[tuple[str, int]]:
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{module.name}:{node.lineno} {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def _makers(modules: Sequence[Any], type_: str) -> set[str]:
    return {
        module.name
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == type_
    }


def _bare(modules: Sequence[Any], marker: re.Pattern[str], excuse: re.Pattern[str]) -> Iterator[str]:
    """Find the lines that hold a marker without the excuse that must follow it."""
    for module in modules:
        for number, line in enumerate(module.text.splitlines(), start=1):
            if any(not excuse.match(found["rest"]) for found in marker.finditer(line)):
                yield f"{module.name}:{number}"


def test_public_names_are_few_and_sorted() -> None:
    package: Any = importlib.import_module("gateway")
    names: Sequence[str] = package.__all__

    assert len(names) <= PUBLIC_NAMES
    assert list(names) == sorted(names)
    assert all(hasattr(package, name) for name in names)


def test_no_function_is_long(modules: Sequence[Any]) -> None:
    long = {name: lines for name, lines in _functions(modules) if lines > MAX_FUNCTION and not name.startswith(MIGRATIONS)}

    assert not long


def test_functions_are_short_as_a_rule(product: Sequence[Any]) -> None:
    lines = sorted(lines for _, lines in _functions(product))

    assert statistics.median(lines) <= MEDIAN_FUNCTION
    assert lines[len(lines) * 9 // 10] <= NINTH_DECILE


def test_no_file_is_long(modules: Sequence[Any]) -> None:
    long = {module.name: lines for module in modules if (lines := module.text.count("\n")) > MAX_FILE}

    assert not long


def test_each_step_of_the_ladder_is_made_in_its_place(product: Sequence[Any]) -> None:
    hub = [module for module in product if module.name.startswith("gateway/") and not module.name.startswith("gateway/testing/")]

    assert {type_: _makers(hub, type_) for type_ in LADDER} == LADDER


def test_every_suppressed_finding_has_its_rule_and_reason(modules: Sequence[Any]) -> None:
    assert list(_bare(modules, SUPPRESSED, EXCUSE)) == [], "a suppressed finding names its rule, and after a second # the reason"


def test_every_ignored_type_error_is_named(modules: Sequence[Any]) -> None:
    assert list(_bare(modules, IGNORED, IGNORED_ERROR)) == []


def test_every_module_says_what_it_is(product: Sequence[Any]) -> None:
    silent = {module.name for module in product if module.tree.body and not ast.get_docstring(module.tree)}

    assert not silent


def test_adapters_stay_small(root: Path) -> None:
    lines = {str(file): len(file.read_text("utf-8").splitlines()) for file in (root / "adapters").glob("*/adapter.py")}

    assert lines
    assert max(lines.values()) <= 120  # wiring only; tables belong to mapping.py
