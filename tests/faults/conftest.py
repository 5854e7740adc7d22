"""The ground of this folder's tests: partners and a warm process, once a test process; a database for each test."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from gateway.config import Settings
from gateway.testing.faults.ground import Ground, prepared


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Prepare once."""
    with prepared(tmp_path_factory.mktemp("faults")) as ground:
        yield ground


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, ground: Ground) -> Settings:
    """Give the settings of a gateway on a new database of each kind; it has one thread, so that each life goes the same way."""
    if request.param == "sqlite":
        return ground.ready(ground.file(uuid4().hex), threads=1)
    return ground.ready(request.getfixturevalue("postgres_url"), threads=1)
