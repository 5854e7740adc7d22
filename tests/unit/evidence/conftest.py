"""A court with one delivered message, and its container, made once."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.evidence.container import Report
from gateway.evidence.report import write_reports
from gateway.security.cipher import FileCipher
from gateway.security.keys import load_key
from gateway.store.engine import open_database
from gateway.store.migrate import upgrade
from gateway.testing.authority import StampAuthority, make_authority
from gateway.testing.evidence import Court, hold_court
from gateway.testing.settling import Time
from gateway.testing.signing import Bench, make_bench


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Keys of everybody, made once."""
    return make_bench(tmp_path_factory.mktemp("evidence") / "pki")


def _hold(folder: Path, bench: Bench, *, report: Report = write_reports) -> Iterator[Court]:
    time, url = Time(), f"sqlite:///{folder}/gateway.db"
    upgrade(url)
    with closing(open_database(url, clock=time)) as database:
        key = load_key(bench.folder / "gateway.key.pem", bench.folder / "gateway.cert.pem")
        yield hold_court(database, FileCipher(folder / "keys", entropy=os.urandom), bench, time=time, key=key, report=report)


@pytest.fixture(scope="module")
def court(tmp_path_factory: pytest.TempPathFactory, bench: Bench) -> Iterator[Court]:
    """Evidence that the tests of a file add to."""
    yield from _hold(tmp_path_factory.mktemp("court"), bench)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, bench: Bench) -> Iterator[Court]:
    """Evidence whose containers have no report for people, which takes longer to write than all the rest."""
    yield from _hold(tmp_path_factory.mktemp("plain"), bench, report=lambda _: {})


@pytest.fixture
def fresh(tmp_path: Path, bench: Bench) -> Iterator[Court]:
    """Evidence over an empty database."""
    yield from _hold(tmp_path, bench)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> StampAuthority:
    """OpenSSL's time-stamp authority, below a root and an issuer of its own."""
    return make_authority(tmp_path_factory.mktemp("tsa"))
