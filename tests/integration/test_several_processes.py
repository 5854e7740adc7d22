"""Several processes on one PostgreSQL: any of them serves and delivers, and any may die."""

from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from gateway.store.engine import open_database
from gateway.store.tables import DELIVERIES
from gateway.testing.applicant import Sent, send_application
from gateway.testing.contents import Consignment
from gateway.testing.gateway import RunningGateway
from gateway.testing.postgres import Server
from gateway.testing.process import Process
from gateway.testing.world import World, until

pytestmark = pytest.mark.slow
RESCUED = 90.0  # seconds: a lease, and a busy machine


@pytest.fixture
def environment(postgres_url: str) -> dict[str, str]:
    return {"NSW_DATABASE_URL": postgres_url}


@pytest.fixture
def world(tmp_path: Path, environment: dict[str, str]) -> Iterator[World]:
    with World(tmp_path, environment=environment) as world:
        yield world


@pytest.fixture
def second(world: World, environment: dict[str, str]) -> Iterator[RunningGateway]:
    """Another process of the same gateway, not yet started."""
    gateway = RunningGateway(world.home, environment=environment)
    yield gateway
    gateway.stop()


def deliveries(gateway: RunningGateway) -> list[dict[str, Any]]:
    return list(gateway.get("/api/v1/deliveries")["items"])


def delivered(gateway: RunningGateway) -> bool:
    found = deliveries(gateway)
    return bool(found) and all(each["state"] == "delivered" for each in found)


def apply(gateway: RunningGateway, *, number: int = 1) -> Sent:
    sent = send_application(gateway.url, gateway.pki, Consignment(number=number), sent_at=datetime(2026, 11, 21, tzinfo=UTC))
    assert sent.answer.function == "99", sent.answer
    return sent


def test_repeat_at_another_process_gets_the_first_answer(world: World, second: RunningGateway) -> None:
    second.start()

    first, again = apply(world.gateway), apply(second)

    assert first.reply == again.reply
    found = second.get("/api/v1/messages")["items"]
    assert [(each["type"], each["function"]) for each in found].count(("10", "01")) == 1


def test_what_one_takes_in_another_delivers(postgres_url: str, world: World, environment: dict[str, str]) -> None:
    settings = {"NSW_HOME": str(world.home), **environment}
    serving = Process(("-m", "gateway.cli", "serve", "--no-work"), log=world.home / "serve.log", environment={**settings, "NSW_PORT": "0"})
    working = Process(("-m", "gateway.cli", "work"), log=world.home / "work.log", environment=settings)
    world.gateway.stop()
    door = serving.start()
    assert working.start() == "work"

    send_application(door, world.gateway.pki, Consignment(number=1), sent_at=datetime(2026, 11, 21, tzinfo=UTC))

    until(lambda: "delivered" in _states(postgres_url), "the delivery by the worker")
    assert (working.stop(), serving.stop()) == (0, 0)


def test_what_a_dead_process_held_another_delivers(world: World, second: RunningGateway) -> None:
    ministry = world.agencies["agriculture"]
    ministry.control(mode="slow", delay_ms=60_000)
    second.start()
    second.stop()  # so that whoever claims is the first
    apply(world.gateway)
    until(lambda: [each for each in deliveries(world.gateway) if each["state"] == "sending"], "the delivery under way")

    world.gateway.kill()
    ministry.control(mode="up", delay_ms=0)
    second.start()

    until(lambda: delivered(second), "the delivery by the survivor", seconds=RESCUED)
    assert ministry.report()["second_ids"] == []


def test_gateway_serves_again_by_itself_when_its_database_is_back(tmp_path: Path, postgres_alone: Server) -> None:
    with World(tmp_path, environment={"NSW_DATABASE_URL": postgres_alone.url}) as world:
        apply(world.gateway, number=1)
        postgres_alone.stop()

        refused = send_application(world.gateway.url, world.gateway.pki, Consignment(number=2), sent_at=datetime(2026, 11, 21, tzinfo=UTC))
        health = world.gateway.ask("GET", "/health/ready")
        postgres_alone.start()

        assert refused.answer.function != "99"
        assert health.status == HTTPStatus.SERVICE_UNAVAILABLE
        apply(world.gateway, number=2)
        until(lambda: len(deliveries(world.gateway)) > 1 and delivered(world.gateway), "both deliveries")


def _states(url: str) -> set[str]:
    database = open_database(url)
    try:
        return {state for (state,) in database.read(lambda tx: tx.rows(select(DELIVERIES.c.state)))}
    finally:
        database.close()
