"""What `nsw verify` says about files: envelopes by the gateway's profile, anything else under a policy."""

import base64
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from lxml import etree

from gateway.errors import Code
from gateway.security import signer
from gateway.security.certificates import Certificate
from gateway.security.general import verify_file
from gateway.security.keys import SigningKey
from gateway.security.policy import PERMISSIVE
from gateway.security.question import Question
from gateway.security.report import NAMES, Report
from gateway.testing.signing import NOW, Bench, People, self_signed, signed_certificate
from gateway.xml.parse import parse

DS = "http://www.w3.org/2000/09/xmldsig#"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"


def ask(bench: Bench) -> Question:
    return Question(at=NOW, registry=bench.trust, directory=People())


def failed(report: Report) -> list[int]:
    return [c.number for s in report.signatures for c in s.checks if not c.passed]


def test_signed_envelope_is_valid_and_every_check_is_told(bench: Bench) -> None:
    report = verify_file(bench.signed(), ask(bench))

    told = report.as_json(spell=lambda code: f"{code}!")
    assert (told["valid"], told["code"]) == (True, None)
    assert [s["signer"] for s in told["signatures"]] == [bench.person.certificates[0].subject, bench.portal.certificates[0].subject]
    assert [s["covers"] for s in told["signatures"]] == [["/Envelope/Body/Content"], ["/Envelope"]]
    for signature in told["signatures"]:
        assert [c["number"] for c in signature["checks"]] == list(range(1, 20))
        assert all(c["passed"] and c["detail"] and c["name"] == NAMES[c["number"]] for c in signature["checks"])


def test_report_speaks_two_languages(bench: Bench) -> None:
    report = verify_file(bench.signed().replace(b"<version>1.0", b"<version>2.0"), ask(bench))

    vi = next(c for c in report.as_json()["signatures"][1]["checks"] if not c["passed"])
    en = next(c for c in report.as_json(language="en")["signatures"][1]["checks"] if not c["passed"])
    assert vi["detail"] == "SIG-16: Nội dung đã bị thay đổi sau khi ký: giá trị băm tính được khác DigestValue."
    assert en["detail"] == "SIG-16: The content was changed after signing: its digest is not DigestValue."


def test_changed_header_breaks_the_system_signature_alone(bench: Bench) -> None:
    report = verify_file(bench.signed().replace(b"<version>1.0", b"<version>2.0"), ask(bench))

    assert [s.valid for s in report.signatures] == [True, False]
    assert (failed(report), report.code) == ([16], Code.SIGNATURE)


def test_failed_check_does_not_hide_the_others(bench: Bench) -> None:
    payload = bench.signed(person=False).replace(b"<version>1.0", b"<version>2.0")

    report = verify_file(payload, replace(ask(bench), at=NOW + timedelta(days=5000), trusted=bench.relay.certificates))

    assert failed(report) == [16, 17, 18]


def test_file_without_a_signature_is_not_valid(bench: Bench) -> None:
    report = verify_file(bench.envelope(), ask(bench))

    assert (report.valid, report.code, report.signatures) == (False, Code.SIGNATURE, ())
    assert report.problems[0].text == "signature.none"


@pytest.mark.parametrize("data", [b"", b"no xml", b"<!DOCTYPE a><a/>", b"<a>" * 70])
def test_file_that_cannot_be_read_is_a_report_too(bench: Bench, data: bytes) -> None:
    report = verify_file(data, ask(bench))

    assert (report.valid, report.signatures) == (False, ())
    assert report.code in {Code.NOT_XML, Code.LIMIT}


def test_too_many_signatures_are_not_judged(bench: Bench) -> None:
    report = verify_file(b"<a>" + f'<Signature xmlns="{DS}"/>'.encode() * 17 + b"</a>", ask(bench))

    assert report.problems[0].text == "signature.too-many"


def test_signature_in_another_place_of_an_envelope_fails_check_1(bench: Bench) -> None:
    root = parse(bench.signed(person=False))
    root[0].append(root[2][0])

    assert failed(verify_file(etree.tostring(root), ask(bench))) == [1]


def test_sig_23_party_named_by_hand_takes_the_place_of_from(bench: Bench) -> None:
    payload = bench.signed(person=False, system=bench.relay)

    assert verify_file(payload, ask(bench)).valid  # HQ may send for NSW
    assert failed(verify_file(payload, replace(ask(bench), party="BNN"))) == [23]


def test_trust_named_by_hand_replaces_the_registry(bench: Bench) -> None:
    payload = bench.signed(person=False)

    assert verify_file(payload, replace(ask(bench), trusted=bench.portal.certificates)).valid
    assert failed(verify_file(payload, replace(ask(bench), trusted=bench.relay.certificates))) == [18]


def test_nothing_is_trusted_without_registry_and_names(bench: Bench) -> None:
    assert failed(verify_file(bench.signed(person=False), Question(at=NOW))) == [18]


# --- any other document ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["portal", "rsa", "p384"])
@pytest.mark.parametrize("document", [b"<a><b>1</b></a>", '<p:hồ-sơ xmlns:p="urn:a" t="p:x">ă</p:hồ-sơ>'.encode(), b'<a xmlns="urn:a"/>'])
def test_enveloped_document_is_valid_for_a_registered_signer(bench: Bench, kind: str, document: bytes) -> None:
    report = verify_file(signer.sign_enveloped(document, getattr(bench, kind)), ask(bench))

    assert (report.valid, failed(report)) == (True, [])
    assert 25 in {c.number for c in report.signatures[0].checks}


def test_enveloped_document_that_was_changed_is_not_valid(bench: Bench) -> None:
    signed = signer.sign_enveloped(b"<a><b>1</b></a>", bench.rsa)

    assert failed(verify_file(signed.replace(b"<b>1", b"<b>2"), ask(bench))) == [16]


def test_two_signatures_side_by_side_are_judged_each(bench: Bench) -> None:
    once = signer.sign_enveloped(b"<a><b>1</b></a>", bench.rsa)
    twice = signer.sign_enveloped(once, bench.p384)

    report = verify_file(twice, ask(bench))

    assert [s.valid for s in report.signatures] == [False, True]  # the first did not cover the second
    assert report.signatures[1].place == "/a/*[3]"


def enveloping(key: SigningKey, *, id_name: str = "Id", object_id: str = "o", uri: str = "#o", key_info: str | None = None) -> bytes:
    """Write a signature around its object, in inclusive C14N as many stacks do."""
    held = f'<Object xmlns="{DS}" {id_name}="{object_id}">text</Object>'
    digested = base64.b64encode(digest(held)).decode()
    algorithm = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
    info = (
        f'<SignedInfo xmlns="{DS}"><CanonicalizationMethod Algorithm="{algorithm}"></CanonicalizationMethod>'
        f'<SignatureMethod Algorithm="{key.algorithm}"></SignatureMethod><Reference URI="{uri}">'
        f'<DigestMethod Algorithm="{SHA256}"></DigestMethod><DigestValue>{digested}</DigestValue></Reference></SignedInfo>'
    )
    value = base64.b64encode(key.sign(info.encode())).decode()
    certificate = base64.b64encode(key.certificates[0].der).decode()
    given = key_info or f"<X509Data><X509Certificate>{certificate}</X509Certificate></X509Data>"
    return f'<Signature xmlns="{DS}">{info}<SignatureValue>{value}</SignatureValue><KeyInfo>{given}</KeyInfo>{held}</Signature>'.encode()


def digest(text: str) -> bytes:
    hasher = hashes.Hash(hashes.SHA256())
    hasher.update(text.encode())
    return hasher.finalize()


def test_enveloping_signature_is_valid_and_covers_its_object(bench: Bench) -> None:
    report = verify_file(enveloping(bench.rsa), ask(bench))

    assert (report.valid, failed(report)) == (True, [])
    assert report.signatures[0].covers == ("/*/*[4]",)


def test_signature_inside_soap_is_valid(bench: Bench) -> None:
    soap = "http://schemas.xmlsoap.org/soap/envelope/"
    wrapped = b'<s:Envelope xmlns:s="%b"><s:Body>%b</s:Body></s:Envelope>' % (soap.encode(), signer.sign_enveloped(b"<a/>", bench.rsa))

    report = verify_file(wrapped, ask(bench))

    assert failed(report) == [16]  # URI="" means the whole file, and SOAP was put around it afterwards
    assert verify_file(b'<s:Body xmlns:s="%b">%b</s:Body>' % (soap.encode(), b"<a/>"), ask(bench)).problems


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"uri": "#nothing"}, 8),
        ({"uri": "http://example.org/"}, 8),
        ({"uri": "file:///etc/passwd"}, 8),
        ({"uri": "other.xml"}, 8),
        ({"id_name": "Name"}, 8),
        ({"key_info": "<KeyName>x</KeyName>"}, 11),
        ({"key_info": "<X509Data><X509Certificate>AAAA</X509Certificate></X509Data>"}, 11),
        ({"key_info": "<RetrievalMethod URI='http://example.org/'/>"}, 11),
    ],
)
def test_foreign_signature_is_refused_by_its_check(bench: Bench, changes: dict[str, str], number: int) -> None:
    assert number in failed(verify_file(enveloping(bench.rsa, **changes), ask(bench)))


def test_sig_3_doubled_identifier_is_refused(bench: Bench) -> None:
    doubled = enveloping(bench.rsa).replace(b"</KeyInfo>", b"</KeyInfo><Object xml:id='o'/>")

    assert 3 in failed(verify_file(doubled, ask(bench)))


def test_identifier_in_another_attribute_is_found_when_it_is_named(bench: Bench) -> None:
    signed = enveloping(bench.rsa, id_name="AssertionID")

    assert not verify_file(signed, ask(bench)).valid
    assert verify_file(signed, replace(ask(bench), id_names=("AssertionID",), policy=PERMISSIVE)).valid


@pytest.mark.parametrize("part", ["SignedInfo", "SignatureValue", "DigestMethod", "DigestValue", "Reference", "SignatureMethod"])
def test_sig_4_missing_part_is_refused(bench: Bench, part: str) -> None:
    root = parse(enveloping(bench.rsa))
    found = next(root.iter(f"{{{DS}}}{part}"))
    parent = found.getparent()
    assert parent is not None
    parent.remove(found)

    assert set(failed(verify_file(etree.tostring(root), ask(bench)))) <= {4, 7}


def test_sig_9_transform_that_chooses_is_refused(bench: Bench) -> None:
    signed = signer.sign_enveloped(b"<a/>", bench.rsa)
    xpath = b"http://www.w3.org/TR/1999/REC-xpath-19991116"

    report = verify_file(
        signed.replace(b"http://www.w3.org/2000/09/xmldsig#enveloped-signature", xpath), replace(ask(bench), policy=PERMISSIVE)
    )

    assert 9 in failed(report)


def test_sig_9_base64_transform_of_no_base64_is_refused(bench: Bench) -> None:
    listed = f'<Transforms><Transform Algorithm="{DS}base64"/></Transforms><DigestMethod'
    signed = enveloping(bench.rsa).replace(b"<DigestMethod", listed.encode()).replace(b">text<", b">%%%<")

    assert 9 in failed(verify_file(signed, Question(at=NOW, policy=PERMISSIVE)))


def test_key_without_a_certificate_needs_the_permissive_policy(bench: Bench) -> None:
    numbers = bench.rsa.certificates[0].x509.public_key().public_numbers()  # type: ignore[union-attr]
    modulus, exponent = (base64.b64encode(n.to_bytes(s)).decode() for n, s in ((numbers.n, 256), (numbers.e, 3)))  # type: ignore[union-attr]
    signed = enveloping(
        bench.rsa, key_info=f"<KeyValue><RSAKeyValue><Modulus>{modulus}</Modulus><Exponent>{exponent}</Exponent></RSAKeyValue></KeyValue>"
    )

    assert failed(verify_file(signed, ask(bench))) == [11]
    assert verify_file(signed, Question(at=NOW, policy=PERMISSIVE)).valid


def test_key_given_by_hand_needs_the_permissive_policy(bench: Bench) -> None:
    signed = enveloping(bench.rsa, key_info="<KeyName>x</KeyName>")
    pem = bench.rsa.certificates[0].x509.public_bytes(Encoding.PEM)

    assert failed(verify_file(signed, replace(ask(bench), key=pem))) == [11]
    assert verify_file(signed, Question(at=NOW, key=pem, policy=PERMISSIVE)).valid
    assert failed(verify_file(signed, Question(at=NOW, key=b"something else", policy=PERMISSIVE))) == [11]


def test_permissive_policy_judges_no_trust_unless_someone_names_it(bench: Bench) -> None:
    signed = enveloping(bench.rsa)

    assert verify_file(signed, Question(at=NOW, policy=PERMISSIVE)).valid
    assert failed(verify_file(signed, Question(at=NOW, policy=PERMISSIVE, trusted=bench.relay.certificates))) == [18]


def test_signer_may_be_led_to_trust_by_certificates_from_outside(bench: Bench) -> None:
    _, leaf, anchor = issued()
    signed = enveloping(leaf)

    assert verify_file(signed, Question(at=NOW, trusted=(anchor,))).valid
    assert failed(verify_file(signed, Question(at=NOW, trusted=bench.relay.certificates, untrusted=(anchor,)))) == [18]


def issued() -> tuple[ec.EllipticCurvePrivateKey, SigningKey, Certificate]:
    """Make an authority, and a signer whom it certified."""
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca, own = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in ("ca", "signer"))
    basic = ((x509.BasicConstraints(ca=True, path_length=None), True),)
    anchor = signed_certificate(authority, authority, ca, ca, extensions=basic)
    return authority, SigningKey(key, (signed_certificate(key, authority, own, ca),)), anchor


@pytest.mark.parametrize(("revoked_days", "list_days", "good"), [(-1, 10, False), (5, 10, True), (None, 10, True), (None, -1, False)])
def test_sig_24_revocation_lists_are_asked(revoked_days: int | None, list_days: int, *, good: bool) -> None:
    authority, leaf, anchor = issued()
    certificate = leaf.certificates[0].x509
    builder = x509.CertificateRevocationListBuilder().issuer_name(certificate.issuer).last_update(NOW - timedelta(days=2))
    builder = builder.next_update(NOW + timedelta(days=list_days))
    if revoked_days is not None:
        entry = (
            x509.RevokedCertificateBuilder().serial_number(certificate.serial_number).revocation_date(NOW + timedelta(days=revoked_days))
        )
        builder = builder.add_revoked_certificate(entry.build())
    crl = builder.sign(authority, hashes.SHA256())

    report = verify_file(enveloping(leaf), Question(at=NOW, trusted=(anchor,), crls=(crl,)))

    assert report.valid is good
    assert failed(report) == ([] if good else [24])


def test_sig_25_second_implementation_must_agree(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    signed = signer.sign_enveloped(b"<a><b>1</b></a>", bench.rsa)
    written = next(parse(signed).iter(f"{{{DS}}}DigestValue")).text or ""
    monkeypatch.setattr("gateway.security.general.digest", lambda *_: base64.b64decode(written))  # an engine that sees no change

    assert failed(verify_file(signed.replace(b"<b>1", b"<b>2"), ask(bench))) == [25]


def test_person_may_sign_any_document_too(bench: Bench) -> None:
    assert verify_file(signer.sign_enveloped(b"<a/>", bench.person), ask(bench)).valid


def test_stranger_is_not_trusted(bench: Bench) -> None:
    key = ec.generate_private_key(ec.SECP256R1())

    report = verify_file(signer.sign_enveloped(b"<a/>", SigningKey(key, (self_signed(key),))), ask(bench))

    assert failed(report) == [18]


def test_envelope_under_the_permissive_policy_is_judged_as_any_document(bench: Bench) -> None:
    report = verify_file(bench.signed(), replace(ask(bench), policy=PERMISSIVE, registry=None))

    assert report.valid
    assert [s.covers for s in report.signatures] == [("/Envelope/Body/Content",), ("/Envelope",)]


def test_no_check_that_passed_leaves_a_value_unsaid(bench: Bench) -> None:
    report = verify_file(bench.signed(), ask(bench))

    said = [c["detail"] for language in ("vi", "en") for s in report.as_json(language=language)["signatures"] for c in s["checks"]]
    assert len(said) == 2 * 2 * 19
    assert not [detail for detail in said if "…" in detail]
