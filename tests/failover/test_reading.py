"""A standby that is only read: searches ask it, and nobody is refused one because it is away."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from gateway.testing.applicant import send_application
from gateway.testing.contents import Consignment
from gateway.testing.failover import Pair
from gateway.testing.postgres import Server
from gateway.testing.world import World, until

pytestmark = pytest.mark.slow

ASKED = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'nsw' AND query LIKE '%messages%'"


@pytest.fixture
def world(tmp_path: Path, pair: Pair) -> Iterator[World]:
    """Give a gateway that waits for no standby, and reads one."""
    pair.alone()
    with World(tmp_path, environment={"NSW_DATABASE_URL": pair.primary.url, "NSW_DATABASE_READ_URL": pair.standby.url}) as world:
        yield world


def apply(world: World, *, number: int) -> Consignment:
    consignment = Consignment(number=number)
    sent = send_application(world.gateway.url, world.gateway.pki, consignment, sent_at=datetime.now(UTC))
    assert sent.answer.function == "99", sent.answer
    return consignment


def found(world: World, about: Consignment) -> bool:
    return bool(world.gateway.get(f"/api/v1/messages?reference={about.file_code}")["items"])


def asked(server: Server) -> bool:
    with psycopg.connect(server.url) as connection:
        return connection.execute(ASKED).fetchall() != [(0,)]


def test_searches_ask_the_standby(world: World, pair: Pair) -> None:
    consignment = apply(world, number=1)

    until(lambda: found(world, consignment), "the message on the standby")

    assert asked(pair.standby)


def test_searches_and_intake_go_on_while_the_standby_is_away(world: World, pair: Pair) -> None:
    first = apply(world, number=1)
    until(lambda: found(world, first), "the message on the standby")

    pair.standby.kill()

    assert found(world, apply(world, number=2))
