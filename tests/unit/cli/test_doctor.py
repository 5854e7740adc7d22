"""nsw doctor: each thing that may be wrong is found, named, and given a remedy."""

import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.audit import Event
from gateway.cli import examinations
from gateway.cli.examinations import Finding, examine
from gateway.config import Settings
from gateway.evidence.copies import Copy, open_journal
from gateway.evidence.heads import SignedHead
from gateway.evidence.ledger import Ledger
from gateway.installed import now
from gateway.security.keys import load_key
from gateway.store.engine import open_database
from gateway.store.leaves import write_leaf
from gateway.store.migrate import upgrade
from gateway.web.keys import hash_key
from gateway.xml.schemas import Schemas

Run = Callable[..., Any]

NAMES = [
    "python",
    "libraries",
    "home",
    "disk",
    "clock",
    "database",
    "certificates",
    "heads",
    "adapters",
    "schemas",
    "rules",
    "parties",
    "port",
]
Look = Callable[[str], Finding]


@pytest.fixture
def examined(home: Path, compiled: Schemas, monkeypatch: pytest.MonkeyPatch) -> Look:
    """Examine the home, and give the first finding of a name."""
    monkeypatch.chdir(home)
    monkeypatch.setattr(examinations, "load_schemas", lambda _: compiled)
    monkeypatch.setenv("NSW_PORT", "0")

    def look(name: str) -> Finding:
        return next(finding for finding in examine(Settings(), at=now()) if finding.name == name)

    return look


def test_json_names_every_check(run: Run, home: Path) -> None:
    upgrade(Settings(home=home).database)

    ran = run("doctor", "--json")

    assert ran.code == 0
    assert ran.json["ok"] is True
    assert list(dict.fromkeys(check["name"] for check in ran.json["checks"])) == NAMES
    assert ran.json["checks"][0].keys() == {"name", "state", "code", "path", "line", "message_vi", "message_en", "fix"}


def test_failure_ends_with_one_and_a_remedy(run: Run, home: Path) -> None:
    (home / "pki" / "gateway.key.pem").unlink()
    (home / "pki" / "gateway.cert.pem").unlink()

    ran = run("doctor")

    assert ran.code == 1
    assert "✗ Keys and certificates: " in ran.out
    assert "nsw certs dev" in ran.out
    assert "Failures: 1, warnings: " in ran.out


def test_setting_that_is_spelt_wrong_is_warned_of(examined: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSW_FOUR_EYE", "all")

    found = examined("settings")

    assert (found.state, found.told.path, found.told.values["near"]) == ("warning", "NSW_FOUR_EYE", "NSW_FOUR_EYES")


def test_missing_database_is_only_a_warning(examined: Look) -> None:
    assert examined("database").state == "warning"


def test_damaged_database_fails(examined: Look, home: Path) -> None:
    (home / "gateway.db").write_bytes(b"nothing of the kind" * 100)

    assert examined("database").state == "failed"


def test_database_of_another_version_fails(examined: Look, home: Path) -> None:
    sqlite3.connect(home / "gateway.db").close()
    (home / "gateway.db").touch()

    assert examined("database").told.text == "store.pending"


@pytest.mark.parametrize(("text", "found"), [
    ("# ours\nnonsense\n", [("failed", "web.key-line", 2)]),
    ("a::root:x\n\nb c::reader:x\n", [("failed", "web.key-roles", 1), ("failed", "web.key-name", 3)]),
    (None, [("failed", "web.keys-unreadable", None)]),
    (f"a::reader:{hash_key('one', salt=bytes(16))}\n", [("good", "cli.doctor-api-keys-good", None)]),
])  # fmt: skip
@pytest.mark.usefixtures("examined")
def test_file_of_keys_is_read_line_by_line(
    home: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, found: list[tuple[str, str, int | None]]
) -> None:
    path = home / "api-keys"
    if text is not None:
        path.write_text(text, "utf-8")
    monkeypatch.setenv("NSW_API_KEYS", str(path))

    findings = [finding for finding in examine(Settings(), at=now()) if finding.name == "keys"]

    assert [(each.state, each.told.text, each.told.line) for each in findings] == found
    assert {each.told.path for each in findings} == {str(path)}


def test_clock_that_was_set_back_fails(examined: Look, home: Path) -> None:
    upgrade(Settings(home=home).database)
    with sqlite3.connect(home / "gateway.db") as database:
        database.execute(
            "INSERT INTO messages (id, state, received_at, door, channel, path, sha256, answer_status, answer_headers) "
            "VALUES ('x', 'refused', 4000000000000000, 'rest', 'open:-', '/', '00', 400, '{}')"
        )
    database.close()

    assert examined("database").told.text == "cli.doctor-clock-behind"


@pytest.mark.usefixtures("home")
def test_clock_before_the_release_fails() -> None:
    found = [finding for finding in examine(Settings(), at=datetime(2020, 1, 1, tzinfo=UTC)) if finding.name == "clock"]

    assert [finding.state for finding in found] == ["failed"]


@pytest.mark.usefixtures("home")
def test_expired_certificates_fail_each() -> None:
    found = [finding for finding in examine(Settings(), at=datetime(2040, 1, 1, tzinfo=UTC)) if finding.name == "certificates"]

    assert {finding.told.text for finding in found} == {"cli.doctor-certificate-out"}


def test_parties_without_address_are_named(examined: Look, home: Path) -> None:
    assert examined("parties").told.values["parties"] == "NSW, BNN, TCHQ, IPPC"

    (home / "rules").mkdir()
    addresses = "".join(f'{code} = "http://127.0.0.1:9/ws"\n' for code in ("NSW", "BNN", "TCHQ", "IPPC"))
    (home / "rules" / "endpoints.toml").write_text("[endpoints]\n" + addresses)

    assert examined("parties").state == "good"


def test_exceptions_that_end_are_told_of(compiled: Schemas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examinations, "load_schemas", lambda _: compiled)

    found = [f for f in examine(Settings(home=Path("/nowhere")), at=datetime(2040, 1, 1, tzinfo=UTC)) if f.name == "parties"]

    assert [(f.state, f.told.text, f.told.path) for f in found[1:]] == [("warning", "signature.exception-over", "BNN")]


def test_faults_of_rules_are_all_told(examined: Look, home: Path) -> None:
    (home / "rules").mkdir()
    (home / "rules" / "endpoints.toml").write_text("[endpoints]\nNOBODY = 'x'\n")

    assert examined("rules").state == "failed"


def test_adapter_that_cannot_be_loaded_fails(examined: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> dict[str, object]:
        raise ImportError("no module named agency")

    monkeypatch.setattr(examinations, "discover", broken)

    found = examined("adapters")

    assert (found.state, found.told.values["reason"]) == ("failed", "ImportError: no module named agency")


def test_broken_schemas_fail(home: Path) -> None:
    (home / "schemas").mkdir()
    (home / "schemas" / "catalog.toml").write_text("[[pack\n")

    found = [finding for finding in examine(Settings(), at=now()) if finding.name == "schemas"]

    assert [finding.state for finding in found] == ["failed"]


@pytest.mark.parametrize(("free", "state"), [(10**12, "good"), (2**30, "warning"), (2**20, "failed")])
def test_disk_is_judged_by_what_is_free(examined: Look, monkeypatch: pytest.MonkeyPatch, free: int, state: str) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))

    assert examined("disk").state == state


def test_folder_of_keys_open_to_everybody_is_warned_of(examined: Look, home: Path) -> None:
    home.chmod(0o755)
    (home / "pki").chmod(0o755)

    assert examined("home").told.text == "cli.doctor-home-open"

    (home / "pki").chmod(0o700)
    assert examined("home").state == "good"


@pytest.mark.usefixtures("home")
def test_home_that_is_no_folder_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("NSW_HOME", str(tmp_path / "file"))

    found = {finding.name: finding.state for finding in examine(Settings(), at=now())}

    assert found["home"] == "failed"


@pytest.mark.usefixtures("home")
def test_home_that_is_not_there_yet_is_no_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NSW_HOME", str(tmp_path / "later" / "home"))

    found = {finding.name: finding.told.text for finding in examine(Settings(), at=now())}

    assert found["home"] == "cli.doctor-home-new"
    assert not (tmp_path / "later").exists()


def test_taken_port_names_who_has_it(examined: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("NSW_PORT", str(server.getsockname()[1]))

        found = examined("port")

    assert (found.state, found.told.text) == ("warning", "cli.doctor-port-taken")
    assert "(pid " in found.told.values["program"]


def test_port_of_a_gateway_is_good(examined: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    program = SimpleNamespace(pid=7, command="/opt/venv/bin/python /opt/venv/bin/nsw serve")
    monkeypatch.setattr(examinations, "listener", lambda _: program)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("NSW_PORT", str(server.getsockname()[1]))

        assert examined("port").told.text == "cli.doctor-port-ours"


def test_free_port_is_good(examined: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("NSW_PORT", str(port))

    assert examined("port").told.text == "cli.doctor-port-free"


def test_heads_that_leave_the_house_nowhere_are_warned_of(examined: Look) -> None:
    found = examined("heads")

    assert (found.state, found.told.text) == ("warning", "cli.doctor-heads-off")


@pytest.fixture
def sealed(home: Path, monkeypatch: pytest.MonkeyPatch) -> SignedHead:
    """A ledger with one head, sealed an hour ago, and a file that heads go to."""
    monkeypatch.setenv("NSW_HEADS_FILE", str(home / "heads.jsonl"))
    upgrade(Settings(home=home).database)
    with closing(open_database(Settings(home=home).database)) as database:
        ledger = Ledger(database, clock=lambda: now() - timedelta(hours=1))
        database.commit(lambda tx: write_leaf(tx, Event(kind="test.happened", at=now())))
        ledger.seal()
        ledger.sign(load_key(home / "pki" / "gateway.key.pem", home / "pki" / "gateway.cert.pem"))
        newest = ledger.newest()
    assert newest
    return newest


def test_heads_that_reach_their_place_are_good(examined: Look, home: Path, sealed: SignedHead) -> None:
    with open_journal(home / "heads.jsonl", wait=True) as journal:
        assert journal
        journal.append(Copy(signed=sealed))

    assert (examined("heads").state, examined("heads").told.values["places"]) == ("good", "file")


@pytest.mark.usefixtures("sealed")
def test_heads_that_do_not_reach_their_place_are_warned_of(examined: Look) -> None:
    assert examined("heads").told.text == "cli.doctor-heads-behind"


@pytest.mark.usefixtures("sealed")
def test_a_file_of_heads_that_holds_something_else_is_warned_of(examined: Look, home: Path) -> None:
    (home / "heads.jsonl").write_text("something else\n", "utf-8")

    assert examined("heads").told.text == "ledger.copies-closed"
