"""The signer: what it writes, where, and what it refuses to sign."""

import pytest
from lxml import etree

from gateway.errors import Code, GatewayError
from gateway.model import Request, Seal
from gateway.security import signer, verifier
from gateway.security.sealer import EnvelopeSealer
from gateway.security.shape import SIGNATURE
from gateway.testing import builders
from gateway.testing.signing import NOW, Bench
from gateway.xml import envelope as envelopes
from gateway.xml.canonical import canonical
from gateway.xml.parse import parse


def test_signed_envelope_is_in_canonical_form(bench: Bench) -> None:
    signed = bench.signed()

    assert canonical(parse(signed)) == signed


def test_system_signature_is_the_last_child(bench: Bench) -> None:
    root = parse(bench.signed())

    assert [c.tag for c in root] == ["Header", "Body", "SystemSignature"]


@pytest.mark.parametrize("slot", [b"", b"<SystemSignature></SystemSignature>", b"<SystemSignature>-</SystemSignature>"])
def test_empty_slot_is_used_whatever_it_held(bench: Bench, slot: bytes) -> None:
    signed = signer.sign_system(bench.envelope().replace(b"</Envelope>", slot + b"</Envelope>"), bench.portal)

    assert bench.prove(signed).proof == "signature"


def test_person_signature_keeps_an_id_that_is_there(bench: Bench) -> None:
    signed = signer.sign_person(bench.envelope().replace(b"<Content>", b'<Content Id="mine">'), bench.person)

    assert b'URI="#mine"' in signed


def test_person_signature_takes_an_id_that_is_free(bench: Bench) -> None:
    signed = signer.sign_person(bench.envelope().replace(b"<Header>", b'<Header id="content">'), bench.person)

    assert b'URI="#content-2"' in signed


def test_person_signs_an_indented_envelope_too(bench: Bench) -> None:
    indented = etree.tostring(parse(bench.envelope()), pretty_print=True)

    signed = signer.sign_system(signer.sign_person(indented, bench.person), bench.portal)

    assert len(bench.prove(signed).signers) == 2


def test_system_signs_once(bench: Bench) -> None:
    with pytest.raises(GatewayError) as refused:
        signer.sign_system(bench.signed(), bench.portal)

    assert refused.value.problems[0].text == "signature.already-signed"


@pytest.mark.parametrize("already", [{"person": True, "bare": True}, {"person": False}])
def test_person_signs_first_and_once(bench: Bench, already: dict[str, bool]) -> None:
    with pytest.raises(GatewayError) as refused:
        signer.sign_person(bench.signed(person=already["person"], bare=already.get("bare", False)), bench.person)

    assert refused.value.problems[0].text == "signature.already-signed"


def test_person_needs_content_to_sign(bench: Bench) -> None:
    with pytest.raises(GatewayError) as refused:
        signer.sign_person(b"<Envelope><Header/><Body/></Envelope>", bench.person)

    assert refused.value.code is Code.CONTENT_EMPTY


@pytest.mark.parametrize(
    "wrong", [b"", b"<a></a>", b"\n<Envelope></Envelope>", b"<Envelope></Envelope>\n", b"<?xml version='1.0'?><Envelope></Envelope>"]
)
def test_system_refuses_what_is_no_canonical_envelope(bench: Bench, wrong: bytes) -> None:
    with pytest.raises(GatewayError) as refused:
        signer.sign_system(wrong, bench.portal)

    assert refused.value.problems[0].text == "signature.not-canonical"


@pytest.mark.parametrize(
    "document", [b"<a/>", b"<a>x</a>", b'<a xmlns="urn:a"><b c="1"/><!-- x --></a>', b'<p:a xmlns:p="urn:a" t="p:x"/>']
)
def test_any_document_can_be_signed_as_a_whole(bench: Bench, document: bytes) -> None:
    root = parse(signer.sign_enveloped(document, bench.rsa))

    assert root[-1].tag == SIGNATURE


def test_prefixes_that_stand_in_values_are_listed(bench: Bench) -> None:
    envelope = bench.envelope().replace(b"<Content>", b'<Content xmlns:xsi="urn:xsi" xmlns:t="urn:t" xsi:type="t:x">')

    signed = signer.sign_system(signer.sign_person(envelope, bench.person), bench.portal)

    assert signed.count(b'PrefixList="t"') == 2
    assert len(bench.prove(signed).signers) == 2


@pytest.mark.parametrize("kind", ["person", "rsa"])
def test_forwarded_envelope_keeps_the_persons_signature(bench: Bench, kind: str) -> None:
    envelope = bench.envelope().replace(b"<Content>", b'<Content xmlns:xsi="urn:xsi" xmlns:t="urn:t" xsi:type="t:x">')
    sent = signer.sign_system(signer.sign_person(envelope, bench.person), getattr(bench, kind))
    forwarded = envelopes.forward(
        sent, receiver=builders.MINISTRY, document_type="BNNPTNT0300002", version="1", slots=("optional", "absent"), keep_person=True
    )

    signed = signer.sign_system(forwarded, bench.rsa)
    found = verifier.find(parse(signed))

    assert verifier.verify_person(found, at=NOW, anchors=bench.trust.anchors("person")).tax_code == "0101234567"
    assert verifier.verify_system(found, at=NOW, registered=lambda c: c == bench.rsa.certificates[0]).covers == ("/Envelope",)
    assert sent.count(b"<SystemSignature>") == signed.count(b"<SystemSignature>") == 1


def test_sealer_signs_and_wraps_what_asks_for_it(bench: Bench) -> None:
    seal = Seal(profile="xmldsig", document=bench.envelope(), wrap=lambda signed: b"<soap>" + signed + b"</soap>")
    request = Request(endpoint="http://127.0.0.1:9/", action="", body=b"", seal=seal)

    sealed = EnvelopeSealer(bench.portal, lambda: NOW).seal(request)

    assert sealed.seal is None
    assert bench.prove(sealed.body[6:-7]).proof == "signature"


def test_sealer_passes_a_request_without_a_seal(bench: Bench) -> None:
    request = Request(endpoint="http://127.0.0.1:9/", action="", body=b"as it is")

    assert EnvelopeSealer(bench.portal, lambda: NOW).seal(request) is request


def test_sealer_refuses_a_profile_it_does_not_know(bench: Bench) -> None:
    seal = Seal(profile="as4", document=b"", wrap=lambda signed: signed)

    with pytest.raises(GatewayError):
        EnvelopeSealer(bench.portal, lambda: NOW).seal(Request(endpoint="", action="", body=b"", seal=seal))
