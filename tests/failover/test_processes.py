"""Two gateways on one PostgreSQL: one dies, or both are restarted one after the other, and nobody but the partner that waits notices."""

from dataclasses import asdict
from typing import Any

import pytest

from gateway import bootstrap
from gateway.testing.fleet import Fleet, Ground
from tests.failover.scenarios import busy, deaths, restarts

pytestmark = pytest.mark.slow


def states(fleet: Fleet) -> set[str]:
    with bootstrap.open_store(fleet.settings) as store:
        return {state for _, state in store.queries.counts().deliveries}


def test_survivor_delivers_what_a_killed_gateway_held(ground: Ground, postgres_url: str, record_property: Any) -> None:
    found = deaths(ground, postgres_url, rounds=1)

    assert found.good, found
    assert found.redelivered > 0  # it held something, and the partner had it
    for name, value in asdict(found).items():
        record_property(name, value)


def test_rolling_restart_under_load_is_noticed_by_nobody(ground: Ground, postgres_url: str) -> None:
    found = restarts(ground, postgres_url, rounds=2)

    assert found.good, found
    assert found.redelivered == 0


def test_told_to_end_a_gateway_answers_and_settles_what_is_under_way(ground: Ground, postgres_url: str) -> None:
    ministry = ground.partners["agriculture"]
    with ground.fleet(postgres_url, lines=[postgres_url]) as fleet:
        [gateway] = fleet.gateways
        with fleet.loaded() as load:
            busy(ministry)
            code = gateway.stop()
            held = states(fleet)
            gateway.start()
            ministry.control(mode="up", delay_ms=0)

        found = fleet.judged(load)

    assert code == 0
    assert "sending" not in held
    assert found.good, found
    assert found.redelivered == 0
