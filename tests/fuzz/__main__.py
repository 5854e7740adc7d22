"""python -m tests.fuzz: change signed documents of every profile for as long as wanted; the last line is JSON."""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from itertools import count

from .play import Figures, play
from .profiles import MAKERS, cases


def main() -> int:
    """Play rounds, or minutes; 1 where anything but a refusal came of a change that matters."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Change signed documents, and count what is refused.")
    parser.add_argument("--rounds", type=int, default=10_000, help="of each profile")
    parser.add_argument("--minutes", type=float, default=0.0, help="go on with further seeds for so long")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--profile", choices=tuple(MAKERS), action="append", help="only this one; may be repeated")
    given = parser.parse_args()
    ends, total = time.monotonic() + 60 * given.minutes, Figures()
    made = cases(tuple(given.profile or MAKERS))
    for seed in _seeds(given.seed, ends):
        for name, case in made.items():
            figures = play(name, case, seed=seed, rounds=given.rounds)
            sys.stderr.write(f"{name} seed {seed}: {figures.refused} refused, {figures.same} unchanged in meaning\n")
            sys.stderr.writelines(f"VIOLATION {violation}\n" for violation in figures.violations)
            _add(total, figures)
    violations = len(total.violations)
    told = {"inputs": total.inputs, "refused": total.refused, "same": total.same, "slowest_ms": round(1000 * total.slowest, 1)}
    sys.stdout.write(json.dumps({**told, "violations": violations}) + "\n")
    return 1 if violations else 0


def _seeds(first: int, ends: float) -> Iterator[int]:
    for seed in count(first):
        yield seed
        if time.monotonic() >= ends:
            return


def _add(total: Figures, figures: Figures) -> None:
    total.inputs += figures.inputs
    total.refused += figures.refused
    total.same += figures.same
    total.slowest = max(total.slowest, figures.slowest)
    total.violations += figures.violations


if __name__ == "__main__":
    sys.exit(main())
