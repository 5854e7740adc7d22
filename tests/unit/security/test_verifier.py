"""Each numbered check of docs/protocol/SIG.md on a signed envelope: one change, one refusal with that check's number."""

import base64
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from lxml import etree
from lxml.etree import _Element

from gateway.errors import GatewayError
from gateway.security import signer, verifier
from gateway.security.keys import SigningKey
from gateway.testing.signing import NOW, Bench, People, self_signed, unsigned
from gateway.xml.parse import parse

DS = "{http://www.w3.org/2000/09/xmldsig#}"
SYSTEM = f"SystemSignature/{DS}Signature"
PERSON = f"Body/Signature/{DS}Signature"
Change = Callable[[_Element], object]


def check_of(refusal: GatewayError) -> str:
    return refusal.problems[0].values["check"]


def changed(payload: bytes, change: Change) -> bytes:
    root = parse(payload)
    change(root)
    return etree.tostring(root)


def system(root: _Element, name: str) -> _Element:
    found = root.find(f"{SYSTEM}//{DS}{name}")
    assert found is not None
    return found


def person(root: _Element, name: str) -> _Element:
    found = root.find(f"{PERSON}//{DS}{name}")
    assert found is not None
    return found


def put(element: _Element, **attributes: str) -> _Element:
    for name, value in attributes.items():
        element.set(name, value)
    return element


def text(element: _Element, value: str) -> _Element:
    element.text = value
    return element


def put_tag(element: _Element, name: str) -> None:
    element.tag = f"{DS}{name}"


def child(parent: _Element, name: str) -> _Element:
    return etree.SubElement(parent, f"{DS}{name}")


def resigned(bench: Bench, find: str, replace: str, *, key: SigningKey | None = None) -> bytes:
    """Sign an envelope whose SignedInfo is written otherwise, with a value that is right for it: only the check itself can refuse."""
    signing = key or bench.portal
    root = parse(bench.signed(person=False, system=signing))
    signature = root.find(SYSTEM)
    assert signature is not None
    spelt = etree.tostring(signature, with_tail=False).decode().replace(find, replace)
    again = etree.fromstring(spelt)
    slot = signature.getparent()
    assert slot is not None
    slot.replace(signature, again)
    info, value = again[0], again[1]
    value.text = base64.b64encode(signing.sign(etree.tostring(info, method="c14n", exclusive=True))).decode()
    return etree.tostring(root)


def test_good_envelope_passes_with_both_signers(bench: Bench) -> None:
    proven = bench.prove(bench.signed())

    assert [(s.role, s.covers, s.tax_code) for s in proven.signers] == [
        ("person", ("/Envelope/Body/Content",), "0101234567"),
        ("system", ("/Envelope",), None),
    ]


@pytest.mark.parametrize("kind", ["portal", "rsa", "p384"])
def test_every_allowed_kind_of_key_passes(bench: Bench, kind: str) -> None:
    payload = bench.signed(person=False, system=getattr(bench, kind))

    assert bench.prove(payload).proof == "signature"


CHANGES: list[tuple[str, str, Change]] = [
    ("1", "second_body", lambda r: r.append(etree.fromstring("<Body><Content/></Body>"))),
    ("1", "second_content", lambda r: r[1].append(etree.fromstring("<Content/>"))),
    ("1", "second_person_slot", lambda r: r[1].append(etree.fromstring("<Signature/>"))),
    ("1", "second_system_slot", lambda r: r.insert(0, etree.fromstring("<SystemSignature/>"))),
    ("1", "signature_in_header", lambda r: r[0].append(child(r[0], "Signature"))),
    ("2", "text_in_slot", lambda r: text(r[2], "x")),
    ("2", "attribute_on_slot", lambda r: put(r[2], a="b")),
    ("2", "other_element_in_slot", lambda r: r[2].append(etree.fromstring("<x/>"))),
    ("3", "same_id_twice", lambda r: put(r[0], Id="content")),
    ("3", "same_id_under_another_name", lambda r: put(r[0], ID="content")),
    ("3", "same_id_in_small_letters", lambda r: put(r[0][0], id="content")),
    ("3", "same_xml_id", lambda r: r[0].set("{http://www.w3.org/XML/1998/namespace}id", "content")),
    ("4", "object", lambda r: child(r[2][0], "Object")),
    ("4", "manifest_in_object", lambda r: child(child(r[2][0], "Object"), "Manifest")),
    ("4", "parts_in_another_order", lambda r: r[2][0].append(r[2][0][0])),
    ("4", "no_key_info", lambda r: r[2][0].remove(r[2][0][2])),
    ("4", "text_between_parts", lambda r: text(r[2][0], "x")),
    ("4", "foreign_attribute", lambda r: put(r[2][0], a="b")),
    ("4", "reference_type", lambda r: put(system(r, "Reference"), Type="http://www.w3.org/2000/09/xmldsig#Manifest")),
    ("5", "inclusive_canonicalization", lambda r: put(system(r, "CanonicalizationMethod"), Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315")),
    ("5", "canonicalization_with_comments", lambda r: put(system(r, "CanonicalizationMethod"), Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#WithComments")),
    ("5", "parameters_of_canonicalization", lambda r: child(system(r, "CanonicalizationMethod"), "X")),
    ("6", "sha1_signature", lambda r: put(system(r, "SignatureMethod"), Algorithm="http://www.w3.org/2000/09/xmldsig#rsa-sha1")),
    ("6", "hmac", lambda r: put(system(r, "SignatureMethod"), Algorithm="http://www.w3.org/2001/04/xmldsig-more#hmac-sha256")),
    ("6", "parameters_of_method", lambda r: child(system(r, "SignatureMethod"), "HMACOutputLength")),
    ("7", "second_reference", lambda r: r[2][0][0].append(etree.fromstring(etree.tostring(system(r, "Reference"))))),
    ("7", "no_reference", lambda r: r[2][0][0].remove(r[2][0][0][2])),
    ("8", "reference_to_content", lambda r: put(system(r, "Reference"), URI="#content")),
    ("8", "reference_outside", lambda r: put(system(r, "Reference"), URI="http://example.org/")),
    ("8", "no_uri", lambda r: system(r, "Reference").attrib.pop("URI")),
    ("9", "one_transform_less", lambda r: system(r, "Transforms").remove(system(r, "Transform"))),
    ("9", "xslt", lambda r: put(system(r, "Transform"), Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116")),
    ("9", "transforms_in_another_order", lambda r: system(r, "Transforms").append(system(r, "Transform"))),
    ("9", "foreign_parameter", lambda r: child(system(r, "Transforms")[1], "XPath")),
    ("10", "sha1_digest", lambda r: put(system(r, "DigestMethod"), Algorithm="http://www.w3.org/2000/09/xmldsig#sha1")),
    ("10", "short_digest", lambda r: text(system(r, "DigestValue"), "AAAA")),
    ("10", "digest_not_base64", lambda r: text(system(r, "DigestValue"), "%" * 44)),
    ("11", "key_value_beside", lambda r: child(system(r, "KeyInfo"), "KeyValue")),
    ("11", "key_name_alone", lambda r: put_tag(system(r, "X509Data"), "KeyName")),
    ("11", "retrieval_method", lambda r: child(system(r, "KeyInfo"), "RetrievalMethod")),
    ("11", "six_certificates", lambda r: [text(child(system(r, "X509Data"), "X509Certificate"), "AAAA") for _ in range(6)]),
    ("11", "no_certificate", lambda r: system(r, "X509Data").clear()),
    ("11", "issuer_serial_beside", lambda r: child(system(r, "X509Data"), "X509IssuerSerial")),
    ("11", "not_a_certificate", lambda r: text(system(r, "X509Certificate"), "AAAA")),
    ("11", "certificate_with_pem_lines", lambda r: text(system(r, "X509Certificate"), "-----BEGIN CERTIFICATE-----")),
    ("12", "key_of_another_kind", lambda r: put(system(r, "SignatureMethod"), Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256")),
    ("12", "key_of_another_curve", lambda r: put(system(r, "SignatureMethod"), Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384")),
    ("13", "short_value", lambda r: text(system(r, "SignatureValue"), "AAAA")),
    ("13", "value_without_padding", lambda r: text(system(r, "SignatureValue"), (system(r, "SignatureValue").text or "").rstrip("="))),
    ("15", "another_value", lambda r: text(system(r, "SignatureValue"), "A" * 86 + "==")),
    ("15", "another_digest", lambda r: text(system(r, "DigestValue"), "A" * 43 + "=")),
    ("16", "content_changed", lambda r: text(r[0][0][0], "2.0")),
    ("16", "element_added", lambda r: etree.SubElement(r[1][0], "Extra")),
    ("16", "white_space_added", lambda r: text(r[0], " ")),
]  # fmt: skip


@pytest.mark.parametrize(("number", "change"), [pytest.param(n, c, id=f"sig_{n}_{name}") for n, name, c in CHANGES])
def test_changed_envelope_is_refused_by_its_check(bench: Bench, number: str, change: Change) -> None:
    refusal = bench.refused(changed(bench.signed(), change))

    assert check_of(refusal) == number


PERSON_CHANGES: list[tuple[str, str, Change]] = [
    ("8", "covers_all", lambda r: put(person(r, "Reference"), URI="")),
    ("8", "by_pointer", lambda r: put(person(r, "Reference"), URI="#xpointer(id('content'))")),
    ("8", "covers_the_header", lambda r: [put(r[0], Id="header"), put(person(r, "Reference"), URI="#header")]),
    ("8", "content_without_id", lambda r: r[1][0].attrib.pop("Id")),
    ("9", "enveloped_too", lambda r: person(r, "Transforms").insert(0, child(person(r, "Transforms"), "Transform"))),
    ("16", "content_changed", lambda r: text(r[1][0][0][0], "x")),
    ("16", "id_renamed", lambda r: [put(r[1][0], Id="other"), put(person(r, "Reference"), URI="#other")]),
]  # fmt: skip


@pytest.mark.parametrize(("number", "change"), [pytest.param(n, c, id=f"sig_{n}_{name}") for n, name, c in PERSON_CHANGES])
def test_changed_person_signature_is_refused_by_its_check(bench: Bench, number: str, change: Change) -> None:
    payload = changed(bench.signed(bare=True), change)

    refusal = bench.refused(payload, people=People(unsigned("NSW")))

    assert check_of(refusal) in {number, "15"}  # 15: SignedInfo itself was changed too


def test_sig_2_missing_signature_is_named(bench: Bench) -> None:
    with pytest.raises(GatewayError) as refused:
        verifier.verify_system(verifier.find(parse(bench.envelope())), at=NOW, registered=lambda _: True)

    assert check_of(refused.value) == "2"


@pytest.mark.parametrize("name", ["", "1a", "a b", "a'b", "á"])
def test_sig_8_content_id_must_be_a_name(bench: Bench, name: str) -> None:
    payload = changed(bench.signed(bare=True), lambda r: [put(r[1][0], Id=name), put(person(r, "Reference"), URI=f"#{name}")])

    refusal = bench.refused(payload, people=People(unsigned("NSW")))

    assert check_of(refusal) == "8"


def test_sig_9_empty_prefix_list_is_refused(bench: Bench) -> None:
    exc = '<Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"'
    listed = f'{exc}><InclusiveNamespaces xmlns="http://www.w3.org/2001/10/xml-exc-c14n#" PrefixList=""/></Transform>'

    refusal = bench.refused(resigned(bench, f"{exc}/>", listed))

    assert check_of(refusal) == "9"


def test_sig_9_prefix_list_that_binds_nothing_is_taken(bench: Bench) -> None:
    exc = '<Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"'
    listed = f'{exc}><InclusiveNamespaces xmlns="http://www.w3.org/2001/10/xml-exc-c14n#" PrefixList="xs"/></Transform>'

    assert bench.prove(resigned(bench, f"{exc}/>", listed)).proof == "signature"


@pytest.mark.parametrize("bits", [1024, 2040])
def test_sig_12_short_rsa_key_is_refused(bench: Bench, bits: int) -> None:
    weak = rsa.generate_private_key(65537, bits)
    payload = changed(bench.signed(person=False, system=bench.rsa), lambda r: text(system(r, "X509Certificate"), der(weak)))

    assert check_of(bench.refused(payload)) == "12"


def test_sig_12_p521_key_is_refused(bench: Bench) -> None:
    large = ec.generate_private_key(ec.SECP521R1())
    payload = changed(bench.signed(person=False), lambda r: text(system(r, "X509Certificate"), der(large)))

    assert check_of(bench.refused(payload)) == "12"


def der(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return base64.b64encode(self_signed(key).der).decode()


@pytest.mark.parametrize("place", ["system", "person"])
def test_sig_14_prefix_in_values_must_be_listed(bench: Bench, place: str) -> None:
    envelope = bench.envelope().replace(b"<Content>", b'<Content xmlns:xs="urn:one"><Kind>xs:a</Kind>')
    good = signer.sign_system(envelope, bench.portal) if place == "system" else signer.sign_person(envelope, bench.person)

    refusal = bench.refused(good.replace(b' PrefixList="xs"', b' PrefixList="other"'), people=People(unsigned("NSW")))

    assert b'PrefixList="xs"' in good
    assert check_of(refusal) == "14"


def test_sig_14_listed_prefix_cannot_be_bound_anew(bench: Bench) -> None:
    envelope = bench.envelope().replace(b"<Content>", b'<Content xmlns:xs="urn:one"><Kind>xs:a</Kind>')
    payload = signer.sign_system(envelope, bench.portal)

    assert bench.prove(payload).proof == "signature"
    assert check_of(bench.refused(payload.replace(b"urn:one", b"urn:two"))) == "16"


def test_sig_17_expired_certificate_is_refused(bench: Bench) -> None:
    refusal = bench.refused(bench.signed(), at=NOW + timedelta(days=4000))

    assert check_of(refusal) == "17"


def test_sig_17_future_certificate_is_refused(bench: Bench) -> None:
    refusal = bench.refused(bench.signed(), at=NOW - timedelta(days=4))

    assert check_of(refusal) == "17"


def test_sig_18_unregistered_certificate_is_refused(bench: Bench) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    stranger = SigningKey(key, (self_signed(key),))

    refusal = bench.refused(bench.signed(person=False, system=stranger))

    assert check_of(refusal) == "18"


def test_sig_18_registered_name_with_another_key_is_refused(bench: Bench) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    twin = SigningKey(key, (self_signed(key), *bench.p384.certificates))

    refusal = bench.refused(bench.signed(person=False, system=twin))

    assert check_of(refusal) == "18"


def test_sig_18_person_without_an_anchor_is_refused(bench: Bench) -> None:
    payload = signer.sign_system(signer.sign_person(bench.envelope(), bench.relay), bench.portal)

    assert check_of(bench.refused(payload)) == "18"


def test_signature_with_ids_white_space_and_prefix_is_taken(bench: Bench) -> None:
    payload = resigned(bench, "<SignedInfo>", '<SignedInfo Id="s1">\n\t')

    assert bench.prove(payload).proof == "signature"


def test_verifying_leaves_the_document_as_it_was(bench: Bench) -> None:
    payload = resigned(bench, "<SignedInfo>", '<SignedInfo Id="s1">')
    root = parse(payload)
    before = etree.tostring(root)

    verifier.verify_system(verifier.find(root), at=NOW, registered=lambda _: True)

    assert etree.tostring(root) == before


def test_white_space_around_the_signature_is_covered(bench: Bench) -> None:
    spaced = bench.envelope().replace(b"</Envelope>", b"\n<SystemSignature>\n</SystemSignature>\n</Envelope>")
    payload = signer.sign_system(spaced, bench.portal)

    assert bench.prove(payload).proof == "signature"
    assert check_of(bench.refused(payload.replace(b"</SystemSignature>\n", b"</SystemSignature>"))) == "16"
