"""What staff work with, over each database."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.outbox.payloads import Payloads
from gateway.ports import Database
from gateway.routing.rules import RuleSet, load
from gateway.security.cipher import FileCipher
from gateway.store.engine import open_database
from gateway.testing.aging import Aging
from gateway.testing.desk import Desk, Time
from gateway.xml.shipped import shipped


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return load((shipped("routing_rules"),))


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest, clock: Time) -> Iterator[Database]:
    opened = open_database(request.getfixturevalue("postgres_url" if request.param == "postgresql" else "sqlite_url"), clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def desk(database: Database, rules: RuleSet, clock: Time, tmp_path: Path) -> Desk:
    return Desk(database=database, rules=rules, clock=clock, keys=tmp_path / "keys")


@pytest.fixture
def aging(database: Database, clock: Time, tmp_path: Path) -> Aging:
    cipher = FileCipher(tmp_path / "keys", entropy=os.urandom)
    return Aging(database=database, payloads=Payloads(cipher=cipher), folder=tmp_path / "archive", clock=clock)
