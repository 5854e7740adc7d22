"""How certificates come and go, and what the ledger knows of it."""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID
from sqlalchemy import text

from gateway.errors import Conflict, GatewayError, NotProven, NotValid
from gateway.model import PartyCode
from gateway.ports import Database
from gateway.security import devpki
from gateway.security.authority import Authority, create
from gateway.security.certificates import Certificate
from gateway.security.enrolment import MAX_CSR, MAX_WAITING, Enrolment
from gateway.security.keys import load_key
from gateway.security.registry import CertificateFiles, to_pem
from gateway.security.trust import Trust
from gateway.store.engine import open_database
from gateway.store.migrate import upgrade
from gateway.testing.signing import NOW, self_signed

NSW = PartyCode("NSW")
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    devpki.generate(tmp_path / "pki", now=NOW, parties=("NSW", "BNN"))
    return tmp_path / "pki"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    upgrade(url)
    opened = open_database(url)
    yield opened
    opened.close()


def enrolling(folder: Path, database: Database | None, *, authority: Authority | None = None) -> Enrolment:
    return Enrolment(
        CertificateFiles(folder), lambda: Trust(folder), database, clock=lambda: NOW, entropy=os.urandom,
        issue=(lambda request: authority.issue(request, now=NOW)) if authority else None,
    )  # fmt: skip


@pytest.fixture
def enrolment(folder: Path, database: Database) -> Enrolment:
    return enrolling(folder, database)


def leaves(database: Database) -> list[dict[str, Any]]:
    return [json.loads(leaf) for (leaf,) in database.read(lambda tx: tx.rows(text("SELECT leaf FROM ledger ORDER BY id")))]


def new_certificate() -> Certificate:
    return self_signed(ec.generate_private_key(ec.SECP256R1()))


def request_of(key: Key) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "BNN")])
    return x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def reason(error: pytest.ExceptionInfo[GatewayError]) -> str:
    return error.value.problems[0].text


# --- by staff ----------------------------------------------------------------------------------------------------------


def test_each_change_is_one_leaf_of_ids_and_digests(enrolment: Enrolment, folder: Path, database: Database) -> None:
    new, authority = new_certificate(), create(folder.parent / "ca", now=NOW)
    enrolment.add(NSW, to_pem(new).encode(), by="cli:a")
    enrolment.add(NSW, to_pem(new).encode(), by="cli:a")
    enrolment.add_anchor("person", to_pem(authority.certificate).encode(), by="cli:a")
    enrolment.revoke(new.sha256, by="cli:b")

    told = [(leaf["kind"], leaf["sha256"], leaf["by"]) for leaf in leaves(database)]
    assert told == [
        ("certificate.imported", new.sha256, "cli:a"),
        ("certificate.imported", authority.certificate.sha256, "cli:a"),
        ("certificate.revoked", new.sha256, "cli:b"),
    ]
    assert not any("CN=" in json.dumps(leaf) for leaf in leaves(database))


def test_rotation_names_the_old_and_the_new_certificate(enrolment: Enrolment, folder: Path, database: Database) -> None:
    old = Trust(folder).own_key().certificates[0]
    request = x509.load_pem_x509_csr(CertificateFiles(folder).prepare())
    issued = create(folder.parent / "ca", now=NOW).issue(request, now=NOW)
    enrolment.take_next(to_pem(issued).encode(), by="cli:a")

    enrolment.rotate(by="cli:a")

    last = leaves(database)[-1]
    assert (last["kind"], last["sha256"], last["before"]) == ("certificate.rotated", issued.sha256, old.sha256)


def test_gateway_that_never_ran_takes_certificates_without_a_ledger(folder: Path) -> None:
    new = new_certificate()

    enrolling(folder, None).add(NSW, to_pem(new).encode(), by="cli:a")

    assert new in Trust(folder).certificates(NSW)
    with pytest.raises(NotValid) as error:
        enrolling(folder, None).requests()
    assert reason(error) == "certificates.no-database"


# --- by the party itself -----------------------------------------------------------------------------------------------


def signed_by_java(folder: Path, pem: bytes) -> bytes:
    """SHA256withECDSA gives ASN.1."""
    key = load_pem_private_key((folder / "keys" / "NSW.key.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.sign(pem, ec.ECDSA(hashes.SHA256()))


def signed_by_dotnet(folder: Path, pem: bytes) -> bytes:
    """ECDsa.SignData gives r and s side by side."""
    return load_key(folder / "keys" / "NSW.key.pem", folder / "parties" / "NSW.pem").sign(pem)


@pytest.mark.parametrize("sign", [signed_by_java, signed_by_dotnet])
def test_party_registers_its_next_certificate_with_its_present_key(enrolment: Enrolment, folder: Path, sign: Any) -> None:
    new = new_certificate()
    pem = to_pem(new).encode()

    enrolment.renew(NSW, pem, sign(folder, pem), by="key:nsw")

    assert len(Trust(folder).certificates(NSW)) == 2
    assert new in Trust(folder).certificates(NSW)


def test_party_with_an_rsa_key_renews_too(enrolment: Enrolment, folder: Path) -> None:
    present = rsa.generate_private_key(65537, 2048)
    enrolment.add(NSW, to_pem(self_signed(present)).encode(), by="cli:a")
    pem = to_pem(new_certificate()).encode()

    enrolment.renew(NSW, pem, present.sign(pem, padding.PKCS1v15(), hashes.SHA256()), by="key:nsw")

    assert len(Trust(folder).certificates(NSW)) == 3


def test_signature_of_another_key_party_or_text_is_refused(enrolment: Enrolment, folder: Path) -> None:
    pem = to_pem(new_certificate()).encode()
    good = signed_by_java(folder, pem)

    for party, text_, signature in (
        (NSW, pem + b"\n", good),
        (NSW, pem, good[:-1]),
        (NSW, pem, b""),
        (PartyCode("BNN"), pem, good),
        (PartyCode("NONE"), pem, good),
    ):
        with pytest.raises(NotProven) as error:
            enrolment.renew(party, text_, signature, by="key:nsw")
        assert reason(error) == "certificates.not-signed"
    assert len(Trust(folder).certificates(NSW)) == 1


def test_revoked_certificate_renews_nothing(enrolment: Enrolment, folder: Path) -> None:
    pem = to_pem(new_certificate()).encode()
    signature = signed_by_java(folder, pem)
    enrolment.revoke(Trust(folder).certificates(NSW)[0].sha256, by="cli:a")

    with pytest.raises(NotProven):
        enrolment.renew(NSW, pem, signature, by="key:nsw")


# --- requests ----------------------------------------------------------------------------------------------------------


def test_request_waits_for_a_person_who_brings_the_certificate(enrolment: Enrolment, folder: Path, database: Database) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    asked = enrolment.ask(NSW, request_of(key), by="key:nsw")
    before = len(Trust(folder).certificates(NSW))
    issued = create(folder.parent / "ca", now=NOW).issue(x509.load_pem_x509_csr(asked.csr.encode()), now=NOW)

    approved = enrolment.approve(asked.id, to_pem(issued).encode(), by="key:officer")

    assert (asked.state, before, approved.state) == ("waiting", 1, "approved")
    assert approved.certificate == to_pem(issued)
    assert issued in Trust(folder).certificates(NSW)
    assert [leaf["kind"] for leaf in leaves(database)] == ["certificate.requested", "certificate.imported"]


def test_development_gateway_issues_itself(folder: Path, database: Database) -> None:
    authority = create(folder / "ca", now=NOW)
    enrolment = enrolling(folder, database, authority=authority)
    asked = enrolment.ask(NSW, request_of(ec.generate_private_key(ec.SECP256R1())), by="key:nsw")

    enrolment.approve(asked.id, None, by="key:officer")

    assert any(c.x509.issuer == authority.certificate.x509.subject for c in Trust(folder).certificates(NSW))


def test_certificate_of_another_key_is_not_taken_for_a_request(enrolment: Enrolment) -> None:
    asked = enrolment.ask(NSW, request_of(ec.generate_private_key(ec.SECP256R1())), by="key:nsw")

    with pytest.raises(NotValid) as other:
        enrolment.approve(asked.id, to_pem(new_certificate()).encode(), by="key:officer")
    with pytest.raises(NotValid) as none:
        enrolment.approve(asked.id, None, by="key:officer")

    assert (reason(other), reason(none)) == ("certificates.other-key", "certificates.no-authority")
    assert enrolment.request(asked.id).state == "waiting"


def test_request_is_decided_once(enrolment: Enrolment) -> None:
    asked = enrolment.ask(NSW, request_of(ec.generate_private_key(ec.SECP256R1())), by="key:nsw")
    declined = enrolment.decline(asked.id, by="key:officer", reason="không đúng đơn vị")

    with pytest.raises(Conflict) as again:
        enrolment.decline(asked.id, by="x", reason="y")
    with pytest.raises(Conflict) as late:
        enrolment.approve(asked.id, None, by="x")

    assert (reason(again), reason(late)) == ("certificates.decided", "certificates.decided")
    assert (declined.state, declined.reason) == ("declined", "không đúng đơn vị")


def test_requests_of_a_party_are_few_and_its_own(enrolment: Enrolment) -> None:
    csr = request_of(ec.generate_private_key(ec.SECP256R1()))
    for _ in range(MAX_WAITING):
        enrolment.ask(NSW, csr, by="key:nsw")

    with pytest.raises(Conflict) as error:
        enrolment.ask(NSW, csr, by="key:nsw")

    assert reason(error) == "certificates.many-requests"
    assert (len(enrolment.requests(party="NSW")), len(enrolment.requests(party="BNN")), len(enrolment.requests())) == (4, 0, 4)


def test_unknown_request_is_not_found(enrolment: Enrolment) -> None:
    with pytest.raises(NotValid) as error:
        enrolment.request("0198f3c2-6b1e-7c44-9a53-1f0c2ab4d5e6")

    assert reason(error) == "certificates.no-request"


def forged() -> str:
    """Write a request that another key signed."""
    der = bytearray(x509.load_pem_x509_csr(request_of(ec.generate_private_key(ec.SECP256R1())).encode()).public_bytes(Encoding.DER))
    der[-1] ^= 1
    return x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM).decode()


def of_another_version() -> str:
    """Write a request of a version that there is none of."""
    request = x509.load_pem_x509_csr(request_of(ec.generate_private_key(ec.SECP256R1())).encode())
    body = base64.b64encode(request.public_bytes(Encoding.DER).replace(b"\x02\x01\x00", b"\x02\x01\x05", 1)).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n"


@pytest.mark.parametrize(
    ("csr", "expected"),
    [
        ("", "csr"),
        (of_another_version(), "csr"),
        ("khóa", "csr"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "csr"),
        (request_of(ec.generate_private_key(ec.SECP256R1())) + " " * MAX_CSR, "csr"),
        (forged(), "csr"),
        (request_of(ec.generate_private_key(ec.SECP521R1())), "weak-key"),
    ],
)
def test_request_that_is_none_is_refused(enrolment: Enrolment, csr: str, expected: str) -> None:
    with pytest.raises(NotValid) as error:
        enrolment.ask(NSW, csr, by="key:nsw")

    assert reason(error) == f"certificates.{expected}"
