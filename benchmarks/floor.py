"""What a message must cost at least: the bare calls into libxml2 and OpenSSL, without a gateway around them."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from time import thread_time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from lxml import etree

DS = "{http://www.w3.org/2000/09/xmldsig#}"
PARSER = {"resolve_entities": False, "no_network": True, "load_dtd": False, "huge_tree": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The bare calls on one message; each gives nothing."""

    wrapper: bytes
    document: bytes
    schema: etree.XMLSchema
    view: etree._Element  # what the schema judges
    signed_infos: tuple[etree._Element, ...]
    contents: tuple[etree._Element, ...]  # what each signature covers
    values: tuple[bytes, ...]
    keys: tuple[rsa.RSAPublicKey, ...]
    own: rsa.RSAPrivateKey
    reply: etree._Element

    def parse(self) -> None:
        """Parse the wrapper and the document."""
        parser = etree.XMLParser(**PARSER)  # type: ignore[arg-type]
        etree.fromstring(self.wrapper, parser)
        etree.fromstring(self.document, parser)

    def validate(self) -> None:
        """Validate by the compiled schema."""
        if not self.schema.validate(self.view):
            raise ValueError(self.schema.error_log)

    def digest(self) -> None:
        """Write canonically and digest what each signature covers, and its SignedInfo beyond the first."""
        for element in self.contents:
            hashlib.sha256(etree.tostring(element, method="c14n", exclusive=True, with_comments=False)).digest()
        for info in self.signed_infos[1:]:
            etree.tostring(info, method="c14n", exclusive=True, with_comments=False)

    def verify(self) -> None:
        """Verify each signature's value."""
        for key, value, info in zip(self.keys, self.values, self._infos, strict=True):
            key.verify(value, info, padding.PKCS1v15(), hashes.SHA256())

    @property
    def _infos(self) -> tuple[bytes, ...]:
        return tuple(etree.tostring(i, method="c14n", exclusive=True, with_comments=False) for i in self.signed_infos)

    def sign(self) -> None:
        """Write the reply canonically, digest it and sign."""
        hashlib.sha256(etree.tostring(self.reply, method="c14n", exclusive=True, with_comments=False)).digest()
        self.own.sign(b"x" * 512, padding.PKCS1v15(), hashes.SHA256())


def seconds(work: Callable[[], object], times: int) -> float:
    """Time one call in seconds of this thread's CPU, over so many."""
    started = thread_time()
    for _ in range(times):
        work()
    return (thread_time() - started) / times


def signature_value(signature: etree._Element) -> bytes:
    """Read a signature's value."""
    return base64.b64decode(signature.findtext(f"{DS}SignatureValue") or "")
