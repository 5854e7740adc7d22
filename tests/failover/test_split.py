"""Gateways are cut off from the database they share, one or all of them, again and again under load: each effect comes about once."""

import random
import time
from dataclasses import asdict
from typing import Any

import pytest

from gateway.testing.fleet import Ground
from tests.failover.scenarios import cuts

CUTS = 5


@pytest.mark.slow
def test_cuts_under_load_lose_nothing_and_double_nothing(ground: Ground, postgres_url: str, record_property: Any) -> None:
    seed = time.time_ns()

    found = cuts(ground, postgres_url, rounds=CUTS, chance=random.Random(seed))  # noqa: S311  # moments, not secrets

    assert found.good, (seed, found)
    for name, value in {"seed": seed, **asdict(found)}.items():
        record_property(name, value)
