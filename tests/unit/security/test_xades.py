"""XAdES in the two places: what is written, what is proved, and that whatever is not the profile is refused by its number."""

import base64
from datetime import timedelta

import pytest
from lxml import etree

from gateway.errors import GatewayError
from gateway.security import properties, signer, verifier, xades
from gateway.security.general import verify_file
from gateway.security.policy import PERSON, SYSTEM
from gateway.security.question import Question
from gateway.testing.signing import NOW, Bench, People
from gateway.xml.canonical import canonical, digest
from gateway.xml.parse import parse

DS = "{http://www.w3.org/2000/09/xmldsig#}"
XADES = "{http://uri.etsi.org/01903/v1.3.2#}"
KINDS = ["portal", "rsa", "p384"]


@pytest.fixture(scope="module")
def signed(bench: Bench) -> bytes:
    return xades.sign_system(bench.envelope(), bench.portal, at=NOW)


def check_of(bench: Bench, document: bytes) -> str:
    return bench.refused(document).problems[0].values.get("check", "-")


def resigned(bench: Bench, replaced: str, by: str, *, key: str = "portal") -> bytes:
    """Sign properties in which a text was replaced before they were signed."""
    made = xades.qualifier(getattr(bench, key), NOW)

    def qualify(name: str) -> signer.Extra:
        extra = made(name)
        inner = extra.object.replace(replaced, by)
        assert inner != extra.object
        stated = next(parse(inner.encode()).iter(f"{XADES}SignedProperties"))
        value = base64.b64encode(digest(canonical(stated))).decode()
        old = extra.reference.split("<DigestValue>")[1].split("<")[0]
        return signer.Extra(id=extra.id, reference_id=extra.reference_id, reference=extra.reference.replace(old, value), object=inner)

    return signer.sign_system(bench.envelope(), bench.portal, qualify=qualify)


@pytest.mark.parametrize("kind", KINDS)
def test_both_signatures_are_proved_with_what_they_state(bench: Bench, kind: str) -> None:
    envelope = xades.sign_system(xades.sign_person(bench.envelope(), bench.person, at=NOW), getattr(bench, kind), at=NOW)
    found = verifier.find(parse(envelope))

    system = verifier.verify_system(found, at=NOW, registered=lambda _: True)
    person = verifier.verify_person(found, at=NOW, anchors=bench.trust.anchors("person"))

    assert bench.prove(envelope).proof == "signature"
    assert [v.profile for v in (system, person)] == ["xades-b-b", "xades-b-b"]
    assert system.stated is not None
    assert system.stated.signed_at == NOW


def test_signed_envelope_is_in_canonical_form(signed: bytes) -> None:
    assert canonical(parse(signed)) == signed


def test_plain_person_and_xades_system_go_together(bench: Bench) -> None:
    assert bench.prove(xades.sign_system(signer.sign_person(bench.envelope(), bench.person), bench.rsa, at=NOW)).proof == "signature"


def test_whole_document_is_signed_too(bench: Bench) -> None:
    made = xades.sign_enveloped(b"<a><b>1</b></a>", bench.rsa, at=NOW)

    assert verify_file(made, Question(at=NOW, trusted=bench.rsa.certificates)).valid


def test_report_has_the_checks_of_xades(bench: Bench, signed: bytes) -> None:
    report = verify_file(signed, Question(at=NOW, registry=bench.trust, directory=People()))

    assert report.valid
    assert {c.number for c in report.signatures[0].checks} >= {27, 28, 29, 30}


def test_sig_7_one_reference_with_properties_is_refused(bench: Bench, signed: bytes) -> None:
    root = parse(signed)
    second = list(root.iter(f"{DS}Reference"))[1]
    second.getparent().remove(second)  # type: ignore[union-attr]

    assert check_of(bench, etree.tostring(root)) == "7"


def test_sig_4_second_object_is_refused(bench: Bench, signed: bytes) -> None:
    root = parse(signed)
    holder = next(root.iter(f"{DS}Object"))
    holder.addnext(parse(etree.tostring(holder)))

    assert check_of(bench, etree.tostring(root)) == "4"


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"01903#SignedProperties", b"01903#CountersignedSignature"), (b'-properties"><Transforms>', b'-reference"><Transforms>')],
)
def test_sig_27_second_reference_to_anything_else_is_refused(bench: Bench, signed: bytes, old: bytes, new: bytes) -> None:
    assert check_of(bench, signed.replace(old, new, 1)) == "27"


def test_sig_27_changed_properties_are_refused(bench: Bench, signed: bytes) -> None:
    assert check_of(bench, signed.replace(b"text/xml", b"text/htm")) == "27"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<MimeType>", b"<x/><MimeType>"),
        (b'Target="#', b'Target="#x'),
        (b'ObjectReference="#', b'ObjectReference="#x'),
        (b"<SigningTime>", b"<SigningTime></SigningTime><SigningTime>"),
        (b"<SignedDataObjectProperties>", b"<SignedDataObjectProperties>text"),
        (b"</QualifyingProperties>", b"<UnsignedProperties><Foreign/></UnsignedProperties></QualifyingProperties>"),
        (b"</QualifyingProperties>", b"</QualifyingProperties><x/>"),
    ],
)
def test_sig_28_other_properties_are_refused(bench: Bench, signed: bytes, old: bytes, new: bytes) -> None:
    changed = signed.replace(old, new, 1)
    if b"<x/><MimeType>" in changed:
        assert check_of(bench, changed) == "27"  # what a format says is its own business, as long as it is what was signed
    else:
        assert check_of(bench, changed) == "28"


def test_sig_29_properties_that_name_another_certificate_are_refused(bench: Bench) -> None:
    digests = [base64.b64encode(digest(k.certificates[0].der)).decode() for k in (bench.portal, bench.rsa)]

    assert check_of(bench, resigned(bench, *digests)) == "29"


@pytest.mark.parametrize("algorithm", ["http://www.w3.org/2000/09/xmldsig#sha1", "x"])
def test_sig_29_weak_digest_of_the_certificate_is_refused(bench: Bench, algorithm: str) -> None:
    assert check_of(bench, resigned(bench, "http://www.w3.org/2001/04/xmlenc#sha256", algorithm)) == "29"


def test_sig_29_wrong_serial_number_is_refused(bench: Bench) -> None:
    other = base64.b64encode(b"\x30\x03\x02\x01\x01").decode()

    assert check_of(bench, resigned(bench, "</CertDigest>", f"</CertDigest><IssuerSerialV2>{other}</IssuerSerialV2>")) == "29"


def test_issuer_and_serial_number_may_be_stated(bench: Bench) -> None:
    issuer = base64.b64encode(properties.issuer_serial(bench.portal.certificates[0])).decode()

    assert bench.prove(resigned(bench, "</CertDigest>", f"</CertDigest><IssuerSerialV2>{issuer}</IssuerSerialV2>")).proof == "signature"


@pytest.mark.parametrize("time", ["2026-10-12T02:36:00Z", "2020-01-01T00:00:00Z", "2026-10-12", "2026-10-12T02:30:00", "now"])
def test_sig_30_signing_time_that_cannot_be_is_refused(bench: Bench, time: str) -> None:
    assert check_of(bench, resigned(bench, "2026-10-12T02:30:00Z", time)) == "30"


def test_clocks_may_differ_a_little(bench: Bench) -> None:
    ahead = xades.sign_system(bench.envelope(), bench.portal, at=NOW + timedelta(minutes=4))

    assert bench.prove(ahead).proof == "signature"


def test_sig_31_stamp_that_nobody_judges_is_refused(bench: Bench, signed: bytes) -> None:
    assert check_of(bench, xades.extend(signed, SYSTEM, token=b"\x30\x00")) == "31"


def test_sig_32_stamp_that_is_no_der_is_refused(bench: Bench, signed: bytes) -> None:
    assert check_of(bench, xades.extend(signed, SYSTEM, token=b"token")) == "32"


@pytest.mark.parametrize("place", [PERSON, SYSTEM])
def test_only_a_fresh_xades_signature_can_be_extended(bench: Bench, signed: bytes, place: object) -> None:
    documents = [bench.signed(person=False), xades.extend(signed, SYSTEM, token=b"\x30\x00")]

    for document in documents:
        with pytest.raises(GatewayError) as refused:
            xades.extend(document, PERSON if place is PERSON else SYSTEM, token=b"\x30\x00")
        assert refused.value.problems[0].text == "signature.not-extendable"
