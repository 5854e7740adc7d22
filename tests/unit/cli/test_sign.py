"""nsw sign: what it signs verifies, and what it cannot sign it says."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from gateway.testing import builders

Write = Callable[[str, bytes | str], Path]
Run = Callable[..., Any]


@pytest.fixture
def system(home: Path) -> tuple[object, ...]:
    return ("--key", home / "pki/keys/NSW.key.pem", "--cert", home / "pki/parties/NSW.pem")


@pytest.fixture
def person(home: Path) -> tuple[object, ...]:
    return ("--key", home / "pki/person/declarant.key.pem", "--cert", home / "pki/person/declarant.cert.pem")


def test_signed_envelope_verifies(run: Run, write: Write, pretty: bytes, system: tuple[object, ...]) -> None:
    signed = run("sign", write("good.xml", pretty), *system)

    assert signed.code == 0
    assert run("verify", write("signed.xml", signed.raw), "--json").json["valid"] is True
    assert "Signed by CN=NSW (development),C=VN at /Envelope/SystemSignature" in signed.err


def test_person_then_system_both_verify(
    run: Run, write: Write, pretty: bytes, system: tuple[object, ...], person: tuple[object, ...]
) -> None:
    once = write("once.xml", run("sign", write("good.xml", pretty), *person, "--as", "person").raw)
    twice = write("twice.xml", run("sign", once, *system, "--as", "system").raw)

    report = run("verify", twice, "--json").json

    assert report["valid"] is True
    assert [signature["covers"] for signature in report["signatures"]] == [["/Envelope/Body/Content"], ["/Envelope"]]


def test_any_document_is_signed_enveloped(run: Run, write: Write, system: tuple[object, ...]) -> None:
    file = write("order.xml", '<o:Order xmlns:o="urn:o"><o:Line>1</o:Line></o:Order>')

    signed = run("sign", file, *system, "--enveloped", "--json")

    assert signed.json["place"] == "/o:Order/Signature"
    report = run("verify", write("signed.xml", base64.b64decode(signed.json["signed"])), "--json").json
    assert report["valid"] is True


def test_json_has_exactly_the_contract(run: Run, write: Write, pretty: bytes, system: tuple[object, ...]) -> None:
    ran = run("sign", write("good.xml", pretty), *system, "--json")

    assert ran.code == 0
    assert ran.json.keys() == {"signed", "signer", "place"}
    assert base64.b64decode(ran.json["signed"]).startswith(b"<Envelope>")
    assert (ran.json["signer"], ran.json["place"]) == ("CN=NSW (development),C=VN", "/Envelope/SystemSignature")
    assert ran.err == ""


def test_output_goes_to_the_file_named(run: Run, write: Write, pretty: bytes, system: tuple[object, ...], tmp_path: Path) -> None:
    ran = run("sign", write("good.xml", pretty), *system, "--output", tmp_path / "signed.xml")

    assert (ran.code, ran.out) == (0, "")
    assert (tmp_path / "signed.xml").read_bytes().startswith(b"<Envelope>")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.xml", "home", "signed.xml"]


def test_file_may_be_signed_in_place(run: Run, write: Write, pretty: bytes, system: tuple[object, ...]) -> None:
    file = write("good.xml", pretty)

    assert run("sign", file, *system, "--output", file).code == 0

    assert run("verify", file).code == 0


def test_document_with_byte_order_mark_and_instructions_is_signed(run: Run, write: Write, system: tuple[object, ...]) -> None:
    document = b"\xef\xbb\xbf<?xml version='1.0'?>\n<?xml-stylesheet href='a.xsl'?>\n" + builders.message("10/01") + b"\n<?end?>"

    signed = run("sign", write("bom.xml", document), *system)

    assert signed.code == 0
    assert run("verify", write("signed.xml", signed.raw)).code == 0


@pytest.fixture
def unlocked(home: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001  # clears the settings first
    monkeypatch.setenv("NSW_KEY_PIN_FILE", str(write("pin", "secret\n")))


@pytest.mark.usefixtures("unlocked")
def test_encrypted_key_is_unlocked_by_the_settings(run: Run, write: Write, pretty: bytes, home: Path) -> None:
    key = serialization.load_pem_private_key((home / "pki/keys/NSW.key.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    locked = write("locked.pem", _pem(key, b"secret"))

    signed = run("sign", write("good.xml", pretty), "--key", locked, "--cert", home / "pki/parties/NSW.pem")

    assert run("verify", write("signed.xml", signed.raw)).code == 0


@pytest.mark.usefixtures("unlocked")
def test_pkcs12_brings_its_certificate(run: Run, write: Write, pretty: bytes, home: Path) -> None:
    key = serialization.load_pem_private_key((home / "pki/keys/NSW.key.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    certificate = x509.load_pem_x509_certificate((home / "pki/parties/NSW.pem").read_bytes())
    data = pkcs12.serialize_key_and_certificates(b"NSW", key, certificate, None, serialization.BestAvailableEncryption(b"secret"))

    signed = run("sign", write("good.xml", pretty), "--key", write("nsw.p12", data))

    assert signed.code == 0, signed.err
    assert run("verify", write("signed.xml", signed.raw)).code == 0


# --- refused -----------------------------------------------------------------------------------------------------------


def test_document_that_is_no_envelope_is_refused_with_advice(run: Run, write: Write, system: tuple[object, ...]) -> None:
    ran = run("sign", write("order.xml", "<Order/>"), *system)

    assert ran.code == 1
    assert "--enveloped" in ran.err
    assert ran.raw == b""


def test_signed_place_is_not_signed_again(run: Run, write: Write, pretty: bytes, system: tuple[object, ...]) -> None:
    signed = write("signed.xml", run("sign", write("good.xml", pretty), *system).raw)

    assert run("sign", signed, *system).code == 1


def test_what_is_not_xml_is_refused(run: Run, write: Write, system: tuple[object, ...]) -> None:
    ran = run("sign", write("no.xml", b"\0\1\2"), *system, "--json")

    assert (ran.code, ran.json["ok"]) == (1, False)


# --- wrong usage -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["--key", "--cert"])
def test_missing_key_or_certificate_is_wrong_usage(run: Run, write: Write, pretty: bytes, home: Path, missing: str) -> None:
    files = {"--key": home / "pki/keys/NSW.key.pem", "--cert": home / "pki/parties/NSW.pem"}
    files[missing] = home / "none.pem"

    ran = run("sign", write("good.xml", pretty), *[part for pair in files.items() for part in pair])

    assert ran.code == 2
    assert "none.pem" in ran.err


def test_pem_key_without_its_certificate_is_wrong_usage(run: Run, write: Write, pretty: bytes, home: Path) -> None:
    ran = run("sign", write("good.xml", pretty), "--key", home / "pki/keys/NSW.key.pem")

    assert ran.code == 2
    assert "--cert" in ran.err


def test_password_file_that_is_not_there_is_named(run: Run, write: Write, pretty: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSW_KEY_PIN_FILE", "/nowhere/pin")

    ran = run("sign", write("good.xml", pretty), "--key", write("nsw.p12", b"0"))

    assert ran.code == 2
    assert "/nowhere/pin" in ran.err


def test_key_of_another_certificate_is_wrong_usage(run: Run, write: Write, pretty: bytes, home: Path) -> None:
    ran = run("sign", write("good.xml", pretty), "--key", home / "pki/keys/NSW.key.pem", "--cert", home / "pki/parties/BNN.pem")

    assert ran.code == 2
    assert "does not belong" in ran.err


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, password: bytes = b"") -> bytes:
    cipher = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, cipher)


@pytest.mark.parametrize(
    "pem",
    [b"", b"no key", b"\0" * 100, _pem(ed25519.Ed25519PrivateKey.generate()), _pem(rsa.generate_private_key(65537, 2048), b"secret")],
    ids=["empty", "words", "binary", "ed25519", "encrypted"],
)
def test_key_that_cannot_be_used_is_wrong_usage(run: Run, write: Write, pretty: bytes, home: Path, pem: bytes) -> None:
    ran = run("sign", write("good.xml", pretty), "--key", write("key.pem", pem), "--cert", home / "pki/parties/NSW.pem")

    assert ran.code == 2
    assert "key.pem" in ran.err


def test_two_ways_at_once_are_wrong_usage(run: Run, write: Write, pretty: bytes, system: tuple[object, ...]) -> None:
    assert run("sign", write("good.xml", pretty), *system, "--enveloped", "--as", "person").code == 2


def test_unknown_role_is_wrong_usage(run: Run, write: Write, pretty: bytes, system: tuple[object, ...]) -> None:
    assert run("sign", write("good.xml", pretty), *system, "--as", "king").code == 2


def test_output_into_nowhere_is_wrong_usage(run: Run, write: Write, pretty: bytes, system: tuple[object, ...], tmp_path: Path) -> None:
    ran = run("sign", write("good.xml", pretty), *system, "--output", tmp_path / "none" / "signed.xml")

    assert ran.code == 2
    assert "cannot be written" in ran.err


def test_output_onto_a_folder_is_wrong_usage(run: Run, write: Write, pretty: bytes, system: tuple[object, ...], home: Path) -> None:
    assert run("sign", write("good.xml", pretty), *system, "--output", home).code == 2


@pytest.mark.parametrize(("place", "reason"), [("none/signed.xml", "không có tệp hoặc thư mục này"), ("", "đây là thư mục")])
def test_why_nothing_can_be_written_is_said_in_the_language(  # fixtures
    run: Run, write: Write, pretty: bytes, system: tuple[object, ...], tmp_path: Path, place: str, reason: str
) -> None:
    ran = run("--lang", "vi", "sign", write("good.xml", pretty), *system, "--output", tmp_path / place)

    assert (ran.code, f"Không ghi được: {reason}." in ran.err) == (2, True), ran.err


def test_key_folder_is_wrong_usage(run: Run, write: Write, pretty: bytes, home: Path) -> None:
    ran = run("sign", write("good.xml", pretty), "--key", home / "pki", "--cert", home / "pki/parties/NSW.pem")

    assert ran.code == 2


# --- beside the file -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"<a/>", b"\x00 no XML at all\r\n"])
def test_any_file_is_signed_beside_it(run: Run, write: Write, system: tuple[object, ...], content: bytes) -> None:
    file = write("a.bin", content)

    signed = run("sign", file, *system, "--profile", "cms-detached")

    assert (signed.code, signed.raw[:1]) == (0, b"\x30")
    assert run("verify", file, "--signature", write("a.p7s", signed.raw)).code == 0
    assert run("verify", write("b.bin", content + b"\n"), "--signature", write("a.p7s", signed.raw)).code == 1


@pytest.mark.parametrize("other", [("--enveloped",), ("--as", "system")])
def test_signature_beside_excludes_one_inside(run: Run, write: Write, system: tuple[object, ...], other: tuple[str, ...]) -> None:
    ran = run("sign", write("a.xml", "<a/>"), *system, "--profile", "cms-detached", *other)

    assert ran.code == 2
    assert "excludes --as and --enveloped" in ran.err
