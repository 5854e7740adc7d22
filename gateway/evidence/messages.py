"""What was exchanged, read without knowing whose dialect it is in: the envelope inside, the certificates with it, and who signed it."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from lxml.etree import _Element

from gateway.errors import GatewayError
from gateway.model import Header
from gateway.security import beside, certificates, cms, verifier, wss
from gateway.security.certificates import Certificate
from gateway.security.properties import ReadStamp
from gateway.security.verifier import Terms
from gateway.xml import soap
from gateway.xml.envelope import read_header
from gateway.xml.namespaces import DS, WSSE
from gateway.xml.parse import parse
from gateway.xml.receipts import ENVELOPE, envelopes

MAX_CERTIFICATES = 32  # in one message; a document of a consortium had 9
_HOLDERS = (f"{{{DS}}}X509Certificate", f"{{{WSSE}}}BinarySecurityToken")

Registered = Callable[[Certificate], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message taken apart, verified by nothing: the envelope in it, the SOAP around that, a signature beside both; each may be empty."""

    envelope: bytes
    soap: bytes
    signature: bytes
    whole: bytes

    @property
    def header(self) -> Header | None:
        """Read the envelope's header; None where there is none."""
        try:
            return read_header(parse(self.envelope), zone=UTC) if self.envelope else None
        except GatewayError:
            return None


def open_message(data: bytes) -> Message:
    """Take a message apart; whatever cannot be read is empty, so nothing is raised."""
    parted = beside.read(data)
    whole, signature = parted or (data, b"")
    try:
        root = parse(whole)
        if root.tag == ENVELOPE:
            return Message(envelope=whole, soap=b"", signature=signature, whole=whole)
        body = soap.unwrap(whole)
        return Message(envelope=next(envelopes(body.child), b""), soap=whole if body.secured else b"", signature=signature, whole=whole)
    except GatewayError:
        return Message(envelope=b"", soap=b"", signature=signature, whole=whole)


def prove(message: Message, *, at: datetime, registered: Registered, read_stamp: ReadStamp | None = None) -> tuple[Certificate, ...]:
    """Verify what is signed of a message at a moment; gives who signed, nobody where it is unsigned. Raises NotProven, NotReadable."""
    signers: list[Certificate] = []
    found = verifier.find(parse(message.envelope)) if message.envelope else None
    if found is not None and found.system is not None:
        terms = Terms(read_stamp=read_stamp)
        signers.append(verifier.verify_system(found, at=at, registered=registered, terms=terms).certificate)
    if message.soap and wss.is_demanded(message.soap):
        signers.append(wss.verify(message.soap, at=at, registered=registered).certificate)
    if message.signature:
        signers.append(cms.verify(message.whole, message.signature, at=at, registered=registered).certificate)
    return tuple(signers)


def certificates_in(message: Message) -> tuple[Certificate, ...]:
    """Give every certificate that came with a message's signatures, those of its sender before those of persons inside."""
    found = [*_detached(message.signature), *_attached(message.soap), *_attached(message.envelope)]
    return tuple(dict.fromkeys(found))[:MAX_CERTIFICATES]


def signer_of(message: Message) -> Certificate | None:
    """Give the certificate under which a message says that it is signed, verified by nothing; None where it is unsigned."""
    return (
        next(_attached(message.envelope, "SystemSignature"), None)
        or next(_attached(message.soap), None)
        or _detached_signer(message.signature)
    )


def _attached(document: bytes, path: str = ".") -> Iterator[Certificate]:
    try:
        elements = parse(document).findall(path) if document else []
    except GatewayError:
        return
    for element in elements:
        yield from _held(element)


def _held(element: _Element) -> Iterator[Certificate]:
    for holder in islice(element.iter(*_HOLDERS), MAX_CERTIFICATES):
        with suppress(ValueError):
            yield certificates.read_base64((holder.text or "").encode())


def _detached(signature: bytes) -> tuple[Certificate, ...]:
    try:
        return cms.read_detached(signature).certificates if signature else ()
    except (GatewayError, ValueError):
        return ()


def _detached_signer(signature: bytes) -> Certificate | None:
    try:
        signed = cms.read_detached(signature) if signature else None
        return cms.signer_of(signed, signed.certificates)[0] if signed else None
    except (GatewayError, ValueError):
        return None
