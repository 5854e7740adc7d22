"""The primary dies under load, and the standby takes over: what was acknowledged is there, and no gateway needs a hand."""

import time
from dataclasses import asdict
from typing import Any

import psycopg
import pytest

from gateway.testing.failover import Pair
from gateway.testing.fleet import Ground, serving
from gateway.testing.postgres import Server
from gateway.testing.proxy import Line, Proxy
from gateway.testing.world import until
from tests.failover.scenarios import CALM, MANY, failovers

pytestmark = pytest.mark.slow

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'nsw' AND wait_event = 'SyncRep'"


def waiting(server: Server) -> bool:
    with psycopg.connect(server.url) as connection:
        return connection.execute(WAITING).fetchall() != [(0,)]


def test_primary_that_dies_under_load_loses_nothing_and_doubles_nothing(ground: Ground, pair: Pair, record_property: Any) -> None:
    found = failovers(ground, pair, rounds=1)

    assert found.good, found
    assert found.delivered >= found.accepted > 0
    for name, value in asdict(found).items():
        record_property(name, value)


def test_count_finds_what_a_standby_that_is_not_waited_for_has_lost(ground: Ground, pair: Pair) -> None:
    pair.alone()
    with Proxy(pair.primary.port) as line, ground.fleet(pair.url) as fleet:
        pair.follow(line.port)
        with fleet.loaded() as load:
            line.be(Line.STALLED)
            heard = len(load.answers)
            until(lambda: len(load.answers) > heard + MANY, "answers of which the standby knows nothing")
            line.be(Line.CUT)
            pair.fail_over()
            time.sleep(CALM)

        found = fleet.judged(load)

    assert found.lost > 0
    assert not found.good


def test_dead_primary_that_comes_back_unasked_acknowledges_and_delivers_nothing(ground: Ground, pair: Pair) -> None:
    with ground.fleet(pair.url) as fleet:
        with fleet.loaded() as load:
            time.sleep(CALM)
            pair.fail_over()
            deceived = fleet.gateways[0]
            deceived.stop()
            pair.standby.start()  # as the primary it was: two of them now, and it stands first in the address
            deceived.start()
            until(lambda: waiting(pair.standby), "a commit that nobody confirms")
            pair.standby.kill()
            since = time.monotonic()
            pair.rejoin()
            serving(load, since=since)

        found = fleet.judged(load)

    assert found.good, found
    assert load.strange == []
