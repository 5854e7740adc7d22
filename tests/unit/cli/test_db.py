"""nsw db over both databases: brought to this release, looked at, measured."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from gateway.store.engine import open_database
from gateway.store.migrate import pending, upgrade

Run = Callable[..., Any]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database that has the tables."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else f"sqlite:///{home}/gateway.db"
    upgrade(url)
    monkeypatch.setenv("NSW_DATABASE_URL", url)
    return str(url)


def test_upgrade_makes_the_tables_and_does_nothing_the_second_time(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{home}/new.db"
    monkeypatch.setenv("NSW_DATABASE_URL", url)

    first, second = run("db", "upgrade", "--pre", "--json"), run("db", "upgrade", "--json")

    assert first.json == second.json == {"ok": True, "pre": "complete", "post": "complete"}
    assert not pending(url)


def test_both_halves_alone_exclude_each_other(run: Run) -> None:
    assert run("db", "upgrade", "--pre", "--post").code == 2


def test_second_half_waits_for_the_first(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSW_DATABASE_URL", f"sqlite:///{home}/new.db")

    ran = run("db", "upgrade", "--post")

    assert ran.code == 3
    assert "--pre" in ran.err


def test_check_finds_nothing_wrong_with_a_good_file(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSW_DATABASE_URL", f"sqlite:///{home}/gateway.db")
    upgrade(f"sqlite:///{home}/gateway.db")

    ran = run("db", "check", "--json")

    assert (ran.code, ran.json["ok"], ran.json["kind"], ran.json["quick_check"]) == (0, True, "sqlite", "ok")
    assert "quick_check" in run("db", "check").out


def test_check_names_a_server_that_does_not_flush_to_disk(run: Run, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSW_DATABASE_URL", postgres_url)  # the tests' own server is set to be fast, not to survive a power cut

    ran = run("db", "check", "--json")

    assert ran.code == 1
    assert [error["path"] for error in ran.json["errors"]] == ["fsync", "full_page_writes"]
    assert (ran.json["kind"], ran.json["server_encoding"], ran.json["pre"]) == ("postgresql", "UTF8", "complete")


def test_check_of_what_is_not_there_makes_nothing(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSW_DATABASE_URL", f"sqlite:///{home}/none.db")

    assert run("db", "check").code == 3
    assert not (home / "none.db").exists()


def test_check_tells_of_missing_tables(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "empty.db").touch()
    monkeypatch.setenv("NSW_DATABASE_URL", f"sqlite:///{home}/empty.db")

    ran = run("db", "check", "--json")

    assert (ran.code, ran.json["pre"]) == (1, "pending")


def test_server_that_is_away_is_not_available(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSW_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")

    assert [run("db", command).code for command in ("upgrade", "check", "size")] == [3, 3, 3]


def test_size_lists_every_table_with_its_rows(run: Run, url: str) -> None:
    database = open_database(url)
    database.commit(lambda tx: tx.changed(text("INSERT INTO dossiers (id, message, updated_at) VALUES ('d', 'm', 1)")))
    database.read(lambda tx: tx.changed(text("ANALYZE dossiers")))
    database.close()

    ran = run("db", "size", "--json")

    rows = {table["name"]: table["rows"] for table in ran.json["tables"]}
    assert {"messages", "payloads", "deliveries", "ledger"} <= rows.keys()
    assert rows["dossiers"] == 1
    assert ran.json["bytes"] == sum(table["bytes"] for table in ran.json["tables"]) > 0
    assert "MiB" in run("db", "size").out


def test_size_tells_growth_and_what_is_to_come(run: Run, url: str) -> None:
    plain, ahead = run("db", "size", "--json").json, run("db", "size", "--forecast", "1y", "--json").json

    assert (plain["growth"]["messages"], plain["forecast"]) == ([0, 0, 0, 0], None)
    assert {table["kind"] for table in plain["tables"]} >= {"content", "record", "ledger"}
    assert ahead["forecast"].keys() == {"at", "bytes", "kept", "purged", "archives", "archive_bytes"}
    assert ahead["forecast"]["bytes"] == ahead["bytes"]
    assert ahead["forecast"]["archive_bytes"] == 0
    assert "The last four weeks brought" in run("db", "size", "--forecast", "90d").out
    assert url


@pytest.mark.parametrize("span", ["", "1", "y", "1w", "-1d", "1.5y", "101y", "٣d"])
def test_forecast_of_what_is_no_span_is_refused(run: Run, url: str, span: str) -> None:
    assert run("db", "size", "--forecast", span).code == 2
    assert url
