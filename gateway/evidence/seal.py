"""The seal of a container: one XAdES-B-B signature over all its files, detached, as ASiC-E has it (ETSI EN 319 162-1, 4.3.3.2).

It has one form: what was read of a signature is written again and must give the same bytes, so that nothing can stand in it unread.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.errors import Code, GatewayError, NotReadable, Problem
from gateway.security import certificates
from gateway.security.certificates import Certificate, strict_base64
from gateway.security.keys import SigningKey, verify_value
from gateway.security.policy import GATEWAY, MAX_CERTIFICATES, XMLENC
from gateway.xml.namespaces import DS, EXC_C14N, XADES132, XADES_PROPERTIES
from gateway.xml.parse import parse

PLACE = "META-INF/signatures001.xml"
MANIFEST = "META-INF/manifest.xml"

_ASIC = "http://uri.etsi.org/02918/v1.2.1#"
_ODF = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
_SHA256 = f'<DigestMethod Algorithm="{XMLENC}sha256"></DigestMethod>'
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_DS, _XADES = f"{{{DS}}}", f"{{{XADES132}}}"
_TYPES = {
    "xml": "text/xml", "json": "application/json", "html": "text/html", "pdf": "application/pdf", "txt": "text/plain",
    "cer": "application/pkix-cert", "crl": "application/pkix-crl", "ors": "application/ocsp-response", "tst": "application/timestamp-reply",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """A seal as written, verified by nothing: when it says it was made, the SHA-256 of every file, the signer's chain, and the value."""

    at: datetime
    digests: Mapping[str, bytes]
    chain: tuple[Certificate, ...]
    method: str
    value: bytes


def seal(digests: Mapping[str, bytes], key: SigningKey, *, at: datetime) -> bytes:
    """Sign files by their names and SHA-256; gives what stands at PLACE. `at` counts to the second."""
    bare = Seal(at=at, digests=digests, chain=key.certificates, method=key.algorithm, value=b"")
    value = key.sign(_signed_info(bare).encode())
    return _written(Seal(at=at, digests=digests, chain=key.certificates, method=key.algorithm, value=value))


def read_seal(data: bytes) -> Seal:
    """Read what seal() wrote; raises NotReadable for anything else."""
    try:
        found = _read(data)
    except (GatewayError, ValueError, TypeError, LookupError) as error:
        raise _unreadable() from error
    if _written(found) != data:
        raise _unreadable()
    return found


def holds(found: Seal) -> bool:
    """Say whether a seal's value is right under its first certificate's key, by an algorithm that the gateway accepts."""
    method = GATEWAY.methods.get(found.method)
    return method is not None and verify_value(found.chain[0].key, method, found.value, _signed_info(found).encode())


def manifest(names: Iterable[str]) -> bytes:
    """Write the manifest that ASiC-E takes over from OpenDocument: every file with its media type."""
    entries = (("/", "application/vnd.etsi.asic-e+zip"), *((name, media_type(name)) for name in names))
    lines = (f'<m:file-entry m:full-path="{name}" m:media-type="{kind}"></m:file-entry>' for name, kind in entries)
    return f'<m:manifest xmlns:m="{_ODF}" m:version="1.2">{"".join(lines)}</m:manifest>'.encode()


def media_type(name: str) -> str:
    """Give a file's media type by how its name ends."""
    return _TYPES.get(name.rpartition(".")[2], "application/octet-stream")


def _read(data: bytes) -> Seal:
    signature = parse(data)[0]
    digests = {
        r.get("URI", ""): strict_base64(r.findtext(f"{_DS}DigestValue", "").encode())
        for r in signature.findall(f"{_DS}SignedInfo/{_DS}Reference")[:-1]
    }
    chain = [
        certificates.read_base64((c.text or "").encode()) for c in signature.findall(f"{_DS}KeyInfo/{_DS}X509Data/{_DS}X509Certificate")
    ]
    if not 1 <= len(chain) <= MAX_CERTIFICATES:
        raise ValueError("certificates")
    method = signature.find(f"{_DS}SignedInfo/{_DS}SignatureMethod")
    at = next((str(e.text) for e in signature.iter(f"{_XADES}SigningTime")), "")
    return Seal(
        at=datetime.strptime(at, _TIME).replace(tzinfo=UTC),
        digests=digests,
        chain=tuple(chain),
        method="" if method is None else method.get("Algorithm", ""),
        value=strict_base64(signature.findtext(f"{_DS}SignatureValue", "").encode()),
    )


def _written(found: Seal) -> bytes:
    chain = "".join(f"<X509Certificate>{_base64(c.der)}</X509Certificate>" for c in found.chain)
    properties = _properties(found).replace(f' xmlns="{XADES132}"', "", 1)
    signed = _signed_info(found).replace(f' xmlns="{DS}"', "", 1)
    return (
        f'<asic:XAdESSignatures xmlns:asic="{_ASIC}"><Signature xmlns="{DS}" Id="seal">{signed}'
        f"<SignatureValue>{_base64(found.value)}</SignatureValue><KeyInfo><X509Data>{chain}</X509Data></KeyInfo>"
        f'<Object><QualifyingProperties xmlns="{XADES132}" Target="#seal">'
        f"{properties}</QualifyingProperties></Object></Signature></asic:XAdESSignatures>"
    ).encode()


def _signed_info(found: Seal) -> str:
    """Write SignedInfo in canonical form."""
    references = "".join(
        f'<Reference Id="file-{n}" URI="{name}">{_SHA256}<DigestValue>{_base64(value)}</DigestValue></Reference>'
        for n, (name, value) in enumerate(found.digests.items(), start=1)
    )
    properties = _base64(hashlib.sha256(_properties(found).encode()).digest())
    return (
        f'<SignedInfo xmlns="{DS}"><CanonicalizationMethod Algorithm="{EXC_C14N}"></CanonicalizationMethod>'
        f'<SignatureMethod Algorithm="{found.method}"></SignatureMethod>{references}'
        f'<Reference Type="{XADES_PROPERTIES}" URI="#seal-properties"><Transforms>'
        f'<Transform Algorithm="{EXC_C14N}"></Transform></Transforms>'
        f"{_SHA256}<DigestValue>{properties}</DigestValue></Reference></SignedInfo>"
    )


def _properties(found: Seal) -> str:
    """Write SignedProperties in canonical form."""
    formats = "".join(
        f'<DataObjectFormat ObjectReference="#file-{n}"><MimeType>{media_type(name)}</MimeType></DataObjectFormat>'
        for n, name in enumerate(found.digests, start=1)
    )
    hashed = _SHA256.replace("<DigestMethod", f'<DigestMethod xmlns="{DS}"', 1)
    return (
        f'<SignedProperties xmlns="{XADES132}" Id="seal-properties"><SignedSignatureProperties>'
        f"<SigningTime>{found.at.astimezone(UTC).strftime(_TIME)}</SigningTime><SigningCertificateV2><Cert><CertDigest>{hashed}"
        f'<DigestValue xmlns="{DS}">{_base64(hashlib.sha256(found.chain[0].der).digest())}</DigestValue></CertDigest></Cert>'
        f"</SigningCertificateV2></SignedSignatureProperties><SignedDataObjectProperties>{formats}</SignedDataObjectProperties>"
        "</SignedProperties>"
    )


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _unreadable() -> NotReadable:
    return NotReadable(Code.SIGNATURE, Problem(text="container.seal-unreadable", path=PLACE))
