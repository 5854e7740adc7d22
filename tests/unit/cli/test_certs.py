"""nsw certs: a development PKI made, and everything held looked at."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.security.holdings import holdings

Run = Callable[..., Any]

GATEWAY = "CN=NSW Gateway (development),C=VN"


def test_dev_makes_what_is_missing_and_keeps_what_is_there(run: Run, home: Path) -> None:
    kept = (home / "pki" / "gateway.key.pem").read_bytes()
    shutil.rmtree(home / "pki" / "parties")

    ran = run("certs", "dev", "--json")

    assert ran.code == 0
    assert ran.json == {"folder": str(home / "pki"), "parties": ["NSW", "BNN", "TCHQ", "IPPC"]}
    assert (home / "pki" / "gateway.key.pem").read_bytes() == kept
    assert (home / "pki" / "parties" / "NSW.pem").exists()
    assert "Never for production" in run("certs", "dev").out


def test_dev_where_nothing_can_be_written_is_wrong_usage(run: Run, home: Path) -> None:
    shutil.rmtree(home / "pki")
    (home / "pki").write_text("in the way")

    assert run("certs", "dev").code == 2


def test_check_lists_key_parties_and_anchors(run: Run) -> None:
    ran = run("certs", "check", "--json")

    assert (ran.code, ran.json["ok"], ran.json["errors"]) == (0, True, [])
    found = {(row["use"], row["party"]) for row in ran.json["certificates"]}
    assert {("gateway", None), ("party", "NSW"), ("anchor-person", None)} <= found
    assert ran.json["certificates"][0].keys() == {"use", "party", "subject", "not_after", "days", "valid", "succeeded", "sha256"}
    assert GATEWAY in run("certs", "check").out


def test_missing_key_is_told_with_the_way_to_one(run: Run, home: Path) -> None:
    shutil.rmtree(home / "pki")

    ran = run("certs", "check")

    assert ran.code == 1
    assert "nsw certs dev" in ran.out


def test_damaged_certificate_fails(run: Run, home: Path) -> None:
    (home / "pki" / "parties" / "BNN.pem").write_text("nothing")

    ran = run("certs", "check", "--json")

    assert (ran.code, ran.json["ok"]) == (1, False)
    assert ran.json["errors"][0]["path"].endswith("BNN.pem")


def test_key_of_another_certificate_fails(run: Run, home: Path) -> None:
    shutil.copy(home / "pki" / "keys" / "NSW.key.pem", home / "pki" / "gateway.key.pem")

    assert run("certs", "check").code == 1


@pytest.mark.parametrize(("later", "state"), [(0, "good"), (3600, "soon"), (4000, "bad"), (-10, "bad")])
def test_certificate_is_good_until_its_end_is_near(pki: Path, later: int, state: str) -> None:
    found = holdings(pki, at=datetime.now(UTC) + timedelta(days=later))

    assert {held.state for held in found.certificates} == {state}
    assert found.good == (state != "bad")
