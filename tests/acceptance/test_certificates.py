"""A running gateway's certificates: renewed while it serves, uploaded by a partner, and a key that stays in its token."""

import base64
import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.security import devpki
from gateway.security.authority import create
from gateway.security.keys import load_key
from gateway.security.registry import CertificateFiles, read_one, to_pem
from gateway.testing import builders
from gateway.testing.applicant import signed_application
from gateway.testing.client import post
from gateway.testing.contents import Consignment
from gateway.testing.gateway import RunningGateway
from gateway.testing.signing import self_signed
from gateway.testing.softhsm import PIN, TOKEN, make_token, module
from gateway.testing.vnsw import SOAP_REQUEST
from gateway.testing.world import until

pytestmark = pytest.mark.slow
MODULE = module()
OWN = re.compile(r'nsw_certificate_days\{certificate="([0-9a-f]+)",party="",succeeded="false",use="gateway"\}')


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with RunningGateway(tmp_path_factory.mktemp("certificates")) as running:
        yield running


def signer_of(gateway: RunningGateway, number: int) -> str:
    """Send an application and say with which certificate the answer is signed."""
    envelope = signed_application(gateway.pki, Consignment(number=number), sent_at=datetime.now(UTC))
    body = post(f"{gateway.url}/ws", builders.soap(envelope), SOAP_REQUEST).body.decode()
    found = re.search(r"X509Certificate&gt;([A-Za-z0-9+/=\s]+)&lt;|X509Certificate>([A-Za-z0-9+/=\s]+)<", body)
    assert found, body
    pem = f"-----BEGIN CERTIFICATE-----\n{found[1] or found[2]}\n-----END CERTIFICATE-----\n"
    return read_one(pem.encode())[0].sha256


def test_gateway_signs_with_its_new_certificate_without_a_restart(gateway: RunningGateway) -> None:
    before = signer_of(gateway, 1)
    files = CertificateFiles(gateway.pki)
    issued = create(gateway.home / "authority", now=datetime.now(UTC)).issue(x509.load_pem_x509_csr(files.prepare()), now=datetime.now(UTC))
    files.take_next((issued,), at=datetime.now(UTC))
    files.rotate(at=datetime.now(UTC))

    until(lambda: OWN.findall(gateway.ask("GET", "/metrics").body.decode()) == [issued.sha256[:16]], "the new certificate")

    assert signer_of(gateway, 2) == issued.sha256 != before
    assert gateway.get("/health/ready")["ready"]


def test_partner_uploads_its_next_certificate_signed_with_its_present_one(gateway: RunningGateway) -> None:
    pem = to_pem(self_signed(ec.generate_private_key(ec.SECP256R1())))
    own = load_key(gateway.pki / "keys" / "NSW.key.pem", gateway.pki / "parties" / "NSW.pem")
    document = {"certificate": pem, "signature": base64.b64encode(own.sign(pem.encode())).decode()}

    reply = gateway.ask(
        "POST", "/api/v1/certificates/next?party=NSW", body=json.dumps(document).encode(), headers={"content-type": "application/json"}
    )

    assert reply.status == 201, reply.body
    listed = "/api/v1/certificates?party=NSW"
    until(lambda: json.loads(reply.body) == gateway.get(listed)["items"][-1], "the next certificate")


def test_gateway_writes_no_core(gateway: RunningGateway) -> None:
    limits = Path(f"/proc/{gateway.pid}/limits").read_text("ascii")

    assert re.search(r"^Max core file size +0 ", limits, re.MULTILINE)


@pytest.mark.skipif(MODULE is None and not os.environ.get("CI"), reason="SoftHSM is not installed: apt-get install softhsm2")
def test_gateway_signs_with_a_key_in_a_token_and_tells_no_pin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MODULE is not None, "SoftHSM is missing, and CI must not skip this test: apt-get install softhsm2"
    monkeypatch.setenv("SOFTHSM2_CONF", "-")
    home = tmp_path / "home"
    devpki.generate(home / "pki", now=datetime.now(UTC))
    key = load_pem_private_key((home / "pki" / "gateway.key.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    make_token(tmp_path / "token", MODULE).import_key(key, "signing")
    (home / "pki" / "gateway.key.pem").unlink()
    (tmp_path / "pin").write_text(PIN)
    environment = {
        "NSW_KEY": f"pkcs11:{MODULE}?token={TOKEN}&object=signing", "NSW_KEY_PIN_FILE": str(tmp_path / "pin"),
        "SOFTHSM2_CONF": os.environ["SOFTHSM2_CONF"],
    }  # fmt: skip

    with RunningGateway(home, environment=environment) as gateway:
        signer = signer_of(gateway, 1)
        ready = gateway.get("/health/ready")["ready"]

    assert ready
    assert signer == read_one((home / "pki" / "gateway.cert.pem").read_bytes())[0].sha256
    assert PIN not in (home / "logs" / "gateway.log").read_text("utf-8")
