import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.bootstrap import open_attachments
from gateway.cli import keys
from gateway.cli.story import when
from gateway.config import Settings
from gateway.installed import now
from gateway.outbox.outbox import SqlOutbox
from gateway.outbox.payloads import Payloads
from gateway.outbox.rekeying import REST
from gateway.security.cipher import FileCipher
from gateway.store.engine import open_database
from gateway.store.migrate import upgrade
from gateway.store.queries import Queries
from gateway.store.tables import LEDGER
from gateway.testing.entries import make_entry

Run = Callable[..., Any]


@pytest.fixture
def chosen(home: Path) -> Settings:
    """An installation with a database and its first key."""
    settings = Settings(home=home)
    upgrade(settings.database)
    FileCipher(home / "keys", entropy=os.urandom)
    return settings


@pytest.fixture
def rested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands run a while after whatever was done before them."""

    def later() -> datetime:
        return now() + REST + timedelta(seconds=1)

    monkeypatch.setattr(keys, "now", later)


def all_keys(home: Path) -> list[bytes]:
    return [path.read_bytes() for path in (home / "keys").glob("*.key")]


def test_keys_are_listed_and_the_present_one_is_marked(run: Run, chosen: Settings) -> None:
    run("keys", "rotate")

    shown, told = run("keys", "list"), run("keys", "list", "--json")

    assert [(key["name"], key["present"]) for key in told.json["keys"]] == [("content-1", False), ("content-2", True)]
    assert "content-2" in shown.out
    assert chosen.home.exists()


def test_people_see_when_a_key_was_made_and_by_which_clock(run: Run, chosen: Settings) -> None:
    [key] = run("keys", "list", "--json").json["keys"]

    assert when(datetime.fromisoformat(key["made_at"])) in run("keys", "list").out
    assert chosen.home.exists()


def test_rotation_is_told_and_stands_in_the_ledger(run: Run, chosen: Settings) -> None:
    done = run("keys", "rotate")

    database = open_database(chosen.database)
    leaves = [leaf for (leaf,) in database.read(lambda tx: tx.rows(LEDGER.select().with_only_columns(LEDGER.c.leaf)))]
    database.close()
    assert (done.code, "content-2" in done.out) == (0, True)
    assert any('"kind":"key.rotated"' in leaf and '"key":"content-2"' in leaf for leaf in leaves)


def test_key_of_another_machine_is_added_and_then_rotated_to(run: Run, chosen: Settings, tmp_path: Path) -> None:
    (tmp_path / "content-5.key").write_bytes(os.urandom(32))

    added, present = run("keys", "add", tmp_path / "content-5.key", "--json"), run("keys", "list", "--json")
    rotated = run("keys", "rotate", "content-5", "--json")

    assert (added.json["name"], rotated.json["name"]) == ("content-5", "content-5")
    assert [key["present"] for key in present.json["keys"]] == [True, False]
    assert chosen.home.exists()


def test_old_key_is_retired_and_everything_stays_readable(run: Run, chosen: Settings, rested: None) -> None:  # noqa: ARG001  # time has passed
    database = open_database(chosen.database)
    payloads = Payloads(cipher=FileCipher(chosen.home / "keys", entropy=os.urandom))
    entry = make_entry()
    SqlOutbox(database, payloads, clock=now, entropy=os.urandom).record(entry)
    run("keys", "rotate")

    done = run("keys", "retire", "content-1", "--json")

    fresh = Payloads(cipher=FileCipher(chosen.home / "keys", entropy=os.urandom))
    assert (done.code, done.json) == (0, {"ok": True, "name": "content-1", "count": 3})
    assert Queries(database, fresh.unlock).content(entry.arrival.id) == entry.envelope.document.content
    assert not (chosen.home / "keys" / "content-1.key").exists()
    database.close()


def test_key_is_not_retired_right_after_the_rotation(run: Run, chosen: Settings) -> None:
    run("keys", "rotate")

    early = run("keys", "retire", "content-1", "--json")

    assert (early.code, early.json["errors"][0]["code"]) == (1, "cipher.not-rested")
    assert (chosen.home / "keys" / "content-1.key").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("retire", "content-1"), "cipher.in-use"),
        (("retire", "content-9"), "cipher.unknown-key"),
        (("retire", "../digest"), "cipher.unknown-key"),
        (("rotate", "content-9"), "cipher.unknown-key"),
        (("rotate", "digest"), "cipher.unknown-key"),
        (("add", "nowhere.key"), "cipher.no-key-file"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(run: Run, chosen: Settings, arguments: tuple[str, ...], text: str) -> None:
    before = all_keys(chosen.home)

    refused = run("keys", *arguments, "--json")

    assert (refused.code, refused.json["errors"][0]["code"]) == (1, text)
    assert all_keys(chosen.home) == before


def test_without_keys_or_database_nothing_is_made(run: Run, home: Path) -> None:
    listed, rotated = run("keys", "list"), run("keys", "rotate")

    assert (listed.code, rotated.code) == (3, 3)
    assert not (home / "gateway.db").exists()


def test_no_command_shows_a_key(run: Run, chosen: Settings, rested: None) -> None:  # noqa: ARG001  # time has passed
    said = [run("keys", *words) for words in (("rotate",), ("add",), ("list",), ("list", "--json"), ("retire", "content-1"))]

    for key in all_keys(chosen.home):
        assert all(key.hex() not in each.out + each.err and repr(key)[2:-1] not in each.out + each.err for each in said)


def test_attachments_that_nobody_refers_to_are_collected(run: Run, chosen: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_attachments(chosen) as keeping:
        upload = keeping.upload(name="a", media_type="")
        upload.write(b"nobody's")
        upload.finish()
    early = run("attachments", "collect", "--json")
    monkeypatch.setattr("gateway.store.engine.utc", lambda: now() + timedelta(days=2))
    late = run("attachments", "collect", "--json")

    assert (early.json["removed"], late.json) == (0, {"ok": True, "removed": 1, "failed": 0})
    assert [path for path in (chosen.home / "attachments").rglob("*") if path.is_file()] == []


def test_collecting_needs_a_database(run: Run, home: Path) -> None:
    assert run("attachments", "collect").code == 3
    assert not (home / "attachments").exists()


def test_less_than_an_hour_is_refused(run: Run) -> None:
    assert run("attachments", "collect", "--older-than", "0.5").code == 2
