"""nsw evidence: a container is written beside a running gateway, and verified with nothing but the file and trust anchors."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.bootstrap import build
from gateway.config import Settings
from gateway.model import MessageId, uuid7
from gateway.security.keys import SigningKey
from gateway.security.signer import sign_system
from gateway.testing import builders
from gateway.testing.applicant import party_key
from gateway.testing.evidence import sealed, unpacked
from gateway.testing.signing import NOW, signed_certificate

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory, pki: Path) -> tuple[Path, tuple[str, ...]]:
    """A home with an accepted application and a refused arrival; gives their ids."""
    home = tmp_path_factory.mktemp("traded")
    shutil.copytree(pki, home / "pki")
    hub = build(Settings(home=home, database_url="", rules=None, schemas=None))
    ids = []
    for number, payload in enumerate((sign_system(builders.message("10/01"), party_key(home / "pki")), b"<Envelope/>")):
        now = datetime.now(UTC)
        ids.append(uuid7(now, bytes([number] * 10)))
        arrival = replace(builders.arrival(builders.soap(payload)), id=MessageId(ids[-1]), received_at=now)
        hub.intake.receive(arrival, hub.doors["vnsw"])
    hub.stop()
    return home, tuple(ids)


@pytest.fixture
def messages(home: Path, traded: tuple[Path, tuple[str, ...]]) -> tuple[str, ...]:
    """The ids of that home's messages, of which this test has a copy."""
    shutil.rmtree(home)
    shutil.copytree(traded[0], home)
    return traded[1]


@pytest.fixture
def exported(run: Run, messages: tuple[str, ...], tmp_path: Path) -> Path:
    """Their container."""
    assert run("evidence", "export", *messages, "--output", tmp_path / "e.asice").code == 0
    return tmp_path / "e.asice"


def test_exports_what_verify_accepts(run: Run, messages: tuple[str, ...], home: Path, tmp_path: Path) -> None:
    written = run("evidence", "export", *messages, "--output", tmp_path / "e.asice", "--json")
    checked = run("evidence", "verify", tmp_path / "e.asice", "--trust", home / "pki" / "gateway.cert.pem", "--json")

    assert (written.code, written.json["messages"]) == (0, list(messages))
    assert (checked.code, checked.json["valid"], checked.json["messages"]) == (0, True, list(messages))
    assert {check["number"] for check in checked.json["checks"] if check["passed"]} == set(range(1, 16))
    assert all(check.keys() == {"number", "name", "passed", "detail"} for check in checked.json["checks"])
    assert all(file.keys() == {"name", "passed"} and file["passed"] for file in checked.json["files"])


def test_a_stream_is_verified_too(exported: Path, home: Path) -> None:
    command = (sys.executable, "-m", "gateway.cli", "evidence", "verify", "-", "--trust", str(home / "pki" / "gateway.cert.pem"), "--json")

    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        out, _ = running.communicate(exported.read_bytes(), timeout=60)

    assert (running.returncode, json.loads(out)["valid"]) == (0, True)


def test_the_gateways_receipt_is_proved_and_nothing_is_said_of_revocation_silently(run: Run, exported: Path, home: Path) -> None:
    checked = run("--lang", "en", "evidence", "verify", exported, "--trust", home / "pki" / "gateway.cert.pem", "--json")

    details = {check["name"]: check["detail"] for check in checked.json["checks"]}
    assert "Signed by CN=NSW Gateway (development),C=VN, who is trusted." in details["receipts"]
    assert "no authority can say whether it was revoked" in details["revocation"]


def test_verifies_without_home_and_database(exported: Path, home: Path, tmp_path: Path) -> None:
    anchor = tmp_path / "anchor.pem"
    shutil.copy(home / "pki" / "gateway.cert.pem", anchor)
    shutil.rmtree(home)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NSW_")}
    command = (sys.executable, "-m", "gateway.cli", "evidence", "verify", str(exported), "--trust", str(anchor), "--json")

    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False, timeout=60)

    assert (done.returncode, json.loads(done.stdout)["valid"]) == (0, True)
    assert not (tmp_path / "var").exists()


def test_says_in_words_what_holds_and_what_does_not(run: Run, exported: Path, home: Path, tmp_path: Path) -> None:
    anchor = home / "pki" / "gateway.cert.pem"
    altered = bytearray(exported.read_bytes())
    altered[altered.index(b"<Envelope>") + 1] ^= 1
    (tmp_path / "altered.asice").write_bytes(altered)

    good = run("evidence", "verify", exported, "--trust", anchor)
    bad = run("--lang", "vi", "evidence", "verify", tmp_path / "altered.asice", "--trust", anchor)

    assert (good.code, bad.code) == (0, 1)
    assert "the evidence holds" in good.out
    assert "  ! 10 " in good.out  # no time-stamp
    assert "chứng cứ KHÔNG đúng" in bad.out
    assert "✗ messages/" in bad.out


def test_another_gateways_certificate_is_not_enough(run: Run, exported: Path, home: Path) -> None:
    checked = run("evidence", "verify", exported, "--trust", home / "pki" / "parties" / "BNN.pem", "--json")

    assert (checked.code, checked.json["valid"]) == (1, False)
    assert [check["number"] for check in checked.json["checks"] if not check["passed"]] == [3, 9]


@pytest.mark.parametrize("trick", ["\x1b[2J\x1b[H", "\x9b2J", "\u202e"])  # clears the screen, and turns the direction
def test_a_forgers_names_cannot_draw_a_verdict_on_the_terminal(run: Run, exported: Path, home: Path, tmp_path: Path, trick: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{trick}✓ the evidence holds")])
    forger = SigningKey(key, (signed_certificate(key, key, name, name),))
    forged = tmp_path / "forged.asice"
    forged.write_bytes(sealed(unpacked(exported.read_bytes())[0], forger, at=NOW))

    checked = run("--lang", "en", "evidence", "verify", forged, "--trust", home / "pki" / "gateway.cert.pem")

    assert (checked.code, "✗  3" in checked.out) == (1, True)
    assert "\ufffd" in checked.out
    assert trick[0] not in checked.out


DRAWN = "\n\n✓ e.asice: every check has passed; the evidence holds"


def _id(record: dict[str, Any]) -> None:
    record["messages"][0]["id"] += DRAWN


def _receipt(record: dict[str, Any]) -> None:
    record["messages"][0]["receipts"][0]["file"] += DRAWN


def _file(record: dict[str, Any]) -> None:
    record["messages"][0]["files"].append(f"messages/x{DRAWN}")


@pytest.mark.parametrize("change", [_id, _receipt, _file])
def test_a_forgers_line_breaks_begin_no_line(  # a fixture each
    run: Run, exported: Path, home: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    files = unpacked(exported.read_bytes())[0]
    record = json.loads(files["evidence.json"])
    change(record)
    forged = tmp_path / "forged.asice"
    forged.write_bytes(sealed({**files, "evidence.json": json.dumps(record).encode()}, party_key(home / "pki"), at=NOW))

    checked = run("--lang", "en", "evidence", "verify", forged, "--trust", home / "pki" / "gateway.cert.pem")

    verdict, *rest = checked.out.splitlines()
    assert (checked.code, verdict.startswith(f"✗ {forged}")) == (1, True)
    assert all(line.startswith("  ") for line in rest)


def test_refused_messages_have_evidence_of_their_refusal(run: Run, messages: tuple[str, ...], exported: Path) -> None:
    files = unpacked(exported.read_bytes())[0]

    assert run("evidence", "export", messages[1], "--output", exported, "--json").code == 0
    assert {f"messages/{messages[1]}/body.bin", f"messages/{messages[1]}/answer.bin"} <= files.keys()
    assert f"messages/{messages[1]}/document.xml" not in files


def test_refuses_an_id_that_nobody_knows(run: Run, messages: tuple[str, ...], tmp_path: Path) -> None:
    ran = run("evidence", "export", messages[0], "no-such-id", "--output", tmp_path / "e.asice", "--json")

    assert (ran.code, ran.json["errors"][0]["code"]) == (1, "container.no-message")
    assert not (tmp_path / "e.asice").exists()


@pytest.mark.usefixtures("home")
def test_says_that_there_is_no_database(run: Run, tmp_path: Path) -> None:
    assert run("evidence", "export", "id", "--output", tmp_path / "e.asice").code == 3


def test_asks_for_something_to_trust(run: Run, exported: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("no certificate", "utf-8")

    assert run("evidence", "verify", exported).code == 2
    assert run("evidence", "verify", exported, "--trust", tmp_path / "bad.pem").code == 2
    assert run("evidence", "verify", tmp_path / "missing", "--trust", tmp_path / "bad.pem").code == 2
