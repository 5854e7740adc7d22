"""The primary dies under load, and the standby takes over: what was acknowledged is there, and no gateway needs a hand."""

import time
from typing import Any

import pytest

from gateway.testing.failover import Pair
from gateway.testing.faults.barrage import Figures
from gateway.testing.fleet import Ground, serving

pytestmark = pytest.mark.slow

CALM = 2.0  # seconds of load before and after each death


def test_two_failovers_under_load_lose_nothing_and_double_nothing(ground: Ground, pair: Pair, record_property: Any) -> None:
    blows = []
    with ground.fleet(pair.url) as fleet:
        pids = [gateway.pid for gateway in fleet.gateways]
        with fleet.loaded() as load:
            for _ in range(2):
                time.sleep(CALM)
                blows.append(time.monotonic())
                pair.fail_over()
                serving(load, since=blows[-1])
                time.sleep(CALM)
                pair.rejoin()

        found = fleet.judged(load, blows=blows)

        assert found.good, found
        assert found.delivered >= found.accepted > 0
        assert load.strange == []
        assert [gateway.pid for gateway in fleet.gateways if gateway.running] == pids
    for name in Figures.__slots__:
        record_property(name, getattr(found, name))
