"""The gateway as it is holds under every fault that is played, and a seed plays the same way wherever it is played."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.faults import CALM, Faults
from tests.simulation.play import Result, run
from tests.simulation.stage import Death, Process, Stage

WHAT_HAPPENS = {
    "accepted", "refused", "arrived", "repeated", "replayed", "cancelled", "died", "stalled", "clock jumped", "commit refused",
    "commit unknown", "died of it",
}  # fmt: skip
ROOT = Path(__file__).parents[2]
KINDS = pytest.mark.parametrize("kind", ["memory", "sqlite"])


def violations(results: list[Result]) -> list[str]:
    return [f"{result.name}: {violation}" for result in results for violation in result.violations]


def played(kind: str, steps: int, hash_seed: str) -> tuple[dict[str, object], str]:
    """Play in a process of its own; gives its last line, and its trace in short."""
    command = [sys.executable, "-m", "tests.simulation", "5", str(steps), kind]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr.splitlines()[-1]


@KINDS
def test_nothing_is_violated(kind: str) -> None:
    results = run(1, 6_000 if kind == "memory" else 2_000, kind)

    assert violations(results) == []
    assert results[0].counts["accepted"]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "steps"), [("memory", 200_000), ("sqlite", 50_000)])
def test_nothing_is_violated_for_long(kind: str, steps: int) -> None:
    results = run(2, steps, kind)

    assert violations(results) == []
    assert sum(result.steps for result in results) >= steps


@pytest.mark.slow
def test_a_run_meets_what_it_is_made_for() -> None:
    met = sum((result.counts for result in run(3, 50_000, "memory")), Counter[str]())

    assert set(met) >= WHAT_HAPPENS


@pytest.mark.parametrize(
    ("kind", "steps"),
    [("memory", 2_000), pytest.param("memory", 50_000, marks=pytest.mark.slow), pytest.param("sqlite", 20_000, marks=pytest.mark.slow)],
)
def test_two_processes_play_a_seed_the_same_way(kind: str, steps: int) -> None:
    assert played(kind, steps, "1") == played(kind, steps, "2")


def test_two_seeds_go_different_ways() -> None:
    assert run(1, 1, "memory")[0].digest != run(2, 1, "memory")[0].digest


def test_process_that_is_killed_ends_where_it_stands() -> None:
    stage = Stage("1", CALM)
    passed: list[str] = []
    process = Process("p", lambda: passed.append("died"))

    def play() -> None:
        try:
            stage.sleep(10)
            passed.append("went on")
        except Death:
            passed.append("unwound")
            raise

    stage.enter("a", play, process)
    stage.later(1, lambda: stage.kill(process))
    stage.run(lambda: False)

    assert passed == ["died", "unwound"]


def test_commit_that_is_refused_did_not_happen_and_one_in_doubt_did() -> None:
    done: list[str] = []
    refusing, doubting = Stage("1", Faults(refuse=1.0)), Stage("1", Faults(half=1.0))

    for stage, name in ((refusing, "refused"), (doubting, "in doubt")):
        stage.enter("a", lambda s=stage, n=name: s.commit(lambda: done.append(n)))  # type: ignore[misc]
        stage.run(lambda: False)

    assert done == ["in doubt"]
    assert [len(stage.violations) for stage in (refusing, doubting)] == [1, 1]  # nobody caught what the commit raised
