"""The development authority: what it issues and revokes, OpenSSL verifies."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from gateway.errors import Unavailable
from gateway.security.authority import LIST_FOR, Authority, create
from gateway.security.registry import to_pem

NOW = datetime.now(UTC).replace(microsecond=0)
SCRIPT = Path(__file__).parents[3] / "certs" / "authority"


def request() -> x509.CertificateSigningRequest:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "BNN")])
    return x509.CertificateSigningRequestBuilder().subject_name(name).sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())


def verified(folder: Path, leaf: Path) -> tuple[int, str]:
    command = ["openssl", "verify", "-crl_check", "-CAfile", "ca.cert.pem", "-CRLfile", "ca.crl.pem", str(leaf)]
    ran = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, timeout=20)
    return ran.returncode, ran.stderr


def test_openssl_verifies_what_is_issued_until_it_is_revoked(tmp_path: Path) -> None:
    authority = create(tmp_path, now=NOW)
    issued = authority.issue(request(), now=NOW)
    (tmp_path / "leaf.pem").write_text(to_pem(issued))
    good = verified(tmp_path, tmp_path / "leaf.pem")

    authority.revoke(issued, now=NOW)

    assert good[0] == 0
    code, told = verified(tmp_path, tmp_path / "leaf.pem")
    assert code != 0
    assert "certificate revoked" in told


def test_list_keeps_what_it_named_and_names_nothing_twice(tmp_path: Path) -> None:
    authority = create(tmp_path, now=NOW)
    first, second = (authority.issue(request(), now=NOW) for _ in range(2))
    authority.revoke(first, now=NOW)
    authority.revoke(first, second, now=NOW + timedelta(days=1))

    published = x509.load_pem_x509_crl(Authority(tmp_path).revoke(now=NOW + timedelta(days=2)))

    named = {entry.serial_number: entry.revocation_date_utc for entry in published}
    assert named == {first.x509.serial_number: NOW, second.x509.serial_number: NOW + timedelta(days=1)}
    assert published.next_update_utc == NOW + timedelta(days=2) + LIST_FOR


@pytest.mark.parametrize("spoilt", ["ca.key.pem", "ca.cert.pem"])
def test_folder_without_an_authority_is_unavailable(tmp_path: Path, spoilt: str) -> None:
    with pytest.raises(Unavailable):
        Authority(tmp_path)
    create(tmp_path, now=NOW)
    (tmp_path / spoilt).write_text("nothing")

    with pytest.raises(Unavailable):
        Authority(tmp_path)


def test_script_makes_issues_and_revokes(tmp_path: Path) -> None:
    csr, leaf = tmp_path / "a.csr", tmp_path / "a.pem"
    csr.write_bytes(request().public_bytes(Encoding.PEM))

    def run(*arguments: object) -> str:
        return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], check=True, capture_output=True, text=True, timeout=60).stdout

    run("create", tmp_path / "ca")
    leaf.write_text(run("issue", tmp_path / "ca", csr, "--crl", "http://127.0.0.1/ca.crl"))
    good = verified(tmp_path / "ca", leaf)[0]
    run("revoke", tmp_path / "ca", leaf)

    assert (good, verified(tmp_path / "ca", leaf)[0]) == (0, 2)
