"""Evidence of a running gateway: a document with an attachment comes in, goes out, and is proved by one file that is fetched over REST."""

import hashlib
import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.evidence.packing import unpack
from gateway.evidence.verify import verify_container
from gateway.security import certificates
from gateway.testing import carrier
from gateway.testing.applicant import signed_application
from gateway.testing.client import ask
from gateway.testing.contents import Consignment
from gateway.testing.gateway import RunningGateway
from gateway.testing.world import until

pytestmark = pytest.mark.slow
LARGE = 12 * 1_048_576 + 5  # more than the gateway holds of a container while it writes one


def test_what_a_message_brought_is_proved_by_the_file_that_staff_fetch(tmp_path: Path) -> None:
    content, home = os.urandom(LARGE), tmp_path / "home"
    with carrier.serving() as agency:
        running = RunningGateway(home, environment=carrier.install(home))
        running.reach({"BNN": agency.url})
        with running:
            body, kind = _form(signed_application(running.pki, Consignment(number=1), sent_at=datetime.now(UTC)), content)
            sent = ask(f"{running.url}/api/v1/documents", method="POST", body=body, headers={"content-type": kind})
            message = json.loads(sent.body)["id"]
            until(lambda: bool(agency.parts), "the delivery")
            until(lambda: running.get(f"/api/v1/messages/{message}")["deliveries"][0]["state"] == "delivered", "its settling")

            fetched = running.ask("GET", f"/api/v1/messages/{message}/evidence")
        exported = _nsw(home, "evidence", "export", message, "--output", str(tmp_path / "e.asice"), "--no-attachments", "--json")

    anchors = certificates.read_pem((running.pki / "gateway.cert.pem").read_bytes())
    verdict = verify_container(io.BytesIO(fetched.body), anchors)
    files = unpack(io.BytesIO(fetched.body))[0]
    assert (sent.status, fetched.status, fetched.headers["content-length"]) == (202, 200, str(len(fetched.body)))
    assert (verdict.valid, [check.detail("en") for check in verdict.checks if not check.passed]) == (True, [])
    assert files.digest(f"messages/{message}/attachments/001.bin") == hashlib.sha256(content).digest()
    assert json.loads(exported.stdout)["bytes"] < len(content)
    with (tmp_path / "e.asice").open("rb") as file:
        assert verify_container(file, anchors).valid


def _form(document: bytes, attachment: bytes) -> tuple[bytes, str]:
    parts = (('name="document"', document), ('name="attachment"; filename="ảnh.pdf"', attachment))
    lines = (f"--b\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n" for head, content in parts)
    return b"".join(lines) + b"--b--\r\n", "multipart/form-data; boundary=b"


def _nsw(home: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = (sys.executable, "-m", "gateway.cli", *arguments)
    return subprocess.run(command, env={**os.environ, "NSW_HOME": str(home)}, capture_output=True, check=True, timeout=60)
