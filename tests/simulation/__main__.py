"""Plays a seed: python -m tests.simulation SEED STEPS [memory|sqlite]; the last line is JSON, and violations end with 1."""

import argparse
import json
import sys
from collections import Counter
from hashlib import blake2b

from .play import Result, run

SHOWN = 60  # steps of a failing episode


def main() -> int:
    """Read the arguments, play, and tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("steps", type=int)
    parser.add_argument("store", nargs="?", choices=("memory", "sqlite"), default="memory")
    parser.add_argument("--episode", type=int, default=0, help="begin with this episode of the seed")
    parser.add_argument("--tail", type=int, default=SHOWN, help="how many steps of a failing episode are shown")
    asked = parser.parse_args()
    results = run(asked.seed, asked.steps, asked.store, first=asked.episode)
    for result in results:
        if result.violations:
            _tell(result, asked.tail)
    counts = sum((r.counts for r in results), Counter[str]())
    trace = blake2b("".join(r.digest for r in results).encode(), digest_size=16).hexdigest()
    sys.stderr.write(f"{len(results)} episodes, trace {trace}: {dict(sorted(counts.items()))}\n")
    violations = sum(len(r.violations) for r in results)
    sys.stdout.write(json.dumps({"seed": asked.seed, "steps": sum(r.steps for r in results), "violations": violations}) + "\n")
    return 1 if violations else 0


def _tell(result: Result, shown: int) -> None:
    sys.stderr.write("\n".join(result.tail[-shown:]) + "\n")
    for violation in result.violations:
        sys.stderr.write(f"VIOLATION in episode {result.name}: {violation}\n")


if __name__ == "__main__":
    sys.exit(main())
