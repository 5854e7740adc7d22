"""The EU's DSS on our containers: it must come to the result that we come to."""

import os
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.security.cipher import FileCipher
from gateway.security.keys import load_key
from gateway.store.engine import open_database
from gateway.store.migrate import upgrade
from gateway.testing.evidence import hold_court, packed, unpacked
from gateway.testing.settling import Time
from gateway.testing.signing import Bench

pytestmark = pytest.mark.slow  # the JVM and DSS's policies take seconds to load


def test_dss_passes_a_container_and_refuses_an_altered_one(bench: Bench, dss: Callable[..., str], tmp_path: Path) -> None:
    time, url = Time(), f"sqlite:///{tmp_path}/gateway.db"
    upgrade(url)
    key = load_key(bench.folder / "gateway.key.pem", bench.folder / "gateway.cert.pem")
    with closing(open_database(url, clock=time)) as database:
        court = hold_court(database, FileCipher(tmp_path / "keys", entropy=os.urandom), bench, time=time, key=key)
        container = court.export(court.deliver())
    files = unpacked(container)[0]
    (tmp_path / "good.asice").write_bytes(container)
    (tmp_path / "altered.asice").write_bytes(packed(files | {"evidence.json": files["evidence.json"] + b" "}))

    at = (time() + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    told = dss(bench.folder / "gateway.cert.pem", at, tmp_path / "good.asice", tmp_path / "altered.asice")

    good, altered = told.splitlines()
    assert good == "good.asice XAdES-BASELINE-B/TOTAL_PASSED"
    assert "TOTAL_PASSED" not in altered
