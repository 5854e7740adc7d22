"""Two gateways on one PostgreSQL: one dies, or both are restarted one after the other, and nobody but the partner that waits notices."""

import time
from typing import Any

import pytest

from gateway import bootstrap
from gateway.testing.faults.barrage import Figures
from gateway.testing.fleet import Fleet, Ground, serving
from gateway.testing.simulator import RunningSimulator
from gateway.testing.world import until

pytestmark = pytest.mark.slow

CALM = 1.0  # seconds of load before and after what happens
SLOW_MS = 1_500  # how late the ministry answers, so that much is under way
MANY = 12  # arrivals there: more than one gateway alone has under way


def busy(ministry: RunningSimulator) -> None:
    """Let the ministry answer late, and wait until much is under way there."""
    before = len(ministry.context.journal.arrivals())
    ministry.control(mode="slow", delay_ms=SLOW_MS)
    until(lambda: len(ministry.context.journal.arrivals()) >= before + MANY, "much under way")


def states(fleet: Fleet) -> set[str]:
    with bootstrap.open_store(fleet.settings) as store:
        return {state for _, state in store.queries.counts().deliveries}


def test_survivor_delivers_what_a_killed_gateway_held(ground: Ground, postgres_url: str, record_property: Any) -> None:
    ministry = ground.partners["agriculture"]
    with ground.fleet(postgres_url) as fleet:
        with fleet.loaded() as load:
            busy(ministry)
            blow = time.monotonic()
            fleet.gateways[0].kill()
            ministry.control(mode="up", delay_ms=0)
            serving(load, since=blow)
            time.sleep(CALM)

        found = fleet.judged(load, blows=[blow])

    assert found.good, found
    assert found.redelivered > 0  # it held something, and the partner had it
    assert load.strange == []
    for name in Figures.__slots__:
        record_property(name, getattr(found, name))


def test_rolling_restart_under_load_is_noticed_by_nobody(ground: Ground, postgres_url: str) -> None:
    codes = []
    with ground.fleet(postgres_url) as fleet:
        with fleet.loaded() as load:
            for gateway in fleet.gateways:
                time.sleep(CALM)
                codes.append(gateway.stop())
                gateway.start()
            time.sleep(CALM)

        found = fleet.judged(load)

    assert found.good, found
    assert found.redelivered == 0
    assert load.strange == []
    assert codes == [0, 0]


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
