"""What a foreign XAdES signature claims of its certificate, judged whatever else its properties hold (SIG-27, SIG-29)."""

import hashlib
from collections.abc import Collection

from lxml.etree import _Element

from gateway.xml.namespaces import DS, XADES132

from . import foreign
from .certificates import Certificate
from .policy import PERMISSIVE
from .properties import issuer_serial
from .refusal import refusal

_SIGNED = f"{{{DS}}}Object/{{{XADES132}}}QualifyingProperties/{{{XADES132}}}SignedProperties"
_NAMED = tuple(f"{{{XADES132}}}SignedSignatureProperties/{{{XADES132}}}{name}" for name in ("SigningCertificateV2", "SigningCertificate"))


def properties_of(signature: _Element) -> _Element | None:
    """Give the signed properties of a signature, None where it has none."""
    return signature.find(_SIGNED)


def check_covered(properties: _Element, covers: Collection[str]) -> None:
    """Refuse properties that no reference of the signature covers."""
    # (27) the properties are signed
    if properties.getroottree().getpath(properties) not in covers:
        raise refusal(27, "properties-digest", properties)


def check_certificate(properties: _Element, leaf: Certificate) -> None:
    """Refuse properties that name another certificate than the one that signed; what names none is left alone."""
    named = [cert for path in _NAMED for holder in properties.iterfind(path) for cert in list(holder)[:1]]
    # (29) each signing certificate that is named first is the signer's, by digest and, where stated, by issuer and serial number
    if not all(_is(cert, leaf) for cert in named):
        raise refusal(29, "signing-certificate", properties, subject=leaf.subject)


def _is(cert: _Element, leaf: Certificate) -> bool:
    method = cert.find(f"{{{XADES132}}}CertDigest/{{{DS}}}DigestMethod")
    value = cert.find(f"{{{XADES132}}}CertDigest/{{{DS}}}DigestValue")
    name = "" if method is None else PERMISSIVE.digests.get(method.get("Algorithm", ""), "")
    if not name or value is None:
        return False
    serial = cert.findtext(f"{{{XADES132}}}IssuerSerial/{{{DS}}}X509SerialNumber", "").strip()
    issuer = cert.find(f"{{{XADES132}}}IssuerSerialV2")
    same = foreign.decode(value, 29, "signing-certificate-unreadable") == hashlib.new(name, leaf.der, usedforsecurity=False).digest()
    stated = issuer is None or foreign.decode(issuer, 29, "signing-certificate-unreadable") == issuer_serial(leaf)
    return same and stated and serial in ("", str(leaf.x509.serial_number))
