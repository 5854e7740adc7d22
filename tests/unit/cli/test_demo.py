"""nsw demo where it must not play; the journey itself is played in tests/acceptance."""

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import demo
from gateway.store.sole import Sole
from gateway.testing.process import NotReadyError

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


@pytest.fixture(autouse=True)
def ended() -> Iterator[list[str]]:
    """What ends with the world; the process's own answer to a signal is back afterwards."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield []
    signal.signal(signal.SIGTERM, before)


def test_a_signal_in_the_middle_ends_all_that_was_started(
    run: Run, tmp_path: Path, ended: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def world(home: Path, **_: object) -> Iterator[None]:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            yield
        finally:
            ended.append(str(home.parent))

    monkeypatch.setattr(demo, "World", world)
    monkeypatch.setattr(demo, "_addresses", lambda *_: None)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    ran = run("demo", "--json")

    assert (ran.code, ran.out) == (130, "")
    assert ended == [str(tmp_path)]
    assert list(tmp_path.glob("nsw-demo-*")) == []


def test_a_gateway_that_does_not_start_is_told_of_to_programs_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def world(*_: object, **__: object) -> None:
        raise NotReadyError("✗ the port is taken\n(serve said '')")

    monkeypatch.setattr(demo, "World", world)

    ran = run("demo", "--json")

    assert ran.code == 3
    assert ran.err.startswith("✗ the port is taken\n")
    assert (ran.json["ok"], ran.json["code"], ran.json["errors"][0]["code"]) == (False, "unavailable", "cli.demo-not-ready")
