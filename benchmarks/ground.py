"""What the benchmarks share: parts of a gateway on RSA-2048 keys, signed 12 KB messages, and the floor they are held against."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import thread_time
from uuid import uuid4

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_der_x509_certificate
from lxml import etree

from gateway.security.devpki import NewKey, generate, rsa2048
from gateway.security.signer import sign_system
from gateway.testing import builders
from gateway.testing.applicant import party_key, signed_application
from gateway.testing.contents import Consignment
from gateway.xml.shipped import shipped

DS = "{http://www.w3.org/2000/09/xmldsig#}"
SCHEMA_FILE = "vnsw/1.0/BNNPTNT0300002/application.xsd"
GOODS = builders.TWELVE_KB.goods
PARTIES = ("NSW", "BNN", "TCHQ", "IPPC")
PADDING, SHA256 = padding.PKCS1v15(), hashes.SHA256()


def make_pki(home: Path, *, own: NewKey = rsa2048) -> Path:
    """Make a development PKI on RSA-2048 keys, the gateway's own of the kind asked for."""
    generate(home / "pki", now=datetime.now(UTC), parties=(), new_key=own)
    generate(home / "pki", now=datetime.now(UTC), parties=PARTIES, new_key=rsa2048)
    return home / "pki"


def application(pki: Path, number: int, *, person: bool) -> bytes:
    """Write a signed 12 KB application with an id of its own; `person` adds the declarant's signature to the portal's."""
    about = Consignment(number=number, goods=GOODS)
    if person:
        return signed_application(pki, about, sent_at=datetime.now(UTC), message_id=str(uuid4()))
    unsigned = builders.message("10/01", about).replace(builders.message_id("10/01", about).encode(), str(uuid4()).encode())
    return sign_system(unsigned, party_key(pki))


def c14n(element: etree._Element) -> bytes:
    """Write an element under exclusive C14N: the bare call."""
    return etree.tostring(element, method="c14n", exclusive=True, with_comments=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What the bare calls need of one signature: the canonical bytes of SignedInfo, the digest in it, the value and the key."""

    info: bytes
    digest: bytes
    value: bytes
    key: rsa.RSAPublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Bare:
    """One message as the bare calls need it; the portal's signature comes first, the declarant's second where there is one."""

    soap: bytes
    document: bytes
    signatures: Sequence[Signed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """The bare calls into libxml2 and OpenSSL that one message cannot do without; nothing is decided or kept.

    They are made on the very messages that the gateway gets, each opened anew.
    """

    parser: etree.XMLParser
    schema: etree.XMLSchema
    reply: etree._Element
    own: rsa.RSAPrivateKey

    def unsigned(self, message: Bare) -> etree._Element:
        """All that an unsigned reply takes; gives the document without its signatures. Raises where the message is not good."""
        etree.fromstring(message.soap, self.parser)
        root = etree.fromstring(message.document, self.parser)
        body, slot = root[1], root[-1]
        if len(message.signatures) > 1:
            c14n(slot[0][0])
            c14n(body[1][0][0])
        for signed, place, covered in zip(message.signatures, (slot, body[-1]), (root, body[0]), strict=False):
            del place[:]
            if hashlib.sha256(c14n(covered)).digest() != signed.digest:
                raise ValueError("digest")
            signed.key.verify(signed.value, signed.info, PADDING, SHA256)
        body[0].attrib.clear()
        if not self.schema.validate(root):
            raise ValueError(self.schema.error_log)
        return root

    def signed(self, message: Bare) -> etree._Element:
        """All that a signed reply takes."""
        root = self.unsigned(message)
        self.sign(self.reply)
        return root

    def sign(self, element: etree._Element) -> None:
        """Write an element canonically, digest it, and sign."""
        self.own.sign(hashlib.sha256(c14n(element)).digest(), PADDING, SHA256)

    def carried(self, message: Bare) -> etree._Element:
        """All that a signed reply and a signed delivery take."""
        root = self.signed(message)
        self.sign(root)
        return root


def floor_of(pki: Path, reply: bytes) -> Floor:
    """Prepare the bare calls; `reply` is what they sign as an answer."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    own = load_pem_private_key((pki / "keys" / "NSW.key.pem").read_bytes(), None)
    if not isinstance(own, rsa.RSAPrivateKey):
        raise TypeError("an RSA key is what this floor is about")
    schema = etree.XMLSchema(file=str(shipped("xsd") / SCHEMA_FILE))
    return Floor(parser=parser, schema=schema, reply=etree.fromstring(reply, parser), own=own)


def bare(document: bytes) -> Bare:
    """Prepare a signed document for the bare calls."""
    root = etree.fromstring(document)
    signatures = [_signed(s) for s in reversed(list(root.iter(f"{DS}Signature")))]
    return Bare(soap=builders.soap(document, client="saaj"), document=document, signatures=signatures)


def _signed(signature: etree._Element) -> Signed:
    key = load_der_x509_certificate(base64.b64decode(signature.findtext(f".//{DS}X509Certificate") or "")).public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise TypeError("an RSA key is what this floor is about")
    digest, value = (base64.b64decode(signature.findtext(f".//{DS}{name}") or "") for name in ("DigestValue", "SignatureValue"))
    return Signed(info=c14n(signature[0]), digest=digest, value=value, key=key)


def cpu(work: Callable[[], object], times: int = 1) -> float:
    """Time work in seconds of this thread's CPU, each."""
    started = thread_time()
    for _ in range(times):
        work()
    return (thread_time() - started) / times


def target(name: str, value: float, bound: float, *, at_least: bool) -> dict[str, object]:
    """Hold a figure to its bound."""
    return {
        "name": name,
        "value": round(value, 3),
        "bound": bound,
        "at_least": at_least,
        "ok": value >= bound if at_least else value <= bound,
    }
