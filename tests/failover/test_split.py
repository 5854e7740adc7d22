"""Gateways are cut off from the database they share, one or all of them, again and again under load: each effect comes about once."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.testing.faults.barrage import Figures
from gateway.testing.fleet import Ground, serving
from gateway.testing.proxy import Line, Proxy
from tests.failover.hasty import LEASE, PROGRAM

pytestmark = pytest.mark.slow

CUTS = 5
LONGEST = 2 * LEASE.total_seconds()  # what a cut lasts at most; at least a quarter of it
BREATH = 1.5  # seconds between cuts, at most
WAYS = ((Line.CUT, 0.0), (Line.STALLED, 0.0), (Line.UP, 0.1))  # the last is a slow line


@pytest.fixture
def lines(postgres_url: str) -> Iterator[Sequence[Proxy]]:
    """Give two ways to the database."""
    with ExitStack() as stack:
        yield [stack.enter_context(Proxy(urlsplit(postgres_url).port or 5432)) for _ in range(2)]


def cut_and_mend(lines: Sequence[Proxy], chance: random.Random) -> None:
    """Cut one line or both at a random moment, in a random way, for a random time."""
    time.sleep(chance.uniform(0, BREATH))
    chosen = chance.choice([lines[:1], lines[1:], lines])
    way, delay = chance.choice(WAYS)
    for line in chosen:
        line.be(way, delay=delay)
    time.sleep(chance.uniform(LONGEST / 4, LONGEST))
    for line in chosen:
        line.be(Line.UP)


def test_cuts_under_load_lose_nothing_and_double_nothing(
    ground: Ground, postgres_url: str, lines: Sequence[Proxy], record_property: Any
) -> None:
    seed = time.time_ns()
    record_property("seed", seed)
    chance, blows = random.Random(seed), []  # noqa: S311  # moments, not secrets
    ways = [postgres_url.replace(f":{urlsplit(postgres_url).port}/", f":{line.port}/") for line in lines]
    with ground.fleet(postgres_url, lines=ways, program=PROGRAM) as fleet:
        with fleet.loaded() as load:
            for _ in range(CUTS):
                cut_and_mend(lines, chance)
                blows.append(time.monotonic())
                serving(load, since=blows[-1])

        found = fleet.judged(load, blows=blows)

        assert all(gateway.running for gateway in fleet.gateways)
    assert found.good, (seed, found)
    assert load.strange == []
    for name in Figures.__slots__:
        record_property(name, getattr(found, name))
