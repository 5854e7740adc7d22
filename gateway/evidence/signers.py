"""Who signed a document, as people ask for it: name, organisation, contact, time; read from certificates that were verified at the door."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID
from lxml.etree import _Element

from gateway.errors import GatewayError
from gateway.security import certificates
from gateway.security.certificates import Certificate
from gateway.xml.namespaces import DS, XADES132
from gateway.xml.parse import parse

from .messages import certificates_in, open_message
from .record import SignerPart

_MAX_TEXT = 400
_CONTACTS = (NameOID.EMAIL_ADDRESS, NameOID.STREET_ADDRESS, NameOID.LOCALITY_NAME, NameOID.STATE_OR_PROVINCE_NAME)


def own_certificates(pki: Path) -> tuple[Certificate, ...]:
    """Give the certificates that the gateway signs with and signed with, as far as they can be read: they stand beside its key."""
    return tuple(certificate for path in sorted(pki.glob("gateway*.cert.pem")) for certificate in _read(path))


def signers_in(document: bytes, around: bytes, verified: Sequence[Mapping[str, Any]]) -> tuple[list[SignerPart], frozenset[Certificate]]:
    """Tell who signed a document, or the request around it, among those whose signatures were verified when it came.

    Gives every certificate in both too.
    """
    try:
        signatures = list(parse(document).iter(f"{{{DS}}}Signature")) if document else []
    except GatewayError:
        signatures = []
    found = [(list(_certificates(signature)), _time(signature)) for signature in signatures]
    outside = certificates_in(open_message(around))
    by_digest = {c.sha256: (c, None) for c in outside} | {chain[0].sha256: (chain[0], time) for chain, time in found if chain}
    signers = [_signer(each, *by_digest[each["certificate_sha256"]]) for each in verified if each["certificate_sha256"] in by_digest]
    return signers, frozenset((*outside, *(certificate for chain, _ in found for certificate in chain)))


def _read(path: Path) -> tuple[Certificate, ...]:
    try:
        return certificates.read_pem(path.read_bytes())
    except (OSError, ValueError):
        return ()


def _certificates(signature: _Element) -> Iterator[Certificate]:
    for element in signature.iter(f"{{{DS}}}X509Certificate"):
        try:
            yield certificates.read_base64((element.text or "").encode())
        except ValueError:
            continue


def _time(signature: _Element) -> datetime | None:
    """Give the time that a signature states; None where it states none with a zone."""
    text = next((element.text or "" for element in signature.iter(f"{{{XADES132}}}SigningTime")), "")
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return found if found.tzinfo else None


def _signer(verified: Mapping[str, Any], certificate: Certificate, signed_at: datetime | None) -> SignerPart:
    subject = certificate.x509.subject
    return SignerPart(
        role=verified["role"],
        name=_first(subject, (NameOID.COMMON_NAME,)) or certificate.subject[:_MAX_TEXT],
        organization=_first(subject, (NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME)),
        tax_code=verified["tax_code"] or "",
        contact=", ".join(dict.fromkeys((*_mails(certificate.x509), *_all(subject, _CONTACTS))))[:_MAX_TEXT],
        certificate=certificate.sha256,
        issuer=certificate.x509.issuer.rfc4514_string()[:_MAX_TEXT],
        signed_at=signed_at,
    )


def _first(name: x509.Name, kinds: Iterable[x509.ObjectIdentifier]) -> str:
    return next(iter(_all(name, kinds)), "")[:_MAX_TEXT]


def _all(name: x509.Name, kinds: Iterable[x509.ObjectIdentifier]) -> list[str]:
    return [str(attribute.value) for kind in kinds for attribute in name.get_attributes_for_oid(kind)]


def _mails(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, *certificates.BAD_EXTENSIONS):
        return []
    return names.get_values_for_type(x509.RFC822Name)
