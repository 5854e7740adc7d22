"""python -m tests.failover: failovers, deaths, restarts and cuts under load, round after round; the last line is JSON."""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from gateway.testing.failover import replicated
from gateway.testing.faults.barrage import Figures
from gateway.testing.fleet import Ground, prepared
from gateway.testing.postgres import fresh_database, running
from tests.failover.scenarios import cuts, deaths, failovers, restarts

Play = Callable[[ExitStack, Ground, int, random.Random], Figures]


def main() -> int:
    """Play what was chosen; 1 where anything was lost, doubled or is unexplained."""
    parser = argparse.ArgumentParser(prog="python -m tests.failover", description="Two gateways under load, and what may befall them.")
    parser.add_argument("--rounds", type=int, default=5, help="how often each happens")
    parser.add_argument("--only", choices=SCENARIOS, action="append", help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, default=time.time_ns(), help="draws the moments and ways of cuts")
    given = parser.parse_args()
    _say(f"seed {given.seed}")
    found = {name: _played(name, given.rounds, random.Random(given.seed)) for name in given.only or SCENARIOS}  # noqa: S311  # no secrets
    _say(json.dumps({name: asdict(figures) for name, figures in found.items()}))
    return 0 if all(figures.good for figures in found.values()) else 1


def _played(name: str, rounds: int, chance: random.Random) -> Figures:
    began = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nsw-failover-")))
        found = SCENARIOS[name](stack, stack.enter_context(prepared(folder / "home")), rounds, chance)
    _say(f"{name} {time.monotonic() - began:.0f} s {found}")
    return found


def _database(stack: ExitStack, ground: Ground) -> str:
    return stack.enter_context(fresh_database(stack.enter_context(running(ground.home))))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


SCENARIOS: Mapping[str, Play] = {
    "failovers": lambda stack, ground, rounds, _: failovers(ground, stack.enter_context(replicated()), rounds=rounds),
    "deaths": lambda stack, ground, rounds, _: deaths(ground, _database(stack, ground), rounds=rounds),
    "restarts": lambda stack, ground, rounds, _: restarts(ground, _database(stack, ground), rounds=rounds),
    "cuts": lambda stack, ground, rounds, chance: cuts(ground, _database(stack, ground), rounds=rounds, chance=chance),
}

if __name__ == "__main__":
    sys.exit(main())
