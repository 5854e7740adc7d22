"""Signs by XAdES in the two places of an envelope: B-B, and what makes B-T and B-LT of it. Exclusive C14N throughout."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from lxml.etree import _Element

from gateway.errors import Code, NotValid, Problem
from gateway.xml.canonical import canonical, digest, needed_prefixes
from gateway.xml.namespaces import DS, EXC_C14N, XADES132, XADES_PROPERTIES
from gateway.xml.parse import parse

from . import signer
from .certificates import Certificate
from .keys import SigningKey
from .policy import XMLENC, Place
from .signer import Extra, Qualify

_SHA256 = f"{XMLENC}sha256"
_QUALIFYING = f"{{{DS}}}Object/{{{XADES132}}}QualifyingProperties"


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What a signature may carry to be verified later: certificates, revocation lists and OCSP responses, each in DER."""

    certificates: Sequence[bytes] = ()
    crls: Sequence[bytes] = ()
    ocsps: Sequence[bytes] = ()


def qualifier(key: SigningKey, at: datetime) -> Qualify:
    """Make what the signer asks for an XAdES-B-B signature: signing time, signing certificate and the format of what is signed."""
    leaf = key.certificates[0]

    def qualify(name: str) -> Extra:
        properties = _properties(name, leaf, at)
        value = base64.b64encode(digest(properties.encode())).decode("ascii")
        inherited = properties.replace(f' xmlns="{XADES132}"', "", 1)
        return Extra(
            id=name,
            reference_id=f"{name}-reference",
            reference=(
                f'<Reference Type="{XADES_PROPERTIES}" URI="#{name}-properties"><Transforms><Transform Algorithm="{EXC_C14N}"></Transform>'
                f'</Transforms><DigestMethod Algorithm="{_SHA256}"></DigestMethod><DigestValue>{value}</DigestValue></Reference>'
            ),
            object=(f'<Object><QualifyingProperties xmlns="{XADES132}" Target="#{name}">{inherited}</QualifyingProperties></Object>'),
        )

    return qualify


def sign_system(envelope: bytes, key: SigningKey, *, at: datetime) -> bytes:
    """Sign an envelope as the system by XAdES-B-B; takes and raises what signer.sign_system does."""
    return signer.sign_system(envelope, key, qualify=qualifier(key, at))


def sign_person(envelope: bytes, key: SigningKey, *, at: datetime) -> bytes:
    """Sign an envelope's Content as a person by XAdES-B-B; takes and raises what signer.sign_person does."""
    return signer.sign_person(envelope, key, qualify=qualifier(key, at))


def sign_enveloped(document: bytes, key: SigningKey, *, at: datetime) -> bytes:
    """Sign any XML document as a whole by XAdES-B-B; takes and raises what signer.sign_enveloped does."""
    return signer.sign_enveloped(document, key, qualify=qualifier(key, at))


def to_be_stamped(envelope: bytes, place: Place) -> bytes:
    """Give what a time-stamp of a place's signature covers: its SignatureValue in canonical form. Raises NotValid where none is there."""
    return stamped_part(_signature_in(parse(envelope), place))


def stamped_part(signature: _Element) -> bytes:
    """Give the canonical bytes of a signature's SignatureValue."""
    value = signature.find(f"{{{DS}}}SignatureValue")
    return b"" if value is None else canonical(value)


def extend(envelope: bytes, place: Place, *, token: bytes, validation: Validation | None = None) -> bytes:
    """Add a time-stamp token, and with `validation` what verifies the signature later: B-B becomes B-T or B-LT, in canonical form.

    A person's signature is extended before the system signs, which signs it as it then is. Raises NotValid where the place holds no
    XAdES signature, or one that was extended already.
    """
    root = parse(envelope)
    qualifying = _signature_in(root, place).find(_QUALIFYING)
    if qualifying is None or len(qualifying) != 1:
        raise NotValid(Code.SIGNATURE, Problem(text="signature.not-extendable", path=place.path))
    qualifying.append(parse(_unsigned(token, validation)))
    return canonical(root, prefixes=needed_prefixes(root))


def _signature_in(root: _Element, place: Place) -> _Element:
    found = root.find(f"{place.path.removeprefix('/Envelope/')}/{{{DS}}}Signature")
    if found is None:
        raise NotValid(Code.SIGNATURE, Problem(text="signature.not-extendable", path=place.path))
    return found


def _properties(name: str, leaf: Certificate, at: datetime) -> str:
    """Write SignedProperties in canonical form."""
    time = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    hashed = base64.b64encode(digest(leaf.der)).decode("ascii")
    return (
        f'<SignedProperties xmlns="{XADES132}" Id="{name}-properties"><SignedSignatureProperties><SigningTime>{time}</SigningTime>'
        f'<SigningCertificateV2><Cert><CertDigest><DigestMethod xmlns="{DS}" Algorithm="{_SHA256}"></DigestMethod>'
        f'<DigestValue xmlns="{DS}">{hashed}</DigestValue></CertDigest></Cert></SigningCertificateV2></SignedSignatureProperties>'
        f'<SignedDataObjectProperties><DataObjectFormat ObjectReference="#{name}-reference"><MimeType>text/xml</MimeType>'
        "</DataObjectFormat></SignedDataObjectProperties></SignedProperties>"
    )


def _unsigned(token: bytes, validation: Validation | None) -> bytes:
    """Write UnsignedProperties in the order of ETSI EN 319 132-1."""
    stamp = (
        f'<SignatureTimeStamp><CanonicalizationMethod xmlns="{DS}" Algorithm="{EXC_C14N}"/>{_encapsulated("TimeStamp", token)}'
        "</SignatureTimeStamp>"
    )
    values = _validation(validation) if validation else ""
    inner = f"<UnsignedSignatureProperties>{stamp}{values}</UnsignedSignatureProperties>"
    return f'<UnsignedProperties xmlns="{XADES132}">{inner}</UnsignedProperties>'.encode()


def _validation(values: Validation) -> str:
    certificates = "".join(_encapsulated("X509Certificate", der) for der in values.certificates)
    crls = "".join(_encapsulated("CRLValue", der) for der in values.crls)
    ocsps = "".join(_encapsulated("OCSPValue", der) for der in values.ocsps)
    revocation = (f"<CRLValues>{crls}</CRLValues>" if crls else "") + (f"<OCSPValues>{ocsps}</OCSPValues>" if ocsps else "")
    return (f"<CertificateValues>{certificates}</CertificateValues>" if certificates else "") + (
        f"<RevocationValues>{revocation}</RevocationValues>" if revocation else ""
    )


def _encapsulated(kind: str, der: bytes) -> str:
    return f"<Encapsulated{kind}>{base64.b64encode(der).decode('ascii')}</Encapsulated{kind}>"
