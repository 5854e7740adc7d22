"""Two gateways: one publishes its heads to a file, by mail and to the other, which may be away, and witnesses them."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from gateway.evidence.copies import last_of
from gateway.security.devpki import generate
from gateway.testing.applicant import send_application
from gateway.testing.contents import Consignment
from gateway.testing.gateway import RunningGateway
from gateway.testing.world import until

pytestmark = pytest.mark.slow
OWN = "VNSW-GW"  # what the shipped rules call the gateway
BACK = 90.0  # seconds until a place that was away is tried again, on a busy machine


class Inbox:
    """Keeps the text of every mail."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  # the library's name
        self.texts.append(message_from_bytes(envelope.content, policy=policy.default).get_content())
        return "250 OK"


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """A mail server on a port of its own; `port` says which."""
    inbox = Inbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    inbox.server = f"127.0.0.1:{port}"  # type: ignore[attr-defined]  # for the one test
    yield inbox
    controller.stop()


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[RunningGateway]:
    with RunningGateway(tmp_path / "witness") as gateway:
        yield gateway


@pytest.fixture
def gateway(tmp_path: Path, witness: RunningGateway, inbox: Any) -> Iterator[RunningGateway]:
    """The gateway that publishes; it and its witness have each other's certificate."""
    home = tmp_path / "own"
    generate(home / "pki", now=datetime.now(UTC))
    (home / "pki" / "parties" / "LA.pem").write_bytes((witness.pki / "gateway.cert.pem").read_bytes())
    (witness.pki / "parties" / f"{OWN}.pem").write_bytes((home / "pki" / "gateway.cert.pem").read_bytes())
    environment = {
        "NSW_WITNESS": f"LA={witness.url}",
        "NSW_HEADS_FILE": str(tmp_path / "published" / "heads.jsonl"),
        "NSW_HEADS_EVERY": "1",
        "NSW_HEADS_MAIL": "auditor@example.vn",
        "NSW_MAIL_SERVER": inbox.server,
        "NSW_MAIL_FROM": "gateway@example.vn",
    }
    with RunningGateway(home, environment=environment) as gateway:
        yield gateway


def apply(gateway: RunningGateway, number: int) -> None:
    sent = send_application(gateway.url, gateway.pki, Consignment(number=number), sent_at=datetime.now(UTC))
    assert sent.answer.function == "99", sent.answer


def newest(path: Path) -> int:
    """Say how many events the last head in a file covers."""
    last = last_of(path)
    return last.signed.head.size if last else 0


def unpublished(gateway: RunningGateway) -> list[str]:
    notices = gateway.get("/health/ready")["notices"]
    return [notice["message_en"] for notice in notices if notice["code"] == "ledger.unpublished"]


def verify(gateway: RunningGateway, *arguments: Path | str) -> Any:
    """Run `nsw ledger verify` beside the gateway."""
    command = [sys.executable, "-m", "gateway.cli", "ledger", "verify", "--json", *map(str, arguments)]
    environment = {**os.environ, "NSW_HOME": str(gateway.home)}
    done = subprocess.run(command, capture_output=True, check=False, timeout=60, env=environment)
    return json.loads(done.stdout)


def test_heads_leave_by_three_ways_and_one_that_is_away_holds_up_nothing(
    gateway: RunningGateway, witness: RunningGateway, inbox: Inbox, tmp_path: Path
) -> None:
    held, published = witness.home / "witness" / OWN / "heads.jsonl", tmp_path / "published" / "heads.jsonl"
    kept = gateway.home / "heads" / "witness-LA.jsonl"

    apply(gateway, 1)
    until(lambda: newest(kept) > 0 and newest(published) > 0 and inbox.texts, "the first heads")
    assert newest(kept) <= newest(held)

    witness.kill()
    before = newest(held)
    apply(gateway, 2)
    until(lambda: newest(published) > before, "the file, while the witness is away")
    until(lambda: unpublished(gateway), "the notice of the gap")
    assert "'witness'" in unpublished(gateway)[0]
    assert 'nsw_unpublished_seconds{place="file"} 0.0' in gateway.ask("GET", "/metrics").body.decode()

    witness.start()
    until(lambda: newest(held) > before, "the witness, once it is back", seconds=BACK)
    until(lambda: not unpublished(gateway), "the end of the gap")

    mailed = tmp_path / "mailed.jsonl"
    mailed.write_text("\n".join(line for text in inbox.texts for line in text.splitlines() if line.startswith("{")), "utf-8")
    checked = verify(gateway, *(part for copy in (held, kept, published, mailed) for part in ("--heads", copy)))
    assert (checked["valid"], checked["errors"]) == (True, [])
    assert verify(gateway, "--heads", kept, "--witness", witness.pki / "gateway.cert.pem")["valid"]
