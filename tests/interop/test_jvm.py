"""The JVM: the JDK's javax.xml.crypto verifies what we sign, we prove what it signs, and the EU's DSS judges our XAdES."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from gateway.security import signer, xades
from gateway.security.certificates import Certificate
from gateway.security.keys import SigningKey
from gateway.testing import builders
from gateway.testing.signing import NOW, Bench, People, private_key_of, unsigned
from gateway.xml import envelope as envelopes
from tests.fuzz.profiles import cases

KINDS = ["portal", "rsa", "p384"]
PASSWORD = b"interop"
Java = Callable[..., str]

pytestmark = pytest.mark.slow  # a JVM takes a second to start


def test_it_verifies_what_we_sign(bench: Bench, java: Java, tmp_path: Path) -> None:
    files: dict[str, tuple[bytes, str]] = {}
    for kind in KINDS:
        key: SigningKey = getattr(bench, kind)
        files[f"{kind}.xml"] = (bench.signed(system=key), "true true")
        both = xades.sign_system(xades.sign_person(bench.envelope(), bench.person, at=NOW), key, at=NOW)
        files[f"{kind}-xades.xml"] = (both, "true true")
        files[f"{kind}-enveloped.xml"] = (xades.sign_enveloped(b"<a><b>1</b></a>", key, at=NOW), "true")
    files["changed.xml"] = (bench.signed().replace(b"BNN260", b"BNN261"), "false false")
    changed = xades.sign_system(bench.envelope(), bench.portal, at=NOW).replace(b"<SigningTime>2026", b"<SigningTime>2025")
    files["changed-xades.xml"] = (changed, "false")
    forwarded = envelopes.forward(
        bench.signed(), receiver=builders.MINISTRY, document_type=None, version="2", slots=("optional", "optional"), keep_person=True
    )
    files["forwarded.xml"] = (signer.sign_system(forwarded, bench.p384), "true true")
    for name, (document, _) in files.items():
        (tmp_path / name).write_bytes(document)

    told = dict(line.split(" ", 1) for line in java("verify", *(tmp_path / name for name in files)).splitlines())

    assert told == {name: expected for name, (_, expected) in files.items()}


def store(key: SigningKey, path: Path) -> Path:
    """Write a key and its certificate as PKCS #12."""
    encryption = serialization.BestAvailableEncryption(PASSWORD)
    path.write_bytes(pkcs12.serialize_key_and_certificates(b"key", private_key_of(key), key.certificates[0].x509, None, encryption))
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_we_prove_what_it_signs_as_the_system(bench: Bench, java: Java, tmp_path: Path, kind: str) -> None:
    key: SigningKey = getattr(bench, kind)
    document = bench.envelope().replace(b"</Envelope>", b"<SystemSignature></SystemSignature></Envelope>")
    (tmp_path / "in.xml").write_bytes(document)

    java(
        "sign",
        tmp_path / "in.xml",
        tmp_path / "out.xml",
        store(key, tmp_path / "key.p12"),
        PASSWORD.decode(),
        key.algorithm,
        "SystemSignature",
    )

    assert bench.prove((tmp_path / "out.xml").read_bytes()).proof == "signature"


def test_we_prove_what_it_signs_as_a_person(bench: Bench, java: Java, tmp_path: Path) -> None:
    document = bench.envelope().replace(b"<Content>", b'<Content Id="c1">').replace(b"</Body>", b"<Signature></Signature></Body>")
    (tmp_path / "in.xml").write_bytes(document)
    held = store(bench.person, tmp_path / "key.p12")

    java("sign", tmp_path / "in.xml", tmp_path / "out.xml", held, PASSWORD.decode(), bench.person.algorithm, "Signature", "c1")

    proven = bench.prove((tmp_path / "out.xml").read_bytes(), people=People(unsigned("NSW")))
    assert [s.tax_code for s in proven.signers] == ["0101234567"]


# --- the EU's DSS --------------------------------------------------------------------------------------------------------


def pem(folder: Path, found: Certificate) -> Path:
    path = folder / f"{found.sha256}.pem"
    path.write_bytes(found.x509.public_bytes(serialization.Encoding.PEM))
    return path


def test_dss_passes_our_xades_under_our_anchor(bench: Bench, dss: Java, tmp_path: Path) -> None:
    anchors = [pem(tmp_path, getattr(bench, kind).certificates[0]) for kind in KINDS]
    files = {f"{kind}.xml": xades.sign_system(bench.envelope(), getattr(bench, kind), at=NOW) for kind in KINDS}
    files["whole.xml"] = xades.sign_enveloped("<p:đơn xmlns:p='urn:p'>ơ</p:đơn>".encode(), bench.rsa, at=NOW)
    files["changed.xml"] = files["rsa.xml"].replace(b"<SigningTime>2026", b"<SigningTime>2025")
    for name, document in files.items():
        (tmp_path / name).write_bytes(document)

    told = dss(",".join(map(str, anchors)), "2026-10-12T03:00:00Z", *(tmp_path / name for name in files))

    passed = "XAdES-BASELINE-B/TOTAL_PASSED"
    expected = dict.fromkeys(files, passed) | {"changed.xml": "XAdES-BASELINE-B/TOTAL_FAILED/HASH_FAILURE"}
    assert dict(line.split(" ", 1) for line in told.splitlines()) == expected


def test_dss_passes_our_long_term_signature(dss: Java, tmp_path: Path) -> None:
    case = cases(("xades-b-lt",))["xades-b-lt"]
    (tmp_path / "lt.xml").write_bytes(case.signed)
    at = (datetime.now(UTC) + timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M:%SZ")

    told = dss(",".join(str(pem(tmp_path, anchor)) for anchor in case.anchors), at, tmp_path / "lt.xml")

    assert told == "lt.xml XAdES-BASELINE-LT/TOTAL_PASSED\n"
