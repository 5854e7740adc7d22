"""Detached CMS through a whole gateway: signed by OpenSSL, taken in, answered with a signature that OpenSSL verifies, kept and proved."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.model import Reply
from gateway.security import beside
from gateway.testing import builders
from gateway.testing.client import ask
from gateway.testing.contents import Consignment
from gateway.testing.gateway import RunningGateway
from gateway.xml.shipped import shipped

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")]

XMLDSIG = 'sends = { signature = "xmldsig" }\naccepts = { signature = "xmldsig" }'
P7S = "application/pkcs7-signature"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    home = tmp_path_factory.mktemp("home")
    text = (shipped("routing_rules") / "parties.toml").read_text("utf-8")
    (home / "rules").mkdir()
    (home / "rules" / "parties.toml").write_text(text.replace(XMLDSIG, XMLDSIG.replace("xmldsig", "cms-detached"), 1), "utf-8")
    with RunningGateway(home) as running:
        yield running


def openssl(folder: Path, *arguments: object) -> bool:
    done = subprocess.run(["openssl", "cms", *map(str, arguments)], cwd=folder, capture_output=True, check=False, timeout=30)
    return done.returncode == 0


def signed(gateway: RunningGateway, folder: Path, document: bytes) -> bytes:
    (folder / "d.xml").write_bytes(document)
    key, cert = gateway.pki / "keys" / "NSW.key.pem", gateway.pki / "parties" / "NSW.pem"
    assert openssl(folder, "-sign", "-binary", "-outform", "DER", "-in", "d.xml", "-out", "d.p7s", "-signer", cert, "-inkey", key)
    return (folder / "d.p7s").read_bytes()


def send(gateway: RunningGateway, document: bytes, signature: bytes | None) -> Reply:
    parts = [("document", "application/xml", document)] + ([("signature", P7S, signature)] if signature is not None else [])
    body = b"".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\nContent-Type: {kind}\r\n\r\n'.encode() + content + b"\r\n"
        for name, kind, content in parts
    )
    headers = {"content-type": "multipart/form-data; boundary=x"}
    return ask(f"{gateway.url}/api/v1/documents", method="POST", body=body + b"--x--\r\n", headers=headers)


_numbers = iter(range(1, 1000))


def document() -> bytes:
    return builders.message("10/01", Consignment(number=next(_numbers)))


def nsw(gateway: RunningGateway, *arguments: object) -> str:
    """Run a command of ours to its end."""
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8", "NSW_HOME": str(gateway.home)}
    command = [sys.executable, "-m", "gateway.cli", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout


def opened(gateway: RunningGateway, folder: Path, reply: Reply) -> dict[str, str]:
    """Take an answer apart and have OpenSSL judge its signature."""
    assert reply.headers["content-type"].startswith("multipart/related")
    told, signature = beside.read(reply.body) or (b"", b"")
    (folder / "a.json").write_bytes(told)
    (folder / "a.p7s").write_bytes(signature)
    own = gateway.pki / "gateway.cert.pem"
    asked = ("-verify", "-binary", "-inform", "DER", "-in", "a.p7s", "-content", "a.json", "-noverify", "-certfile", own)
    assert openssl(folder, *asked)
    found: dict[str, str] = json.loads(told)
    return found


def test_document_signed_by_openssl_is_taken_in_and_the_receipt_is_signed(gateway: RunningGateway, tmp_path: Path) -> None:
    sent = document()
    signature = signed(gateway, tmp_path, sent)

    first, again = send(gateway, sent, signature), send(gateway, sent, signature)

    told = opened(gateway, tmp_path, first)
    assert (first.status, told["state"], first.body) == (202, "accepted", again.body)
    message = gateway.get(f"/api/v1/messages/{told['id']}")
    assert [signer["covers"] for signer in message["signers"]] == [["/"]]
    kept = ask(f"{gateway.url}/api/v1/messages/{told['id']}/document?part=body").body
    assert beside.read(kept) == (sent, signature)
    assert ask(f"{gateway.url}/api/v1/messages/{told['id']}/document").body == sent


def test_document_signed_anew_is_the_same_message(gateway: RunningGateway, tmp_path: Path) -> None:
    sent = document()

    first, second = (opened(gateway, tmp_path, send(gateway, sent, signed(gateway, tmp_path, sent))) for _ in range(2))

    assert first["id"] == second["id"]


@pytest.mark.parametrize(("change", "check"), [("altered", "SIG-54"), ("missing", "SIG-22"), ("garbage", "SIG-50"), ("huge", "SIG-50")])
def test_document_that_is_not_as_it_was_signed_is_refused_with_a_signed_answer(
    gateway: RunningGateway, tmp_path: Path, change: str, check: str
) -> None:
    sent = document()
    signature = signed(gateway, tmp_path, sent)
    others: dict[str, tuple[bytes, bytes | None]] = {
        "altered": (sent.replace(b"960", b"961"), signature), "missing": (sent, None), "garbage": (sent, b"garbage"),
        "huge": (sent, signature + bytes(100_000)),
    }  # fmt: skip

    reply = send(gateway, *others[change])

    told = json.loads(json.dumps(opened(gateway, tmp_path, reply)))
    assert (reply.status, told["vnsw_code"]) == (422, "ERR00_CODE")
    assert told["errors"][0]["message_en"].startswith(check)


def test_verify_explains_what_was_kept_and_evidence_proves_it(gateway: RunningGateway, tmp_path: Path) -> None:
    sent = document()
    told = opened(gateway, tmp_path, send(gateway, sent, signed(gateway, tmp_path, sent)))
    (tmp_path / "body.bin").write_bytes(ask(f"{gateway.url}/api/v1/messages/{told['id']}/document?part=body").body)

    verified = nsw(gateway, "verify", tmp_path / "body.bin", "--as", "NSW", "--json")

    checks = {c["number"]: c["passed"] for c in json.loads(verified)["signatures"][0]["checks"]}
    assert checks == dict.fromkeys((12, 17, 18, 19, 20, 22, 23, 30, *range(50, 56), 60, 61), True)

    nsw(gateway, "evidence", "export", told["id"], "--output", tmp_path / "e.asice")
    judged = json.loads(nsw(gateway, "evidence", "verify", tmp_path / "e.asice", "--trust", gateway.pki / "gateway.cert.pem", "--json"))
    assert judged["valid"]
