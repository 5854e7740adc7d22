"""A second opinion on a foreign signature: signxml must come to the same result before the gateway calls it valid."""

from datetime import datetime
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from lxml import etree
from lxml.etree import _Element
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod
from signxml.exceptions import SignXMLException
from signxml.verifier import SignatureConfiguration, XMLVerifier

from gateway.xml.parse import parse

from .certificates import Certificate
from .policy import GATEWAY
from .refusal import refusal
from .shape import SIGNATURE


class _Chosen(XMLVerifier):
    """signxml, but it takes the signature that is meant, and writes Vietnamese names and inclusive C14N rightly."""

    def __init__(self, index: int, id_names: tuple[str, ...]) -> None:
        super().__init__()
        self._index = index
        self.id_attributes = (*XMLVerifier.id_attributes, *id_names)

    def _get_signature(self, root: _Element) -> Any:
        return list(root.iter(SIGNATURE))[self._index]

    def _tostring(self, xml_node: _Element, **settings: Any) -> Any:
        return etree.tostring(xml_node, encoding="utf-8", **settings)  # names may be Vietnamese; ASCII cannot write them

    def _c14n(self, nodes: _Element, algorithm: CanonicalizationMethod, inclusive_ns_prefixes: Any = None) -> Any:
        alone = parse(self._tostring(nodes, with_tail=False))  # lxml's inclusive form is wrong for an element inside a tree
        return super()._c14n(alone, algorithm, inclusive_ns_prefixes)


def confirm(root: _Element, index: int, certificate: Certificate, *, at: datetime, id_names: tuple[str, ...]) -> None:
    """Have signxml verify the signature with this index in document order under the key already judged; raises NotProven (SIG-25)."""
    config = SignatureConfiguration(
        expect_references=True,
        signature_methods=frozenset(SignatureMethod(uri) for uri in GATEWAY.methods),
        digest_algorithms=frozenset(DigestAlgorithm(uri) for uri in GATEWAY.digests),
        ignore_ambiguous_key_info=True,  # the key is the certificate's, whatever else KeyInfo holds
        verification_time=at,
    )
    # (25) a second implementation agrees
    try:
        _Chosen(index, id_names).verify(root, x509_cert=certificate.x509, expect_config=config)
    except (SignXMLException, ValueError, TypeError, AttributeError, UnsupportedAlgorithm, etree.LxmlError) as error:
        raise refusal(25, "not-confirmed", list(root.iter(SIGNATURE))[index], fault=type(error).__name__) from error
