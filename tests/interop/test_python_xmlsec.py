"""python-xmlsec (libxmlsec1 in process): it verifies what we sign, and we prove what it signs."""

import pytest
import xmlsec
from cryptography.hazmat.primitives import serialization
from lxml import etree

from gateway.security.keys import SigningKey
from gateway.testing.signing import Bench, private_pem_of

KINDS = ["portal", "rsa", "p384"]
PEM = serialization.Encoding.PEM
METHODS = {
    "portal": xmlsec.constants.TransformEcdsaSha256,
    "rsa": xmlsec.constants.TransformRsaSha256,
    "p384": xmlsec.constants.TransformEcdsaSha384,
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_verifies_our_system_signature(bench: Bench, kind: str) -> None:
    key: SigningKey = getattr(bench, kind)
    root = etree.fromstring(bench.signed(system=key))
    node = root.find("SystemSignature")
    assert node is not None
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(key.certificates[0].x509.public_bytes(PEM), xmlsec.constants.KeyDataFormatCertPem)

    context.verify(node[0])


def test_it_verifies_our_person_signature(bench: Bench) -> None:
    root = etree.fromstring(bench.signed())
    xmlsec.tree.add_ids(root, ["Id"])
    node = root.find("Body/Signature")
    assert node is not None
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(bench.person.certificates[0].x509.public_bytes(PEM), xmlsec.constants.KeyDataFormatCertPem)

    context.verify(node[0])


@pytest.mark.parametrize("kind", KINDS)
def test_we_prove_what_it_signs(bench: Bench, kind: str) -> None:
    key: SigningKey = getattr(bench, kind)
    root = etree.fromstring(bench.envelope())
    slot = etree.SubElement(root, "SystemSignature")
    node = xmlsec.template.create(root, xmlsec.constants.TransformExclC14N, METHODS[kind], ns="ds")
    slot.append(node)
    reference = xmlsec.template.add_reference(node, xmlsec.constants.TransformSha256, uri="")
    xmlsec.template.add_transform(reference, xmlsec.constants.TransformEnveloped)
    xmlsec.template.add_transform(reference, xmlsec.constants.TransformExclC14N)
    xmlsec.template.add_x509_data(xmlsec.template.ensure_key_info(node))
    context = xmlsec.SignatureContext()
    private = private_pem_of(key)
    context.key = xmlsec.Key.from_memory(private, xmlsec.constants.KeyDataFormatPem)
    context.key.load_cert_from_memory(key.certificates[0].x509.public_bytes(PEM), xmlsec.constants.KeyDataFormatPem)

    context.sign(node)

    assert bench.prove(etree.tostring(root)).proof == "signature"
