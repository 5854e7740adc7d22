"""What tests of several processes and several servers share."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from gateway.testing.failover import Pair, replicated
from gateway.testing.fleet import Ground, prepared
from gateway.testing.postgres import NoServerError


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Prepare once."""
    with prepared(tmp_path_factory.mktemp("fleet")) as ground:
        yield ground


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Give a primary and its standby; where they cannot run here a test is skipped, and in CI it fails."""
    with ExitStack() as stack:
        try:
            pair = stack.enter_context(replicated())
        except NoServerError as error:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no PostgreSQL: {error}")
        yield pair
