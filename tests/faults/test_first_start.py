"""A death in the middle of a first start, while the tables are being made: the next start makes them whole."""

import os
import signal
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, event

from gateway.bootstrap import open_store
from gateway.config import Settings
from gateway.testing.faults.ground import Ground
from gateway.testing.faults.warm import Parts, Say


def start(parts: Parts, _say: Say, *, settings: Settings, fatal: int = 0) -> None:
    """Start once; die before the table or index counted `fatal` is made."""
    made = iter(range(1, 1000))

    def before(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().startswith("CREATE") and next(made) == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", before)
    parts.build(settings).stop()


@pytest.fixture
def empty(request: pytest.FixtureRequest, ground: Ground, kind: str) -> Iterator[Settings]:
    """Give the settings of a gateway on a database without tables."""
    if kind == "sqlite":
        yield ground.on(ground.file(uuid4().hex))
        return
    from gateway.testing.postgres import fresh_database  # noqa: PLC0415  # a server is started only where it is asked for

    with fresh_database(request.getfixturevalue("postgres_server")) as url:
        yield ground.on(url)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("fatal", [2, 9, 25])
def test_a_first_start_that_dies_halfway_is_made_good_by_the_next(ground: Ground, empty: Settings, fatal: int) -> None:
    assert ground.warm.run(start, settings=empty, fatal=fatal).killed

    assert ground.warm.run(start, settings=empty).code == 0

    with open_store(empty) as store:
        assert store.queries.counts().messages == {"accepted": 0, "refused": 0}
