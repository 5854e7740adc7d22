"""nsw retention, beside a running server: run, preview, holds, and archives."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.bootstrap import open_store
from gateway.config import Settings
from gateway.lifecycle import Delivered, next_step
from gateway.model import MessageId, RetryPolicy, uuid7
from gateway.outbox.archive import SUFFIX
from gateway.store.migrate import upgrade
from gateway.testing.entries import BNN, make_entry

Run = Callable[..., Any]

LONG_AGO = datetime.now(UTC) - timedelta(days=30 * 366)
REASON = "Công văn 345/CV-2026"


@pytest.fixture(scope="session")
def aged(tmp_path_factory: pytest.TempPathFactory, pki: Path) -> Path:
    """A home with a delivered message of thirty years ago and one of today, none of a procedure that the rules know."""
    home = tmp_path_factory.mktemp("aged")
    shutil.copytree(pki, home / "pki")
    settings = Settings(home=home, database_url="", rules=None, schemas=None)
    upgrade(settings.database)
    with open_store(settings) as store:
        for number, at in enumerate((LONG_AGO, datetime.now(UTC))):
            entry = make_entry(key=b"%d" % number, reference=f"R{number}")
            id_ = MessageId(uuid7(at, os.urandom(10)))
            arrival = replace(entry.arrival, id=id_, received_at=at)
            receipt = replace(entry.receipt, message=id_, accepted_at=at)
            store.outbox.record(replace(entry, arrival=arrival, receipt=receipt, envelope=replace(entry.envelope, id=id_)))
        for claim in store.outbox.claim({BNN: 10}):
            step = next_step(claim.state, Delivered(), attempt=1, policy=RetryPolicy(), now=datetime.now(UTC))
            store.outbox.settle(claim, step, Delivered(), None)
    return home


@pytest.fixture
def beside(run: Run, home: Path, aged: Path) -> Run:
    """Run commands on a copy of that home."""
    shutil.rmtree(home)
    shutil.copytree(aged, home)
    return run


def purged(run: Run) -> list[str]:
    """Give the references of messages whose content went."""
    rows = run("messages", "list", "--json").json["items"]
    return [row["reference"] for row in rows if run("messages", "show", row["id"], "--json").json["purged_at"]]


def test_dry_run_says_what_would_go_and_changes_nothing(beside: Run) -> None:
    told = beside("retention", "run", "--dry-run", "--json").json
    words = beside("retention", "run", "--dry-run")

    assert told["items"][0] == {"stage": "content", "procedure": "P1", "due": 1, "held": 0, "open": 0}
    assert told["bytes"] > 0
    assert words.code == 0
    assert "content" in words.out
    assert purged(beside) == []


def test_run_purges_into_the_folder_that_is_named(beside: Run, tmp_path: Path) -> None:
    ran = beside("retention", "run", "--archive", tmp_path / "kept", "--json")

    assert (ran.code, ran.json["content"], ran.json["archived"]) == (0, 1, 1)
    assert [path.suffix for path in (tmp_path / "kept").iterdir()] == [SUFFIX]
    assert purged(beside) == ["R0"]


def test_run_says_in_words_what_it_did(beside: Run, home: Path) -> None:
    ran = beside("retention", "run")

    assert ran.code == 0
    assert "Purged the content of 1 messages" in ran.out
    assert len(list((home / "archive").iterdir())) == 1


def test_purged_message_tells_so_in_its_story(beside: Run) -> None:
    beside("retention", "run")
    (number,) = [row["id"] for row in beside("messages", "list", "--json").json["items"] if row["reference"] == "R0"]

    assert "its content was purged" in beside("messages", "show", number).out


def test_archive_is_read_and_extracted(beside: Run, home: Path, tmp_path: Path) -> None:
    beside("retention", "run")
    (file,) = (home / "archive").iterdir()

    told = beside("retention", "read", file, "--extract", tmp_path / "out", "--json")
    words = beside("retention", "read", file)

    (message,) = told.json["messages"]
    assert (told.code, told.json["ok"], message["reference"]) == (0, True, "R0")
    assert (tmp_path / "out" / message["id"] / "document").read_bytes().startswith(b"<Envelope>")
    assert json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))["archive"] == told.json["archive"]
    assert "every part as its digest says" in words.out


@pytest.mark.parametrize("content", [b"", b"x" * 200])
def test_file_that_is_no_archive_is_refused(beside: Run, write: Callable[[str, bytes], Path], content: bytes) -> None:
    ran = beside("retention", "read", write("file", content), "--json")

    assert (ran.code, ran.json["errors"][0]["code"]) == (1, "retention.no-archive")


def test_archive_without_its_keys_is_not_available(beside: Run, home: Path) -> None:
    beside("retention", "run")
    (file,) = (home / "archive").iterdir()
    shutil.rmtree(home / "keys")

    ran = beside("retention", "read", file)

    assert ran.code == 3
    assert "no keys of encryption here" in ran.err


def test_held_is_kept_until_it_is_released(beside: Run) -> None:
    placed = beside("retention", "hold", "--procedure", "P1", "--reason", REASON, "--json").json
    assert (placed["kind"], placed["value"], placed["reason"]) == ("procedure", "P1", REASON)
    beside("retention", "run")
    assert purged(beside) == []

    released = beside("retention", "release", placed["id"], "--reason", "xong")
    beside("retention", "run")

    assert "Released hold" in released.out
    assert purged(beside) == ["R0"]


def test_holds_are_listed(beside: Run) -> None:
    assert "No hold is in force" in beside("retention", "holds").out
    placed = beside("retention", "hold", "--party", "BNN", "--reason", REASON)
    assert "Holding party BNN" in placed.out

    listed = beside("retention", "holds", "--json").json["items"]

    assert [(hold["kind"], hold["value"], hold["released_at"]) for hold in listed] == [("party", "BNN", None)]
    assert REASON in beside("retention", "holds").out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--reason", "x"], 2),
        (["--party", "BNN", "--procedure", "P1", "--reason", "x"], 2),
        (["--party", "BNN"], 2),
        (["--party", "BNN", "--reason", " "], 2),
        (["--party", "BNN", "--reason", "a\nb"], 2),
        (["--party", "NOBODY", "--reason", "x"], 1),
        (["--dossier", "P1/R7/2026", "--reason", "x"], 1),
        (["--message", "1", "--reason", "x"], 1),
    ],
)
def test_hold_that_names_nothing_is_refused(beside: Run, arguments: list[str], code: int) -> None:
    assert beside("retention", "hold", *arguments).code == code
    assert beside("retention", "holds", "--json").json["items"] == []


def test_unknown_hold_cannot_be_released(beside: Run) -> None:
    ran = beside("retention", "release", "0198f3c2-6b1e-7c44-9a53-1f0c2ab4d5e6", "--reason", "x", "--json")

    assert (ran.code, ran.json["errors"][0]["code"]) == (1, "retention.no-hold")


def test_without_a_database_nothing_is_run(run: Run) -> None:
    assert run("retention", "run").code == 3


DYING = """
import os, signal
from gateway.cli.main import app
from gateway.outbox import retention
write = retention.write_archive
def dying(path, data):
    write(path, data)
    os.kill(os.getpid(), signal.SIGKILL)
retention.write_archive = dying
app(["retention", "run"])
"""


def test_a_kill_between_archive_and_purge_loses_nothing_and_leaves_nothing(beside: Run, home: Path) -> None:
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8", "NSW_HOME": str(home)}
    killed = subprocess.run([sys.executable, "-c", DYING], env=environment, capture_output=True, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    (half,) = (home / "archive").iterdir()
    assert purged(beside) == []
    assert beside("retention", "run").code == 1  # the dead run's turn
    database = sqlite3.connect(home / "gateway.db", isolation_level=None)
    database.execute("UPDATE retention_run SET until = 0")  # as if some minutes had passed
    database.close()

    assert beside("retention", "run", "--json").json["content"] == 1

    (whole,) = (home / "archive").iterdir()
    assert whole != half
    assert beside("retention", "read", whole).code == 0
    assert purged(beside) == ["R0"]
