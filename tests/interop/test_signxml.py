"""signxml: it verifies what we sign, and we prove what it signs, in the shape it gives when it is asked for the profile."""

from datetime import timedelta

import pytest
import signxml
from lxml import etree
from lxml.etree import _Element
from signxml.algorithms import CanonicalizationMethod, SignatureMethod
from signxml.signer import XMLSigner
from signxml.verifier import SignatureConfiguration, XMLVerifier

from gateway.security import signer
from gateway.security.general import verify_file
from gateway.security.keys import SigningKey
from gateway.security.question import Question
from gateway.testing.signing import NOW, Bench, private_pem_of
from gateway.xml.parse import parse

KINDS = ["portal", "rsa", "p384"]


def signed_by_signxml(document: _Element, key: SigningKey, *, reference: str | None = None) -> _Element:
    made = XMLSigner(
        method=signxml.methods.enveloped,
        signature_algorithm=SignatureMethod(key.algorithm),
        c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
    )
    pem = private_pem_of(key)
    certificate = key.certificates[0].x509
    signed: _Element = made.sign(document, key=pem, cert=[certificate], reference_uri=reference, always_add_key_value=False)
    return signed


@pytest.mark.parametrize("kind", KINDS)
def test_signxml_verifies_our_system_signature(bench: Bench, kind: str) -> None:
    key: SigningKey = getattr(bench, kind)
    config = SignatureConfiguration(location="./SystemSignature/", verification_time=NOW + timedelta(hours=1))

    result = XMLVerifier().verify(bench.signed(system=key), x509_cert=key.certificates[0].x509, expect_config=config)

    assert not isinstance(result, list)
    assert result.signed_xml is not None
    assert result.signed_xml.tag == "Envelope"


def test_signxml_verifies_our_person_signature(bench: Bench) -> None:
    config = SignatureConfiguration(location="./Body/Signature/", verification_time=NOW + timedelta(hours=1))

    result = XMLVerifier().verify(bench.signed(), x509_cert=bench.person.certificates[0].x509, expect_config=config)

    assert not isinstance(result, list)
    assert result.signed_xml is not None
    assert result.signed_xml.tag == "Content"


@pytest.mark.parametrize("kind", KINDS)
def test_we_prove_what_signxml_signs_as_the_system(bench: Bench, kind: str) -> None:
    root = parse(bench.envelope().replace(b"</Envelope>", b"<SystemSignature></SystemSignature></Envelope>"))
    signed = signed_by_signxml(root, getattr(bench, kind))
    slot, signature = signed[-2], signed[-1]
    assert slot.tag == "SystemSignature"
    slot.append(signature)  # enveloped: what is covered is the document without it, wherever it stands

    assert bench.prove(etree.tostring(signed)).proof == "signature"


@pytest.mark.parametrize("kind", KINDS)
def test_we_verify_what_signxml_signs_anywhere(bench: Bench, kind: str) -> None:
    key: SigningKey = getattr(bench, kind)

    report = verify_file(
        etree.tostring(signed_by_signxml(parse(b"<a><b>1</b></a>"), key)), Question(at=NOW + timedelta(hours=1), trusted=key.certificates)
    )

    assert report.valid


def test_signxml_refuses_what_was_changed_after_we_signed(bench: Bench) -> None:
    changed = signer.sign_enveloped(b"<a><b>1</b></a>", bench.rsa).replace(b"<b>1", b"<b>2")

    with pytest.raises(signxml.exceptions.InvalidDigest):
        XMLVerifier().verify(changed, x509_cert=bench.rsa.certificates[0].x509, expect_config=SignatureConfiguration(verification_time=NOW))
