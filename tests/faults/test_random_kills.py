"""SIGKILLs at random moments under load; `make faults RUNS=1000` is the long run of this."""

import random
from typing import Any
from uuid import uuid4

import pytest

from gateway.testing.faults.barrage import Figures, barrage
from gateway.testing.faults.ground import Ground
from tests.faults.serving import serving

RUNS = 20


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_twenty_kills_under_load_lose_nothing_and_double_nothing(
    ground: Ground, kind: str, request: pytest.FixtureRequest, record_property: Any
) -> None:
    url = ground.file(uuid4().hex) if kind == "sqlite" else request.getfixturevalue("postgres_url")

    found = barrage(ground, ground.ready(url), serve=serving, runs=RUNS, chance=random.Random())  # noqa: S311  # moments, not secrets

    assert found.good, found
    assert found.runs == RUNS
    assert found.delivered >= found.accepted >= RUNS // 2
    for name in Figures.__slots__:
        record_property(name, getattr(found, name))
