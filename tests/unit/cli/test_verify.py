"""nsw verify: every signature, check by check, under the trust that was asked for."""

import base64
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from rich.cells import cell_len

from gateway.cli.output import LANGUAGES
from gateway.cli.verify import TITLE_CELLS
from gateway.errors import Problem
from gateway.model import PartyCode
from gateway.security import beside, cms, wss
from gateway.security.registry import CertificateFiles, to_pem
from gateway.security.report import NAMES, Check
from gateway.security.signer import sign_enveloped, sign_person, sign_system
from gateway.security.statuses import Statuses
from gateway.testing import builders
from gateway.testing.applicant import declarant_key, party_key
from gateway.testing.revoking import RevocationServer, revoking
from gateway.transport.http import HttpTransport

Write = Callable[[str, bytes | str], Path]
Run = Callable[..., Any]


def test_no_title_of_a_check_is_cut_off() -> None:
    titles = [Check(number=number, passed=True, detail=Problem(text="")).title(language) for number in NAMES for language in LANGUAGES]

    assert max(map(cell_len, titles)) == TITLE_CELLS


@pytest.fixture(scope="session")
def signed(pki: Path) -> bytes:
    """An application signed by declarant and portal."""
    return sign_system(sign_person(builders.message("10/01"), declarant_key(pki)), party_key(pki))


@pytest.fixture
def altered(signed: bytes) -> bytes:
    """The same, changed after it was signed."""
    return signed.replace(b"<Quantity>960<", b"<Quantity>961<", 1)


def test_json_has_exactly_the_contract(run: Run, write: Write, signed: bytes) -> None:
    ran = run("verify", write("signed.xml", signed), "--json")

    assert ran.code == 0
    assert ran.json.keys() == {"valid", "code", "signatures"}
    assert (ran.json["valid"], ran.json["code"]) == (True, None)
    person, system = ran.json["signatures"]
    assert person.keys() == {"valid", "signer", "covers", "checks"}
    assert person["covers"] == ["/Envelope/Body/Content"]
    assert system["signer"] == "CN=NSW (development),C=VN"
    assert all(check.keys() == {"number", "name", "passed", "detail"} for check in system["checks"])
    assert ran.err == ""


def test_people_see_every_check(run: Run, write: Write, signed: bytes) -> None:
    out = run("verify", write("signed.xml", signed)).out

    assert "✓" in out.splitlines()[0]
    assert "valid, signatures: 2 · policy gateway, judged as of" in out
    assert "✓ Signature 2 at /Envelope/SystemSignature" in out
    assert "Signer: CN=NSW (development),C=VN" in out
    assert "✓ 16 Digest of the content" in out


def test_altered_document_fails_at_the_digest_with_advice(run: Run, write: Write, altered: bytes) -> None:
    ran = run("verify", write("altered.xml", altered))

    assert ran.code == 1
    assert "ERR00_CODE" in ran.out.splitlines()[0]
    assert ran.out.count("✗ 16 Digest of the content") == 2
    assert "→ Sign last" in ran.out


def test_json_of_an_altered_document_has_the_code(run: Run, write: Write, altered: bytes) -> None:
    ran = run("verify", write("altered.xml", altered), "--json")

    assert (ran.code, ran.json["valid"], ran.json["code"]) == (1, False, "ERR00_CODE")
    failed = [check["number"] for check in ran.json["signatures"][0]["checks"] if not check["passed"]]
    assert failed == [16]


def test_document_without_signature_is_not_valid(run: Run, write: Write, pretty: bytes) -> None:
    ran = run("verify", write("good.xml", pretty), "--json")

    assert ran.code == 1
    assert ran.json == {"valid": False, "code": "ERR00_CODE", "signatures": []}


def test_people_are_told_that_there_is_no_signature(run: Run, write: Write, pretty: bytes) -> None:
    assert "signatures: 0" in run("verify", write("good.xml", pretty)).out


@pytest.mark.parametrize("content", [b"", b"\0\1", b"<a>", b"<!DOCTYPE a><a/>"])
def test_what_is_not_xml_has_its_own_code(run: Run, write: Write, content: bytes) -> None:
    ran = run("verify", write("no.xml", content), "--json")

    assert (ran.code, ran.json) == (1, {"valid": False, "code": "ERR02_CODE", "signatures": []})


def test_too_large_a_file_is_refused(run: Run, write: Write) -> None:
    assert run("verify", write("large.xml", "<a>" + "x" * 10_000_001), "--json").json["code"] == "ERR00_CODE"


@pytest.mark.parametrize("prefix", [b"\xef\xbb\xbf", b"<?xml version='1.0' encoding='UTF-8'?>\n", b"\n\n"])
def test_byte_order_mark_and_declaration_change_nothing(run: Run, write: Write, signed: bytes, prefix: bytes) -> None:
    assert run("verify", write("signed.xml", prefix + signed)).code == 0


def test_envelope_inside_soap_is_taken_out(run: Run, write: Write, signed: bytes) -> None:
    ran = run("verify", write("soap.xml", builders.soap(signed)))

    assert ran.code == 0
    assert "envelope inside SOAP 1.1" in ran.out


# --- options -----------------------------------------------------------------------------------------------------------


def test_trust_replaces_the_registry(run: Run, write: Write, signed: bytes, home: Path) -> None:
    file = write("signed.xml", signed)
    other, own, anchor = home / "pki/parties/BNN.pem", home / "pki/parties/NSW.pem", home / "pki/anchors/person/development.pem"

    assert run("verify", file, "--trust", other).code == 1
    assert run("verify", file, "--trust", own, "--trust", anchor).code == 0


def test_trust_may_be_der(run: Run, write: Write, pki: Path) -> None:
    key = party_key(pki)
    file = write("signed.xml", sign_enveloped(b"<a/>", key))

    assert run("verify", file, "--trust", write("cert.der", key.certificates[0].der)).code == 0


def test_party_is_from_unless_said_otherwise(run: Run, write: Write, signed: bytes) -> None:
    file = write("signed.xml", signed)

    assert run("verify", file, "--as", "NSW").code == 0
    assert run("verify", file, "--as", "MARD").code == 1


def test_unknown_party_is_wrong_usage_with_the_nearest(run: Run, write: Write, signed: bytes) -> None:
    ran = run("verify", write("signed.xml", signed), "--as", "NSV")

    assert ran.code == 2
    assert "the nearest is NSW" in ran.err


def test_time_is_taken_in_the_gateways_zone(run: Run, write: Write, signed: bytes) -> None:
    ran = run("verify", write("signed.xml", signed), "--at", "2020-01-01T00:00:00")

    assert ran.code == 1
    assert "judged as of 2020-01-01 00:00:00+07:00" in ran.out


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", ""])
def test_unreadable_time_is_wrong_usage(run: Run, write: Write, signed: bytes, text: str) -> None:
    assert run("verify", write("signed.xml", signed), "--at", text).code == 2


def test_permissive_policy_says_what_it_does_not_prove(run: Run, write: Write, signed: bytes) -> None:
    ran = run("verify", write("signed.xml", signed), "--policy", "permissive")

    assert ran.code == 0
    assert "nothing proves who the signer is" in ran.out


def test_unknown_policy_is_wrong_usage(run: Run, write: Write, signed: bytes) -> None:
    ran = run("verify", write("signed.xml", signed), "--policy", "lax")

    assert ran.code == 2
    assert "gateway, permissive" in ran.err


def test_key_needs_the_permissive_policy(run: Run, write: Write, pki: Path) -> None:
    key = party_key(pki)
    file = write("signed.xml", sign_enveloped(b"<a/>", key))
    public = key.certificates[0].x509.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    pem = write("key.pem", public)

    assert run("verify", file, "--key", pem).code == 1
    assert run("verify", file, "--key", pem, "--policy", "permissive").code == 0


def test_identifiers_may_stand_in_another_attribute(run: Run, write: Write, pki: Path) -> None:
    signed = sign_person(builders.message("10/01"), declarant_key(pki))
    file = write("renamed.xml", signed.replace(b'Content Id="', b'Content Ref="'))

    checks = run("verify", file, "--policy", "permissive", "--id-attr", "Ref", "--json").json["signatures"][0]["checks"]

    assert next(check["passed"] for check in checks if check["number"] == 8)


@dataclass(frozen=True)
class Issued:
    """A key with its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self) -> bytes:
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def issue(name: str, issuer: Issued | None = None, *, is_ca: bool = False) -> Issued:
    """Make an authority, self-signed or under another one, or a signer."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(
        digital_signature=not is_ca, content_commitment=not is_ca, key_cert_sign=is_ca, crl_sign=is_ca, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    issuer_key = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=2))
        .not_valid_after(datetime.now(UTC) + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    return Issued(key=key, certificate=builder.sign(issuer_key, hashes.SHA256()))


def revoke(authority: Issued, leaf: Issued) -> x509.CertificateRevocationList:
    """Make a list on which a certificate stands since yesterday."""
    now = datetime.now(UTC)
    serial = leaf.certificate.serial_number
    entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - timedelta(days=1)).build()
    builder = x509.CertificateRevocationListBuilder().issuer_name(authority.certificate.subject).add_revoked_certificate(entry)
    dated = builder.last_update(now - timedelta(days=1)).next_update(now + timedelta(days=1))
    return dated.sign(authority.key, hashes.SHA256())


@pytest.mark.parametrize("encoding", [serialization.Encoding.PEM, serialization.Encoding.DER])
def test_revoked_signer_is_refused(run: Run, write: Write, encoding: serialization.Encoding) -> None:
    authority = issue("Test CA", is_ca=True)
    leaf = issue("Test signer", authority)
    key, chain, anchor = write("leaf.key", leaf.key_pem()), write("leaf.pem", leaf.pem()), write("ca.pem", authority.pem())
    crl = write("ca.crl", revoke(authority, leaf).public_bytes(encoding))
    file = write("signed.xml", run("sign", write("a.xml", "<a/>"), "--key", key, "--cert", chain, "--enveloped").raw)

    assert run("verify", file, "--trust", anchor).code == 0
    assert run("verify", file, "--trust", anchor, "--crl", crl).code == 1


def test_missing_issuer_is_given_by_hand(run: Run, write: Write) -> None:
    root = issue("Root", is_ca=True)
    middle = issue("Middle", root, is_ca=True)
    leaf = issue("Signer", middle)
    key, cert, anchor = write("leaf.key", leaf.key_pem()), write("leaf.pem", leaf.pem()), write("root.pem", root.pem())
    file = write("signed.xml", run("sign", write("a.xml", "<a/>"), "--key", key, "--cert", cert, "--enveloped").raw)

    assert run("verify", file, "--trust", anchor).code == 1
    assert run("verify", file, "--trust", anchor, "--untrusted", write("middle.pem", middle.pem())).code == 0


@pytest.mark.parametrize("option", ["--trust", "--untrusted", "--crl"])
@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_unreadable_files_of_trust_are_wrong_usage(run: Run, write: Write, signed: bytes, option: str, content: bytes) -> None:
    ran = run("verify", write("signed.xml", signed), option, write("bad.pem", content))

    assert ran.code == 2
    assert "bad.pem" in ran.err


@pytest.mark.parametrize("option", ["--trust", "--untrusted", "--crl", "--key"])
def test_missing_files_of_trust_are_wrong_usage(run: Run, write: Write, signed: bytes, option: str, tmp_path: Path) -> None:
    assert run("verify", write("signed.xml", signed), option, tmp_path / "none.pem").code == 2


def test_enormous_file_of_trust_is_wrong_usage(run: Run, write: Write, signed: bytes) -> None:
    ran = run("verify", write("signed.xml", signed), "--trust", write("big.pem", bytes(1_000_001)))

    assert ran.code == 2
    assert "too large for keys" in ran.err


def test_missing_file_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    assert run("verify", tmp_path / "no.xml").code == 2


def test_standard_input_is_read(run: Run, signed: bytes) -> None:
    assert run("verify", "-", stdin=signed).code == 0


def test_xades_shows_its_checks_and_a_party_that_signs_more_is_judged_by_its_policy(run: Run, write: Write, pki: Path, home: Path) -> None:
    key = home / "pki" / "keys" / "NSW.key.pem"
    file = write("plain.xml", builders.message("10/01"))
    signed = run("sign", file, "--key", key, "--cert", pki / "parties" / "NSW.pem", "--profile", "xades", "--output", home / "x.xml")
    assert signed.code == 0

    out = run("verify", home / "x.xml", "--as", "NSW")

    assert out.code == 0
    assert "✓ 27 Signed properties" in out.out
    assert "✓ 30 Signing time" in out.out


def test_party_that_uses_other_algorithms_is_judged_by_them(run: Run, write: Write, signed: bytes, home: Path) -> None:
    rules = home / "rules" / "parties"
    rules.mkdir(parents=True)
    (rules / "x.toml").write_text(
        """[[party]]
code = "XNG"
identity = { name = "X", identity = "XNG", country = "VN", ministry = "X", organization = "X" }
sends = { algorithms = ["rsa-sha512"] }
""",
        "utf-8",
    )

    failed = [
        c["number"]
        for s in run("verify", write("s.xml", signed), "--as", "XNG", "--json").json["signatures"]
        for c in s["checks"]
        if not c["passed"]
    ]

    assert 6 in failed


# --- around and beside the document --------------------------------------------------------------------------------------

PARTY = """[[party]]
code = "XNG"
identity = {{ name = "X", identity = "XNG", country = "VN", ministry = "X", organization = "X" }}
sends = {{ signature = "{profile}" }}
"""


@pytest.fixture
def declare(home: Path) -> Callable[[str], None]:
    """Declare a party of a profile, with the portal's certificate."""

    def put(profile: str) -> None:
        folder = home / "rules" / "parties"
        folder.mkdir(parents=True)
        (folder / "x.toml").write_text(PARTY.format(profile=profile), "utf-8")
        shutil.copy(home / "pki" / "parties" / "NSW.pem", home / "pki" / "parties" / "XNG.pem")

    return put


def test_message_signed_as_a_whole_is_explained(run: Run, write: Write, pki: Path, declare: Callable[[str], None]) -> None:
    declare("wss-x509")
    message = wss.sign(builders.soap(builders.message("10/01")), party_key(pki), at=datetime.now(UTC))
    file = write("soap.xml", message)

    ran, told = run("verify", file, "--as", "XNG", "--json"), run("verify", file, "--as", "XNG").out

    assert ran.code == 0
    assert ran.json.keys() == {"valid", "code", "signatures"}
    (found,) = ran.json["signatures"]
    assert {40, 41, 42, 43, 44, 22, 23} <= {check["number"] for check in found["checks"]}
    assert "Signature 1 at /soap:Envelope/soap:Header/wsse:Security" in told
    assert "✓ 44 The message's time" in told


def test_party_that_signs_messages_must_have_signed_this_one(run: Run, write: Write, signed: bytes, declare: Callable[[str], None]) -> None:
    declare("wss-x509")

    ran = run("verify", write("soap.xml", builders.soap(signed)), "--as", "XNG")

    assert ran.code == 1
    assert "✗ 22 Required signature" in ran.out


def test_message_changed_after_it_was_signed_is_not_valid(run: Run, write: Write, pki: Path) -> None:
    message = wss.sign(builders.soap(builders.message("10/01")), party_key(pki), at=datetime.now(UTC))

    ran = run("verify", write("soap.xml", message.replace(b"960", b"961")), "--json")

    assert ran.code == 1
    assert {16, 43} <= {c["number"] for s in ran.json["signatures"] for c in s["checks"] if not c["passed"]}


@pytest.mark.parametrize("encoding", [serialization.Encoding.DER, serialization.Encoding.PEM])
def test_detached_signature_is_explained(
    run: Run, write: Write, pki: Path, declare: Callable[[str], None], encoding: serialization.Encoding
) -> None:
    declare("cms-detached")
    document = builders.message("10/01")
    der = cms.sign(document, party_key(pki), at=datetime.now(UTC))
    pem = b"-----BEGIN CMS-----\n" + base64.encodebytes(der) + b"-----END CMS-----\n"
    given = write("a.p7s", der if encoding is serialization.Encoding.DER else pem)

    ran = run("verify", write("a.xml", document), "--signature", given, "--as", "XNG", "--json")

    assert ran.code == 0
    assert [c["number"] for c in ran.json["signatures"][0]["checks"]] == [12, 17, 18, 19, 20, 22, 23, 30, *range(50, 56), 60, 61]


@pytest.mark.parametrize("content", [b"", b"x", b"-----BEGIN CMS-----\nAA\n-----END CMS-----\n", b"0" * 100_000])
def test_signature_file_that_holds_none_fails_at_its_form(run: Run, write: Write, pretty: bytes, content: bytes) -> None:
    ran = run("verify", write("a.xml", pretty), "--signature", write("a.p7s", content), "--json")

    assert (ran.code, ran.json["code"]) == (1, "ERR00_CODE")
    assert [c["number"] for c in ran.json["signatures"][0]["checks"]] == [50]


def test_missing_signature_file_is_wrong_usage(run: Run, write: Write, pretty: bytes, tmp_path: Path) -> None:
    assert run("verify", write("a.xml", pretty), "--signature", tmp_path / "none.p7s").code == 2


def test_body_as_the_gateway_keeps_it_is_taken_apart(run: Run, write: Write, pki: Path) -> None:
    document = builders.message("10/01")
    kept = beside.write(document, cms.sign(document, party_key(pki), at=datetime.now(UTC)))

    assert run("verify", write("body.bin", kept)).code == 0
    assert run("verify", write("body.bin", kept.replace(b"960", b"961"))).code == 1


# --- revocation, as the registry knows it --------------------------------------------------------------------------------


@pytest.fixture
def authority(home: Path) -> Iterator[RevocationServer]:
    """An authority whose certificates are registered; the gateway's cache is empty."""
    now = datetime.now(UTC)
    with revoking(home / "ca", now=now) as server:
        CertificateFiles(home / "pki").add_anchor("party", server.authority.certificate, at=now)
        yield server


def test_revocation_that_the_gateway_fetched_is_known(run: Run, write: Write, home: Path, authority: RevocationServer) -> None:
    now = datetime.now(UTC)
    key = authority.issue("NSW", now=now)
    CertificateFiles(home / "pki").register(PartyCode("NSW"), key.certificates[0], at=now)
    file = write("signed.xml", sign_system(builders.message("10/01"), key))
    before = run("verify", file)

    authority.revoke(key.certificates[0], now=now)
    with HttpTransport() as transport:
        statuses = Statuses(home / "cache" / "revocation", transport, clock=lambda: datetime.now(UTC), watch=lambda *_: None)
        statuses.unknown(key.certificates[0], authority.authority.certificate, at=now)
        statuses.refresh()
    asked = dict(authority.asked)
    after = run("verify", file, "--json")

    assert before.code == 0
    assert "✓ 61 Revocation status" in before.out
    assert after.code == 1
    assert [c["number"] for c in after.json["signatures"][0]["checks"] if not c["passed"]] == [60]
    assert (asked, run("verify", file, "--trust", write("ca.pem", to_pem(authority.authority.certificate))).code) == (authority.asked, 0)
