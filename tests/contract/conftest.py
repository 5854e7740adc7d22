"""Every outbox there is, over a clock that the test moves."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.outbox.memory import MemoryOutbox
from gateway.outbox.outbox import SqlOutbox
from gateway.outbox.payloads import Payloads
from gateway.ports import Database, Outbox
from gateway.security.cipher import FileCipher
from gateway.store.engine import open_database
from gateway.testing.settling import Time
from gateway.testing.staff import Staff, staff_at


@pytest.fixture
def time() -> Time:
    return Time()


def _opened(url: str, time: Time) -> Iterator[Database]:
    database = open_database(url, clock=time)
    yield database
    database.close()


POSTGRESQL = pytest.param("postgresql", marks=pytest.mark.slow)  # in the short suite the unit tests of store and outbox meet it


@pytest.fixture(params=["sqlite", POSTGRESQL])
def database(request: pytest.FixtureRequest, time: Time) -> Iterator[Database]:
    """Each database, empty."""
    yield from _opened(_url(request), time)


@pytest.fixture(params=["memory", "sqlite", POSTGRESQL])
def manned(request: pytest.FixtureRequest, tmp_path: Path, time: Time) -> Iterator[tuple[Outbox, Staff]]:
    """Each outbox, empty, and staff who act on what is in it."""
    if request.param == "memory":
        memory = MemoryOutbox(clock=time, entropy=os.urandom, wake=time.wake)
        yield memory, memory
        return
    payloads = Payloads(cipher=FileCipher(tmp_path / "keys", entropy=os.urandom))
    for database in _opened(_url(request), time):
        outbox = SqlOutbox(database, payloads, clock=time, entropy=os.urandom, wake=time.wake)
        yield outbox, staff_at(database, payloads, wake=time.wake)


@pytest.fixture
def outbox(manned: tuple[Outbox, Staff]) -> Outbox:
    return manned[0]


@pytest.fixture
def staff(manned: tuple[Outbox, Staff]) -> Staff:
    return manned[1]


def _url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("postgres_url" if request.param == "postgresql" else "sqlite_url"))
