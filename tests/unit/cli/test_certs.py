"""nsw certs: a development PKI made, and everything held looked at."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from gateway.security.authority import create
from gateway.security.holdings import holdings
from gateway.security.registry import read_one, to_pem
from gateway.store.migrate import upgrade
from gateway.testing.signing import self_signed

Run = Callable[..., Any]

GATEWAY = "CN=NSW Gateway (development),C=VN"


def test_dev_makes_what_is_missing_and_keeps_what_is_there(run: Run, home: Path) -> None:
    kept = (home / "pki" / "gateway.key.pem").read_bytes()
    shutil.rmtree(home / "pki" / "parties")

    ran = run("certs", "dev", "--json")

    assert ran.code == 0
    assert ran.json == {"folder": str(home / "pki"), "parties": ["NSW", "BNN", "TCHQ", "IPPC"]}
    assert (home / "pki" / "gateway.key.pem").read_bytes() == kept
    assert (home / "pki" / "parties" / "NSW.pem").exists()
    assert "Never for production" in run("certs", "dev").out


def test_dev_where_nothing_can_be_written_is_wrong_usage(run: Run, home: Path) -> None:
    shutil.rmtree(home / "pki")
    (home / "pki").write_text("in the way")

    assert run("certs", "dev").code == 2


def test_check_lists_key_parties_and_anchors(run: Run) -> None:
    ran = run("certs", "check", "--json")

    assert (ran.code, ran.json["ok"], ran.json["errors"]) == (0, True, [])
    found = {(row["use"], row["party"]) for row in ran.json["certificates"]}
    assert {("gateway", None), ("party", "NSW"), ("anchor-person", None)} <= found
    assert ran.json["certificates"][0].keys() == {"use", "party", "subject", "not_after", "days", "valid", "succeeded", "sha256"}
    assert GATEWAY in run("certs", "check").out


def test_missing_key_is_told_with_the_way_to_one(run: Run, home: Path) -> None:
    shutil.rmtree(home / "pki")

    ran = run("certs", "check")

    assert ran.code == 1
    assert "nsw certs dev" in ran.out


def test_damaged_certificate_fails(run: Run, home: Path) -> None:
    (home / "pki" / "parties" / "BNN.pem").write_text("nothing")

    ran = run("certs", "check", "--json")

    assert (ran.code, ran.json["ok"]) == (1, False)
    assert ran.json["errors"][0]["path"].endswith("BNN.pem")


def test_key_of_another_certificate_fails(run: Run, home: Path) -> None:
    shutil.copy(home / "pki" / "keys" / "NSW.key.pem", home / "pki" / "gateway.key.pem")

    assert run("certs", "check").code == 1


@pytest.mark.parametrize(("later", "state"), [(0, "good"), (3600, "soon"), (4000, "bad"), (-10, "bad")])
def test_certificate_is_good_until_its_end_is_near(pki: Path, later: int, state: str) -> None:
    found = holdings(pki, at=datetime.now(UTC) + timedelta(days=later))

    assert {held.state for held in found.certificates} == {state}
    assert found.good == (state != "bad")


# --- the registry ------------------------------------------------------------------------------------------------------


def pem_of(key: ec.EllipticCurvePrivateKey) -> str:
    return to_pem(self_signed(key))


def request_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "BNN")])
    return x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def test_certificate_is_imported_shown_and_revoked(run: Run, write: Any) -> None:
    pem = pem_of(ec.generate_private_key(ec.SECP256R1()))

    imported = run("certs", "import", "MARD", write("new.pem", pem), "--json")
    shown = run("certs", "show", imported.json["sha256"][:12], "--json")
    listed = run("certs", "list", "--json").json["certificates"]
    revoked = run("certs", "revoke", imported.json["sha256"], "--json")
    after = run("certs", "list", "--json").json["certificates"]

    assert [ran.code for ran in (imported, shown, revoked)] == [0, 0, 0]
    assert (shown.json["party"], shown.json["pem"]) == ("BNN", pem)
    assert len(listed) == len(after) + 1
    assert run("certs", "import", "BNN", write("again.pem", pem)).code == 1


def test_people_see_a_certificate_with_its_pem(run: Run) -> None:
    first = run("certs", "list", "--json").json["certificates"][0]

    assert first["sha256"][:16] in run("certs", "list").out
    printed = run("certs", "show", first["sha256"]).out
    [certificate] = read_one(printed[printed.index("-----BEGIN") :].encode())
    assert certificate.sha256 == first["sha256"]


@pytest.mark.parametrize("act", ["show", "revoke"])
@pytest.mark.parametrize("which", ["", "zz"])
def test_certificate_that_is_not_named_is_wrong_usage(run: Run, act: str, which: str) -> None:
    assert run("certs", act, which).code == 2


def test_party_that_is_not_known_is_wrong_usage(run: Run, write: Any) -> None:
    assert run("certs", "import", "XYZ", write("new.pem", pem_of(ec.generate_private_key(ec.SECP256R1())))).code == 2


def test_what_ends_soon_is_listed(run: Run) -> None:
    later, never = run("certs", "expiring", "--days", "4000", "--json"), run("certs", "expiring")

    assert (later.code, never.code) == (1, 0)
    assert {row["use"] for row in later.json["certificates"]} == {"gateway", "party", "anchor-person"}


def test_own_certificate_is_renewed_without_losing_the_old_one(run: Run, home: Path, write: Any) -> None:
    assert run("certs", "rotate").code == 1
    ran = run("certs", "renew", "--output", home / "gateway.csr", "--json")
    issued = create(home / "authority", now=datetime.now(UTC)).issue(
        x509.load_pem_x509_csr((home / "gateway.csr").read_bytes()), now=datetime.now(UTC)
    )
    imported = run("certs", "import", "gateway", write("own.pem", to_pem(issued)))

    rotated = run("certs", "rotate", "--json")

    assert [ran.code, imported.code, rotated.code] == [0, 0, 0]
    assert rotated.json["sha256"] == issued.sha256
    assert run("certs", "check", "--json").json["certificates"][0]["sha256"] == issued.sha256
    assert len(list((home / "pki").glob("gateway*.cert.pem"))) == 2


def test_request_is_taken_in_and_approved(run: Run, home: Path, write: Any) -> None:
    upgrade(f"sqlite:///{home / 'gateway.db'}")
    csr = write("bnn.csr", request_of(ec.generate_private_key(ec.SECP256R1())))
    asked, other = (run("certs", "enrol", "BNN", csr, "--json").json["id"] for _ in range(2))

    needs = run("certs", "approve", asked)
    issued = create(home / "pki" / "ca", now=datetime.now(UTC)).issue(x509.load_pem_x509_csr(csr.read_bytes()), now=datetime.now(UTC))
    approved = run("certs", "approve", asked, "--cert", write("bnn.pem", to_pem(issued)), "--json")
    declined = run("certs", "decline", other, "--reason", "twice", "--json")

    assert (needs.code, approved.code, declined.code) == (1, 0, 0)
    assert {r["id"]: r["state"] for r in run("certs", "requests", "--json").json["requests"]} == {asked: "approved", other: "declined"}
    assert asked in run("certs", "requests").out


def test_requests_need_a_database(run: Run) -> None:
    assert run("certs", "requests").code == 1
