"""What operators are told, and the service is given, agrees with what the program keeps and needs."""

import re
from pathlib import Path

from gateway.outbox.heartbeat import BEAT_SECONDS, STEADY
from gateway.outbox.outbox import LEASE
from gateway.routing.forms import MAX_TIMEOUT
from gateway.store.postgres import COMMIT_SECONDS
from gateway.web.server import DRAIN_SECONDS

ROOT = Path(__file__).parents[2]
STOPS = "**at most 60 seconds**"  # docs/howto/upgrade-without-stopping.md
RESCUED = "20 to 35 s later"  # docs/howto/fail-over.md


def test_a_process_stops_within_the_time_that_is_told() -> None:
    assert STOPS in (ROOT / "docs/howto/upgrade-without-stopping.md").read_text("utf-8")

    assert max(DRAIN_SECONDS, MAX_TIMEOUT.total_seconds()) <= 60


def test_the_service_waits_longer_than_a_process_takes_to_stop() -> None:
    [waits] = re.findall(r"^TimeoutStopSec=(\d+)$", (ROOT / "deploy/nsw-gateway.service").read_text("utf-8"), re.MULTILINE)

    assert int(waits) > max(DRAIN_SECONDS, MAX_TIMEOUT.total_seconds()) + COMMIT_SECONDS


def test_the_service_is_started_again_until_the_database_is_there() -> None:
    unit = (ROOT / "deploy/nsw-gateway.service").read_text("utf-8").splitlines()

    assert {"Restart=always", "RestartPreventExitStatus=2", "StartLimitIntervalSec=0"} <= set(unit)  # it ends with 3 while there is none


def test_the_service_may_choose_its_core() -> None:
    unit = (ROOT / "deploy/nsw-gateway.service").read_text("utf-8").splitlines()
    filters = [line for line in unit if line.startswith("SystemCallFilter=")]

    assert filters[-1] == "SystemCallFilter=sched_setaffinity"  # which @resources takes away before


def test_what_a_dead_process_held_is_taken_over_within_the_time_that_is_told() -> None:
    assert RESCUED in (ROOT / "docs/howto/fail-over.md").read_text("utf-8")

    assert LEASE.total_seconds() + STEADY * BEAT_SECONDS <= 35
