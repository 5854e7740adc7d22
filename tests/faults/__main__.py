"""python -m tests.faults: a gateway that is killed at random moments under load, on both databases; the last line is JSON."""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from gateway.testing.faults.barrage import Figures, barrage
from gateway.testing.faults.ground import prepared
from gateway.testing.postgres import fresh_database, running
from tests.faults.serving import serving

BATCH = 50  # kills of one installation; then everything is counted, and the next one begins empty
DATABASES = ("sqlite", "postgresql")


def main() -> int:
    """Share the kills out between the databases; 1 where anything was lost, doubled or is unexplained."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Kill a gateway under load, and count.")
    parser.add_argument("--runs", type=int, default=100, help="kills, shared out between the databases")
    parser.add_argument("--database", choices=DATABASES, action="append", help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, default=time.time_ns(), help="draws the moments")
    given = parser.parse_args()
    chosen = given.database or DATABASES
    chance = random.Random(given.seed)  # noqa: S311  # moments, not secrets
    _say(f"seed {given.seed}")
    total = Figures()
    for number, kind in enumerate(chosen):
        runs = given.runs // len(chosen) + (number < given.runs % len(chosen))
        total = sum((_batch(kind, size, chance) for size in _sizes(runs)), total)
    public = asdict(total)
    _say(f"unexplained {public.pop('unexplained')}")
    sys.stdout.write(json.dumps(public) + "\n")
    return 0 if total.good and total.runs == given.runs else 1


def _sizes(runs: int) -> Iterator[int]:
    for begun in range(0, runs, BATCH):
        yield min(BATCH, runs - begun)


def _batch(kind: str, runs: int, chance: random.Random) -> Figures:
    """Kill one installation so many times."""
    began = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nsw-faults-")))
        url = stack.enter_context(_database(kind, folder))
        ground = stack.enter_context(prepared(folder / "home"))
        found = barrage(ground, ground.ready(url), serve=serving, runs=runs, chance=chance)
    _say(f"{kind} {time.monotonic() - began:.0f} s {found}")
    return found


@contextmanager
def _database(kind: str, folder: Path) -> Iterator[str]:
    """Give an empty database: a file, or one of NSW_TEST_DATABASE_URL's server, or of a server of its own."""
    named = os.environ.get("NSW_TEST_DATABASE_URL")
    if kind == "sqlite":
        yield f"sqlite:///{folder}/gateway.db"
    elif named:
        with fresh_database(named) as url:
            yield url
    else:
        with running(folder) as server, fresh_database(server) as url:
            yield url


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
