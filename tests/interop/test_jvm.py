"""The JVM: javax.xml.crypto of the JDK and of Santuario, Apache WSS4J, and the EU's DSS prove what we sign, and we what they sign."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from gateway.errors import GatewayError
from gateway.model import Request, Seal, SealProfile, Wrapper
from gateway.ports import Opened, Proven
from gateway.security import devpki, signer, xades
from gateway.security.certificates import Certificate
from gateway.security.keys import SigningKey, load_key
from gateway.security.prover import Prover
from gateway.security.sealer import EnvelopeSealer
from gateway.security.trust import Trust
from gateway.testing import builders
from gateway.testing.signing import LOOPBACK, NOW, ZONE, Bench, People, private_key_of, unsigned
from gateway.xml import envelope as envelopes
from gateway.xml import soap
from tests.fuzz.profiles import cases

KINDS = ["portal", "rsa", "p384"]
PASSWORD = b"interop"
Java = Callable[..., str]

pytestmark = pytest.mark.slow  # a JVM takes a second to start, so that one run answers many questions


def ask(run: Java, folder: Path, questions: Iterable[tuple[object, ...]], *arguments: object) -> Mapping[str, str]:
    """Ask a program, in one run; gives what it says of each file."""
    (folder / "questions").write_text("".join("\t".join(map(str, question)) + "\n" for question in questions), "utf-8")
    return dict(line.split(" ", 1) for line in run(folder / "questions", *arguments).splitlines())


def store(key: SigningKey, path: Path) -> Path:
    """Write a key and its certificate as PKCS #12."""
    encryption = serialization.BestAvailableEncryption(PASSWORD)
    path.write_bytes(pkcs12.serialize_key_and_certificates(b"key", private_key_of(key), key.certificates[0].x509, None, encryption))
    return path


def pem(folder: Path, found: Certificate) -> Path:
    path = folder / f"{found.sha256}.pem"
    path.write_bytes(found.x509.public_bytes(serialization.Encoding.PEM))
    return path


def check_of(refused: GatewayError) -> str:
    return refused.problems[0].values["check"]


# --- javax.xml.crypto ----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["jdk", "santuario"])
def peer(request: pytest.FixtureRequest) -> Java:
    found: Java = request.getfixturevalue(request.param)
    return found


def test_it_verifies_what_we_sign(bench: Bench, peer: Java, tmp_path: Path) -> None:
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

    told = ask(peer, tmp_path, (("verify", tmp_path / name) for name in files))

    assert told == {name: expected for name, (_, expected) in files.items()}


def test_we_prove_what_it_signs_and_refuse_what_was_changed_after(bench: Bench, peer: Java, tmp_path: Path) -> None:
    as_system = bench.envelope().replace(b"</Envelope>", b"<SystemSignature></SystemSignature></Envelope>")
    as_person = bench.envelope().replace(b"<Content>", b'<Content Id="c1">').replace(b"</Body>", b"<Signature></Signature></Body>")
    (tmp_path / "system.xml").write_bytes(as_system)
    (tmp_path / "person.xml").write_bytes(as_person)
    asked = dict.fromkeys(KINDS, ("system.xml", "SystemSignature")) | {"person": ("person.xml", "Signature", "c1")}
    questions = []
    for kind, (written, *place) in asked.items():
        key: SigningKey = getattr(bench, kind)
        held = store(key, tmp_path / f"{kind}.p12")
        questions.append(("sign", tmp_path / written, tmp_path / f"by-{kind}.xml", held, PASSWORD.decode(), key.algorithm, *place))

    ask(peer, tmp_path, questions)

    signed = {kind: (tmp_path / f"by-{kind}.xml").read_bytes() for kind in asked}
    people = {"person": People(unsigned("NSW"))}
    proven = {kind: bench.prove(document, people=people.get(kind)) for kind, document in signed.items()}
    assert {kind: proven[kind].proof for kind in KINDS} == dict.fromkeys(KINDS, "signature")
    assert [s.tax_code for s in proven["person"].signers] == ["0101234567"]
    for kind, document in signed.items():
        assert check_of(bench.refused(document.replace(b"BNN260", b"BNN261"), people=people.get(kind))) == "16"


# --- Apache WSS4J --------------------------------------------------------------------------------------------------------

VERSIONS = ["1.1", "1.2"]
PORTAL = replace(builders.party("NSW"), sends=SealProfile(signature="wss-x509"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """A PKI of now, because WSS4J knows no other time, with the key that signs."""

    folder: Path
    key: SigningKey

    def secured(self, message: bytes) -> bytes:
        """Secure a SOAP message as the gateway does for a receiver that asks for it."""
        seal = Seal(profile="wss-x509", document=message, wrap=lambda document: document)
        sealer = EnvelopeSealer(self.key, lambda: datetime.now(UTC))
        return sealer.seal(Request(endpoint="http://127.0.0.1/", action="", body=b"", seal=seal)).body

    def prove(self, message: bytes) -> Proven:
        """Prove a SOAP message as it came from the portal."""
        payload = soap.unwrap(message).child.findtext("payload", "").encode()
        opened = Opened(wrapper=Wrapper(protocol="vnsw", operation="receive"), payload=payload, message=message)
        return Prover(Trust(self.folder), lambda: datetime.now(UTC), ZONE).prove(opened, LOOPBACK, People(PORTAL, unsigned("BNN")))

    def refused(self, message: bytes) -> str:
        """Give the number of the check that a message fails."""
        with pytest.raises(GatewayError) as refused:
            self.prove(message)
        return check_of(refused.value)


@pytest.fixture(params=[devpki.p256, devpki.rsa2048])
def present(request: pytest.FixtureRequest, tmp_path: Path) -> Present:
    folder = tmp_path / "pki"
    devpki.generate(folder, now=datetime.now(UTC), parties=("NSW", "BNN"), new_key=request.param)
    return Present(folder=folder, key=load_key(folder / "keys" / "NSW.key.pem", folder / "parties" / "NSW.pem"))


def message(version: str) -> bytes:
    return soap.wrap(b"<receive><payload>%b</payload></receive>" % soap.escape_text(builders.message("10/01")), version=version)


def test_wss4j_passes_what_we_secure_and_refuses_what_was_changed_after(present: Present, wss4j: Java, tmp_path: Path) -> None:
    files: dict[str, tuple[bytes, str]] = {}
    passed = "/soap:Envelope/soap:Body /soap:Envelope/soap:Header/wsse:Security/wsu:Timestamp by CN=NSW (development),C=VN"
    for version in VERSIONS:
        secured = present.secured(message(version))
        files[f"{version}.xml"] = (secured, passed)
        files[f"{version}-body.xml"] = (secured.replace(b"BNN260", b"BNN261"), "FAILED_CHECK")
        files[f"{version}-time.xml"] = (secured.replace(b"Z</wsu:Expires>", b".5Z</wsu:Expires>"), "FAILED_CHECK")
    for name, (document, _) in files.items():
        (tmp_path / name).write_bytes(document)
    anchor = pem(tmp_path, present.key.certificates[0])

    told = ask(wss4j, tmp_path, (("judge", tmp_path / name) for name in files), anchor)

    assert told == {name: expected for name, (_, expected) in files.items()}


def test_we_prove_what_wss4j_secures_and_refuse_what_was_changed_after(present: Present, wss4j: Java, tmp_path: Path) -> None:
    held, questions = store(present.key, tmp_path / "key.p12"), []
    for version in VERSIONS:
        (tmp_path / version).write_bytes(message(version))
        questions.append(("secure", tmp_path / version, tmp_path / f"{version}.xml", held, PASSWORD.decode(), present.key.algorithm))

    ask(wss4j, tmp_path, questions)

    for version in VERSIONS:
        secured = (tmp_path / f"{version}.xml").read_bytes()
        assert present.prove(secured).proof == "signature"
        assert present.refused(secured.replace(b"BNN260", b"BNN261")) == "16"
        assert present.refused(secured.replace(b"Z</wsu:Expires>", b"9Z</wsu:Expires>")) == "16"


# --- the EU's DSS --------------------------------------------------------------------------------------------------------


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
