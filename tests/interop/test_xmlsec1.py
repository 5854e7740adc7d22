"""Debian's xmlsec1: it verifies what we sign, and we prove what it signs."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from lxml import etree

from gateway.security import signer, xades
from gateway.security.keys import SigningKey
from gateway.testing import builders
from gateway.testing.signing import NOW, Bench, People, private_pem_of, unsigned
from gateway.xml import envelope as envelopes
from gateway.xml.parse import parse

Run = Callable[..., subprocess.CompletedProcess[bytes]]
DS = "http://www.w3.org/2000/09/xmldsig#"
EXC = "http://www.w3.org/2001/10/xml-exc-c14n#"
VERIFY = ("--verify", "--insecure", "--enabled-key-data", "x509", "--id-attr:Id", "Content", "--id-attr:Id", "SignedProperties")
PLACES = {"person": "/Envelope/Body/Signature/*", "system": "/Envelope/SystemSignature/*"}
KINDS = ["portal", "rsa", "p384"]


def good(run: Run, document: bytes, place: str) -> bool:
    done = run(document, *VERIFY, "--node-xpath", PLACES[place])
    return done.returncode == 0


@pytest.mark.parametrize("kind", KINDS)
def test_xmlsec1_verifies_both_our_signatures(bench: Bench, xmlsec1: Run, kind: str) -> None:
    signed = signer.sign_system(signer.sign_person(bench.envelope(), bench.person), getattr(bench, kind))

    assert good(xmlsec1, signed, "person")
    assert good(xmlsec1, signed, "system")


@pytest.mark.parametrize("kind", KINDS)
def test_xmlsec1_verifies_both_our_xades_signatures(bench: Bench, xmlsec1: Run, kind: str) -> None:
    signed = xades.sign_system(xades.sign_person(bench.envelope(), bench.person, at=NOW), getattr(bench, kind), at=NOW)

    assert good(xmlsec1, signed, "person")
    assert good(xmlsec1, signed, "system")
    assert not good(xmlsec1, signed.replace(b"<SigningTime>2026", b"<SigningTime>2025"), "person")


def test_xmlsec1_verifies_our_xades_inside_another_document(bench: Bench, xmlsec1: Run) -> None:
    signed = xades.sign_person(bench.envelope(), bench.person, at=NOW)
    wrapped = b'<s:Envelope xmlns:s="urn:s" xmlns:t="urn:t"><s:Body>%b</s:Body></s:Envelope>' % signed

    assert xmlsec1(wrapped, *VERIFY, "--node-xpath", "/*/*/Envelope/Body/Signature/*").returncode == 0


@pytest.mark.parametrize("place", PLACES)
def test_xmlsec1_refuses_what_was_changed_after_we_signed(bench: Bench, xmlsec1: Run, place: str) -> None:
    assert not good(xmlsec1, bench.signed().replace(b"BNN260", b"BNN261"), place)


def test_xmlsec1_verifies_prefixes_that_stand_in_values(bench: Bench, xmlsec1: Run) -> None:
    envelope = bench.envelope().replace(b"<Envelope>", b'<Envelope xmlns:t="urn:t">').replace(b"<Content>", b"<Content><Kind>t:x</Kind>")
    signed = signer.sign_system(signer.sign_person(envelope, bench.person), bench.rsa)

    assert signed.count(b'PrefixList="t"') == 2
    assert good(xmlsec1, signed, "person")
    assert good(xmlsec1, signed, "system")


def test_xmlsec1_verifies_a_forwarded_person_signature(bench: Bench, xmlsec1: Run) -> None:
    forwarded = envelopes.forward(
        bench.signed(), receiver=builders.MINISTRY, document_type=None, version="2", slots=("optional", "optional"), keep_person=True
    )
    signed = signer.sign_system(forwarded, bench.p384)

    assert good(xmlsec1, signed, "person")
    assert good(xmlsec1, signed, "system")


@pytest.mark.parametrize("document", [b"<a><b>1</b></a>", '<p:đơn xmlns:p="urn:p">ơ</p:đơn>'.encode(), b'<a xmlns="urn:a" b="&lt;"/>'])
def test_xmlsec1_verifies_our_enveloped_signature(bench: Bench, xmlsec1: Run, document: bytes) -> None:
    done = xmlsec1(signer.sign_enveloped(document, bench.rsa), "--verify", "--insecure", "--enabled-key-data", "x509")

    assert done.returncode == 0, done.stderr


def template(key: SigningKey, *, uri: str, transforms: tuple[str, ...], prefixed: bool) -> bytes:
    p, xmlns = ("ds:", "xmlns:ds") if prefixed else ("", "xmlns")
    listed = "".join(f'<{p}Transform Algorithm="{t}"/>' for t in transforms)
    return (
        f'<{p}Signature {xmlns}="{DS}">\n <{p}SignedInfo>\n  <{p}CanonicalizationMethod Algorithm="{EXC}"/>\n'
        f'  <{p}SignatureMethod Algorithm="{key.algorithm}"/>\n  <{p}Reference URI="{uri}">\n   <{p}Transforms>{listed}</{p}Transforms>\n'
        f'   <{p}DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>\n   <{p}DigestValue/>\n  </{p}Reference>\n'
        f" </{p}SignedInfo>\n <{p}SignatureValue/>\n"
        f" <{p}KeyInfo><{p}X509Data><{p}X509Certificate/></{p}X509Data></{p}KeyInfo>\n</{p}Signature>"
    ).encode()


def files(bench: Bench, kind: str, folder: Path) -> str:
    """Write a key and its certificate for xmlsec1, as one argument."""
    key: SigningKey = getattr(bench, kind)
    certificate = folder / "cert.pem"
    certificate.write_bytes(key.certificates[0].x509.public_bytes(serialization.Encoding.PEM))
    private = folder / "key.pem"
    private.write_bytes(private_pem_of(key))
    return f"{private},{certificate}"


def signed_by_xmlsec1(run: Run, document: bytes, place: str, key: str, out: Path) -> bytes:
    arguments = ("--sign", "--privkey-pem", key, "--id-attr:Id", "Content", "--node-xpath", PLACES[place], "--output", str(out))
    done = run(document, *arguments)
    assert done.returncode == 0, done.stderr
    return out.read_bytes()


@pytest.mark.parametrize("prefixed", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_we_prove_what_xmlsec1_signs_as_the_system(bench: Bench, xmlsec1: Run, tmp_path: Path, kind: str, *, prefixed: bool) -> None:
    asked = template(getattr(bench, kind), uri="", transforms=(f"{DS}enveloped-signature", EXC), prefixed=prefixed)
    document = bench.envelope().replace(b"</Envelope>", b"<SystemSignature>" + asked + b"</SystemSignature></Envelope>")

    signed = signed_by_xmlsec1(xmlsec1, document, "system", files(bench, kind, tmp_path), tmp_path / "out.xml")

    assert bench.prove(signed).proof == "signature"


@pytest.mark.parametrize("prefixed", [True, False])
def test_we_prove_what_xmlsec1_signs_as_a_person(bench: Bench, xmlsec1: Run, tmp_path: Path, *, prefixed: bool) -> None:
    asked = template(bench.person, uri="#c1", transforms=(EXC,), prefixed=prefixed)
    document = (
        bench.envelope().replace(b"<Content>", b'<Content Id="c1">').replace(b"</Body>", b"<Signature>" + asked + b"</Signature></Body>")
    )

    signed = signed_by_xmlsec1(xmlsec1, document, "person", files(bench, "person", tmp_path), tmp_path / "out.xml")
    proven = bench.prove(signed, people=People(unsigned("NSW")))

    assert [s.tax_code for s in proven.signers] == ["0101234567"]


def test_we_prove_an_indented_document_that_xmlsec1_signed(bench: Bench, xmlsec1: Run, tmp_path: Path) -> None:
    asked = template(bench.rsa, uri="", transforms=(f"{DS}enveloped-signature", EXC), prefixed=True)
    document = bench.envelope().replace(b"</Envelope>", b"<SystemSignature>" + asked + b"</SystemSignature></Envelope>")
    indented = etree.tostring(parse(document), pretty_print=True, xml_declaration=True, encoding="utf-8")

    signed = signed_by_xmlsec1(xmlsec1, indented, "system", files(bench, "rsa", tmp_path), tmp_path / "out.xml")

    assert bench.prove(signed).proof == "signature"
