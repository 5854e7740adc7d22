"""nsw bench: a benchmark of the source tree, its figures as one document, and how it ends."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gateway

Run = Callable[..., Any]

MEASURED = """
def measure():
    target = {"name": "share", "value": 0.5, "bound": BOUND, "at_least": True, "ok": 0.5 >= BOUND}
    return {"figures": {"floor_us": 500}, "targets": [target], "ratio": 0.5}
"""


@pytest.fixture
def benchmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source tree with benchmarks of its own."""
    monkeypatch.setattr(gateway, "__file__", str(tmp_path / "gateway" / "__init__.py"))
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(("bound", "code"), [(0.4, 0), (0.6, 1)])
def test_figures_are_one_document_and_a_target_that_is_missed_ends_with_1(run: Run, benchmarks: Path, bound: float, code: int) -> None:
    (benchmarks / "end_to_end.py").write_text(MEASURED.replace("BOUND", str(bound)), "utf-8")

    ran = run("bench", "end-to-end", "--json")

    assert ran.code == code
    assert (ran.json["name"], ran.json["figures"], ran.json["ratio"]) == ("end-to-end", {"floor_us": 500}, 0.5)
    assert [target["ok"] for target in ran.json["targets"]] == [code == 0]


def test_benchmark_that_is_not_here_is_told_as_every_refusal(run: Run, benchmarks: Path) -> None:
    people, program = run("bench", "nowhere"), run("bench", "nowhere", "--json")

    assert (people.code, program.code, people.out) == (3, 3, "")
    assert str(benchmarks / "nowhere.py") in people.err
    assert (program.json["ok"], program.json["errors"][0]["code"]) == (False, "cli.bench-missing")
