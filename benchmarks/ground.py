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
from gateway.xml.envelope import make_signed_view
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
    """One signature as the bare calls need it: `info` as an element and as its canonical bytes."""

    info: etree._Element
    written: bytes
    covered: etree._Element
    value: bytes
    key: rsa.RSAPublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """The bare calls into libxml2 and OpenSSL that one message cannot do without; nothing is checked, decided or kept."""

    soap: bytes
    document: bytes
    parser: etree.XMLParser
    schema: etree.XMLSchema
    view: etree._Element
    signatures: Sequence[Signed]
    reply: etree._Element
    own: rsa.RSAPrivateKey

    def parse(self) -> None:
        """Parse the wrapper and the document."""
        etree.fromstring(self.soap, self.parser)
        etree.fromstring(self.document, self.parser)

    def validate(self) -> None:
        """Validate the document."""
        if not self.schema.validate(self.view):
            raise ValueError(self.schema.error_log)

    def verify(self) -> None:
        """Write canonically and digest what each signature covers and verify its value; with two signatures, each SignedInfo too."""
        for signed in self.signatures:
            hashlib.sha256(c14n(signed.covered)).digest()
            if len(self.signatures) > 1:
                c14n(signed.info)
            signed.key.verify(signed.value, signed.written, PADDING, SHA256)

    def sign(self) -> None:
        """Write the reply canonically, digest it, and sign."""
        self.own.sign(hashlib.sha256(c14n(self.reply)).digest(), PADDING, SHA256)

    def deliver(self) -> None:
        """Write the document canonically, digest it, and sign: what a delivery takes."""
        self.own.sign(hashlib.sha256(c14n(self.view)).digest(), PADDING, SHA256)

    def unsigned(self) -> None:
        """All that an unsigned reply takes."""
        self.parse()
        self.validate()
        self.verify()

    def signed(self) -> None:
        """All that a signed reply takes."""
        self.unsigned()
        self.sign()


def floor_of(pki: Path, document: bytes, reply: bytes) -> Floor:
    """Prepare the bare calls on one message and one reply."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    root, view = (etree.fromstring(document, parser) for _ in range(2))
    make_signed_view(view, ("optional", "optional"))
    own = load_pem_private_key((pki / "keys" / "NSW.key.pem").read_bytes(), None)
    if not isinstance(own, rsa.RSAPrivateKey):
        raise TypeError("an RSA key is what this floor is about")
    return Floor(
        soap=builders.soap(document, client="saaj"),
        document=document,
        parser=parser,
        schema=etree.XMLSchema(file=str(shipped("xsd") / SCHEMA_FILE)),
        view=view,
        signatures=[_signed(s, root) for s in root.iter(f"{DS}Signature")],
        reply=etree.fromstring(reply, parser),
        own=own,
    )


def _signed(signature: etree._Element, root: etree._Element) -> Signed:
    info = signature.find(f"{DS}SignedInfo")
    if info is None:
        raise ValueError("no SignedInfo")
    whole = info.find(f"{DS}Reference[@URI='']") is not None
    key = load_der_x509_certificate(base64.b64decode(signature.findtext(f".//{DS}X509Certificate") or "")).public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise TypeError("an RSA key is what this floor is about")
    covered = root if whole else root.find("Body/Content")
    value = base64.b64decode(signature.findtext(f"{DS}SignatureValue") or "")
    return Signed(info=info, written=c14n(info), covered=root if covered is None else covered, value=value, key=key)


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
