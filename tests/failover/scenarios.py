"""What befalls gateways under load: their primary dies, one of them dies, each is restarted, or they are cut off from the database."""

import random
import time
from collections.abc import Sequence
from contextlib import ExitStack
from urllib.parse import urlsplit

from gateway.testing.failover import Pair
from gateway.testing.faults.barrage import Figures, Load
from gateway.testing.fleet import Fleet, Ground, serving
from gateway.testing.proxy import Line, Proxy
from gateway.testing.simulator import RunningSimulator
from gateway.testing.world import until
from tests.failover.hasty import LEASE, PROGRAM

CALM = 1.0  # seconds of load before and after what happens
SLOW_MS = 1_500  # how late the ministry answers, so that much is under way
MANY = 12  # arrivals there: more than one gateway alone has under way
LONGEST = 2 * LEASE.total_seconds()  # what a cut lasts at most; at least a quarter of it
BREATH = 1.5  # seconds between cuts, at most
WAYS = ((Line.CUT, 0.0), (Line.STALLED, 0.0), (Line.UP, 0.1))  # the last is a slow line


class BrokenError(Exception):
    """A gateway ended, or a caller was told something else than its answer or to come again."""


def failovers(ground: Ground, pair: Pair, *, rounds: int) -> Figures:
    """Kill the primary, promote the standby, and have the dead one stand by; no gateway is touched. Raises BrokenError."""
    blows = []
    with ground.fleet(pair.url) as fleet:
        with fleet.loaded() as load:
            for _ in range(rounds):
                time.sleep(CALM)
                blows.append(time.monotonic())
                pair.fail_over()
                serving(load, since=blows[-1])
                time.sleep(CALM)
                pair.rejoin()
        _alive(fleet)
        return _counted(fleet, load, blows)


def deaths(ground: Ground, database: str, *, rounds: int) -> Figures:
    """Kill one of two gateways while much is under way; the other goes on, and the dead one is started again. Raises BrokenError."""
    blows = []
    with ground.fleet(database) as fleet:
        with fleet.loaded() as load:
            for number in range(rounds):
                victim = fleet.gateways[number % len(fleet.gateways)]
                busy(ground.partners["agriculture"])
                blows.append(time.monotonic())
                victim.kill()
                ground.partners["agriculture"].control(mode="up", delay_ms=0)
                serving(load, since=blows[-1])
                time.sleep(CALM)
                if number + 1 < rounds:
                    victim.start()
        return _counted(fleet, load, blows)


def restarts(ground: Ground, database: str, *, rounds: int) -> Figures:
    """Stop and start one gateway after the other. Raises BrokenError."""
    blows = []
    with ground.fleet(database) as fleet:
        with fleet.loaded() as load:
            for number in range(rounds):
                gateway = fleet.gateways[number % len(fleet.gateways)]
                time.sleep(CALM)
                blows.append(time.monotonic())
                if gateway.stop():
                    raise BrokenError("a gateway did not end in good order")
                gateway.start()
            time.sleep(CALM)
        _alive(fleet)
        return _counted(fleet, load, blows)


def cuts(ground: Ground, database: str, *, rounds: int, chance: random.Random) -> Figures:
    """Cut gateways off from the database at random moments, in random ways, for random times around a lease. Raises BrokenError."""
    blows = []
    port = urlsplit(database).port or 5432
    with ExitStack() as stack:
        lines = [stack.enter_context(Proxy(port)) for _ in range(2)]
        ways = [database.replace(f":{port}/", f":{line.port}/") for line in lines]
        fleet = stack.enter_context(ground.fleet(database, lines=ways, program=PROGRAM))
        with fleet.loaded() as load:
            for _ in range(rounds):
                _cut_and_mend(lines, chance)
                blows.append(time.monotonic())
                serving(load, since=blows[-1])
        _alive(fleet)
        return _counted(fleet, load, blows)


def busy(ministry: RunningSimulator) -> None:
    """Let the ministry answer late, and wait until much is under way there."""
    before = len(ministry.context.journal.arrivals())
    ministry.control(mode="slow", delay_ms=SLOW_MS)
    until(lambda: len(ministry.context.journal.arrivals()) >= before + MANY, "much under way")


def _cut_and_mend(lines: Sequence[Proxy], chance: random.Random) -> None:
    time.sleep(chance.uniform(0, BREATH))
    chosen = chance.choice([lines[:1], lines[1:], lines])
    way, delay = chance.choice(WAYS)
    for line in chosen:
        line.be(way, delay=delay)
    time.sleep(chance.uniform(LONGEST / 4, LONGEST))
    for line in chosen:
        line.be(Line.UP)


def _counted(fleet: Fleet, load: Load, blows: Sequence[float]) -> Figures:
    found = fleet.judged(load, blows=blows)
    if load.strange:
        raise BrokenError(f"callers were told {sorted({reply.status for reply in load.strange})}, and not to come again")
    return found


def _alive(fleet: Fleet) -> None:
    if not all(gateway.running for gateway in fleet.gateways):
        raise BrokenError("a gateway ended by itself")
