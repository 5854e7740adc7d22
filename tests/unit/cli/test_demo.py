"""nsw demo where it must not play; the journey itself is played in tests/acceptance."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.store.sole import Sole

Run = Callable[..., Any]


def test_an_installation_with_addresses_of_its_own_is_left_alone(run: Run, home: Path) -> None:
    addresses = home / "rules" / "endpoints.toml"
    addresses.parent.mkdir(exist_ok=True)
    addresses.write_text('[endpoints]\nBNN = "https://10.1.2.3:8443/ws"\n', "utf-8")

    ran = run("--lang", "en", "demo", "--stay")

    assert ran.code == 3
    assert "an installation with addresses of its own" in ran.err
    assert addresses.read_text("utf-8") == '[endpoints]\nBNN = "https://10.1.2.3:8443/ws"\n'


def test_addresses_under_nsw_rules_are_an_installations_too(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own-rules"
    own.mkdir()
    (own / "endpoints.toml").write_text("[endpoints]\n", "utf-8")
    monkeypatch.setenv("NSW_RULES", str(own))

    assert run("demo", "--stay").code == 3


def test_beside_a_gateway_that_serves_the_cause_comes_first(run: Run, home: Path) -> None:
    serving = Sole(home / "gateway.db.lock")

    ran = run("--lang", "en", "demo", "--stay")

    serving.release()
    assert ran.code == 3
    assert ran.err.startswith("✗ Another gateway process uses the database")
