"""What acceptance and integration tests share: the outside test data, and one living world a test process."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.testing.journey import Traveller
from gateway.testing.world import World


@pytest.fixture(scope="session")
def outside() -> Path:
    """Find the outside test data; without it a test is skipped, and in CI it fails."""
    named = os.environ.get("NSW_OUTSIDE_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        reason = f"the outside test data is not at {folder}; set NSW_OUTSIDE_DATA"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    return folder


@pytest.fixture(scope="session")
def living_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Start the gateway and every simulated agency once for all tests of this process."""
    with World(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture
def world(living_world: World) -> Iterator[World]:
    """Lend the world to a test, its agencies as they were in the beginning."""
    yield living_world
    for agency in living_world.agencies.values():
        agency.control(mode="up", delay_ms=0)


@pytest.fixture(scope="session")
def living_traveller(living_world: World) -> Traveller:
    """Keep one count of dossiers, so that no test opens another's."""
    return Traveller(world=living_world, first=1)


@pytest.fixture
def traveller(world: World, living_traveller: Traveller) -> Traveller:
    """Lend whoever opens dossiers and looks for them."""
    assert living_traveller.world is world
    return living_traveller
