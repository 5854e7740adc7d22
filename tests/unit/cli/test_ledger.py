"""nsw ledger: copies of heads, and what a check against them says."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.audit import Event
from gateway.config import Settings
from gateway.evidence.copies import Copy, countersign, open_journal
from gateway.evidence.ledger import Ledger
from gateway.installed import now
from gateway.ports import Tx
from gateway.security.keys import load_key
from gateway.store.engine import open_database
from gateway.store.leaves import write_leaf
from gateway.store.migrate import upgrade
from gateway.testing.growing import Tree, make_key

Run = Callable[..., Any]
EVENTS = 30


@pytest.fixture
def ledger(home: Path) -> Path:
    """Seal some events under the home's own key; gives the database's file."""
    url = Settings(home=home).database
    upgrade(url)
    database = open_database(url)
    with closing(database):
        ledger = Ledger(database, clock=now)
        key = load_key(home / "pki" / "gateway.key.pem", home / "pki" / "gateway.cert.pem")
        for _ in range(2):
            database.commit(_happen)
            ledger.seal()
            ledger.sign(key)
    return home / "gateway.db"


def _happen(tx: Tx) -> None:
    for n in range(EVENTS):
        write_leaf(tx, Event(kind="test.happened", at=datetime.now(UTC), values={"n": str(n)}))


@pytest.mark.usefixtures("ledger")
def test_copies_heads_and_passes_against_the_copy(run: Run, tmp_path: Path) -> None:
    copied = run("ledger", "heads", "--output", tmp_path / "heads.json", "--json")
    checked = run("ledger", "verify", "--heads", tmp_path / "heads.json", "--json")

    assert (copied.code, copied.json["heads"], copied.json["size"]) == (0, 2, 2 * EVENTS)
    assert (checked.code, checked.json["valid"], checked.json["size"], checked.json["unsealed"]) == (0, True, 2 * EVENTS, 0)
    assert checked.json["sealed_until"] == json.loads((tmp_path / "heads.json").read_bytes())["heads"][-1]["head"]["at"]
    assert checked.json["errors"] == []


@pytest.mark.usefixtures("ledger")
def test_copies_only_later_heads_where_asked(run: Run, tmp_path: Path) -> None:
    assert run("ledger", "heads", "--output", tmp_path / "heads.json", "--after", EVENTS, "--json").json["heads"] == 1


def test_names_what_was_altered(run: Run, ledger: Path) -> None:
    with closing(sqlite3.connect(ledger, isolation_level=None)) as database:
        database.execute("UPDATE ledger SET leaf = 'forged' WHERE position = 7")
    checked = run("ledger", "verify", "--json")
    spoken = run("ledger", "verify")

    assert (checked.code, checked.json["valid"]) == (1, False)
    assert [error["code"] for error in checked.json["errors"]] == ["ledger.leaf-altered", "ledger.root-differs", "ledger.root-differs"]
    assert spoken.code == 1
    assert "position 7 " in spoken.out


def test_a_history_written_anew_does_not_match_the_copy(run: Run, ledger: Path, tmp_path: Path, home: Path) -> None:
    run("ledger", "heads", "--output", tmp_path / "heads.json")
    with closing(sqlite3.connect(ledger, isolation_level=None)) as database:
        database.execute("UPDATE ledger SET leaf = 'forged' WHERE position = 7")
        database.execute("UPDATE ledger SET position = NULL")
        database.execute("DELETE FROM ledger_heads")
        database.execute("DELETE FROM ledger_tiles")
    with closing(open_database(Settings(home=home).database)) as database:
        Ledger(database, clock=now).seal()
        Ledger(database, clock=now).sign(load_key(home / "pki" / "gateway.key.pem", home / "pki" / "gateway.cert.pem"))

    assert run("ledger", "verify", "--json").json["valid"]
    checked = run("ledger", "verify", "--heads", tmp_path / "heads.json", "--json")
    assert (checked.code, {error["code"] for error in checked.json["errors"]}) == (1, {"ledger.fork", "ledger.forked"})


@pytest.mark.usefixtures("ledger")
def test_heads_of_a_certificate_put_aside_still_count(run: Run, home: Path) -> None:
    pki = home / "pki"
    (pki / "gateway.cert.pem").rename(pki / "old.pem")
    (pki / "gateway.cert.pem").write_bytes((pki / "parties" / "NSW.pem").read_bytes())

    assert run("ledger", "verify", "--json").code == 1
    assert run("ledger", "verify", "--trust", pki / "old.pem", "--json").json["valid"]


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"heads": [{}], "certificates": {}}',
        b'{"head":{}}\n',
        b'{"head":',
        b'{"heads": [], "certificates": {"a": "b"}}',
        b"[" * 100_000,
    ],
)
def test_refuses_a_file_that_is_no_copy(run: Run, write: Callable[[str, bytes], Path], content: bytes) -> None:
    ran = run("ledger", "verify", "--heads", write("heads.json", content), "--json")

    assert (ran.code, ran.json["errors"][0]["code"]) == (1, "ledger.heads-unreadable")


def test_says_that_there_is_no_database(run: Run) -> None:
    assert run("ledger", "verify", "--json").code == 3


def test_a_stamp_that_no_anchor_proves_is_told_of(run: Run, ledger: Path) -> None:
    with closing(sqlite3.connect(ledger, isolation_level=None)) as database:
        database.execute("INSERT INTO ledger_stamps (size, begun_at, asked_at, at, authority, token) VALUES (30, 1, 1, 1, 'a', x'30')")
    checked = run("ledger", "verify", "--json")

    assert (checked.code, checked.json["stamped_until"]) == (1, "1970-01-01T00:00:00.000001+00:00")
    assert [error["code"] for error in checked.json["errors"]] == ["ledger.stamp"]


@pytest.fixture
def witnessed(home: Path, ledger: Path, tmp_path: Path) -> Path:
    """A published file whose heads a witness countersigned; the witness's certificate lies beside it."""
    witness = make_key(tmp_path / "witness")
    with closing(open_database(f"sqlite:///{ledger}")) as database, open_journal(home / "heads" / "witness.jsonl", wait=True) as journal:
        assert journal
        for signed in Ledger(database, clock=now).heads():
            journal.append(countersign(signed, witness, at=now()))
    (home / "heads" / "witness.pem").write_bytes((tmp_path / "witness" / "gateway.cert.pem").read_bytes())
    return home / "heads" / "witness.jsonl"


def test_a_published_file_is_a_copy_as_well(run: Run, witnessed: Path, tmp_path: Path) -> None:
    run("ledger", "heads", "--output", tmp_path / "heads.json")
    checked = run("ledger", "verify", "--heads", witnessed, "--heads", tmp_path / "heads.json", "--json")

    assert (checked.code, checked.json["valid"], checked.json["copies"]) == (0, True, 4)


def test_copies_must_be_countersigned_where_a_witness_is_named(run: Run, witnessed: Path, tmp_path: Path, home: Path) -> None:
    run("ledger", "heads", "--output", tmp_path / "heads.json")
    pem = witnessed.with_suffix(".pem")

    assert run("ledger", "verify", "--heads", witnessed, "--witness", pem, "--json").json["valid"]
    for copy, by in ((tmp_path / "heads.json", pem), (witnessed, home / "pki" / "gateway.cert.pem")):
        checked = run("ledger", "verify", "--heads", copy, "--witness", by, "--json")
        assert (checked.code, {error["code"] for error in checked.json["errors"]}) == (1, {"ledger.witness-missing"})


def test_a_fork_is_named_by_the_copy_of_whoever_saw_the_other_history(run: Run, home: Path, ledger: Path, tmp_path: Path) -> None:
    key = load_key(home / "pki" / "gateway.key.pem", home / "pki" / "gateway.cert.pem")
    other = Tree(key, clock=now, history="false")
    with open_journal(tmp_path / "refused.jsonl", wait=True) as journal:
        assert journal
        for size in (EVENTS - 1, EVENTS):  # between the ledger's own heads, and of the size of one
            journal.append(Copy(signed=other.grow(size)))
    checked = run("ledger", "verify", "--heads", tmp_path / "refused.jsonl", "--json")

    assert ledger.is_file()
    assert checked.code == 1
    assert [error["code"] for error in checked.json["errors"]] == ["ledger.forked", "ledger.fork", "ledger.fork"]
