"""Tree heads: what a ledger was at one moment, in bytes that are signed, kept elsewhere, and checked without the ledger."""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.errors import Code, NotReadable, Problem
from gateway.security import certificates
from gateway.security.certificates import Certificate
from gateway.security.keys import verify_value
from gateway.security.policy import GATEWAY

from .merkle import HASH_BYTES

MAX_HEADS_BYTES = 256 * 1024 * 1024  # of a file of heads: a head a second for some ten days; larger files are taken in parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A tree's size and root at a moment; `key` is the SHA-256 of the certificate whose key signs it, in hex."""

    size: int
    root: bytes
    at: datetime
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHead:
    """A head with its signature over exactly the bytes that write_head() gives; `method` is the algorithm's URI."""

    head: Head
    method: str
    signature: bytes


def write_head(head: Head) -> bytes:
    """Write the bytes that are signed and stamped: JSON with sorted keys, without white space, in UTF-8 (LEDGER.md)."""
    members = {"at": head.at.isoformat(), "key": head.key, "root": head.root.hex(), "size": head.size}
    return json.dumps(members, sort_keys=True, separators=(",", ":")).encode()


def write_signed(signed: SignedHead) -> dict[str, object]:
    """Write a signed head as JSON members."""
    head = json.loads(write_head(signed.head))
    return {"head": head, "method": signed.method, "signature": base64.b64encode(signed.signature).decode("ascii")}


def read_signed(members: object) -> SignedHead:
    """Read what write_signed() wrote; raises NotReadable for anything else."""
    match members:
        case {
            "head": {"at": str(at), "key": str(key), "root": str(root), "size": int(size)},
            "method": str(method),
            "signature": str(value),
        }:
            pass
        case _:
            raise _unreadable()
    try:
        head = Head(size=size, root=bytes.fromhex(root), at=datetime.fromisoformat(at), key=key)
        signature = base64.b64decode(value, validate=True)
    except (ValueError, binascii.Error) as error:
        raise _unreadable() from error
    if size <= 0 or len(head.root) != HASH_BYTES or head.at.tzinfo is None:
        raise _unreadable()
    return SignedHead(head=head, method=method, signature=signature)


def write_file(heads: Iterable[SignedHead], signers: Iterable[Certificate]) -> bytes:
    """Write a copy of heads to be kept elsewhere, with the certificates that signed them."""
    held = {c.sha256: c.x509.public_bytes(Encoding.PEM).decode("ascii") for c in signers}
    return json.dumps({"heads": [write_signed(head) for head in heads], "certificates": held}, indent=1).encode()


def read_file(data: bytes) -> tuple[tuple[SignedHead, ...], tuple[Certificate, ...]]:
    """Read a copy of heads with its certificates; raises NotReadable. Who may be trusted among them is not judged."""
    try:
        document = json.loads(data) if len(data) <= MAX_HEADS_BYTES else None
    except (ValueError, RecursionError) as error:
        raise _unreadable() from error
    match document:
        case {"heads": list(heads), "certificates": dict(held)}:
            return tuple(map(read_signed, heads)), tuple(_certificate(pem) for pem in held.values())
    raise _unreadable()


def is_signed_by(signed: SignedHead, signers: Mapping[str, Certificate]) -> bool:
    """Say whether a head is signed by the certificate it names, which must be among `signers` (by SHA-256) and have been valid then."""
    by = signers.get(signed.head.key)
    return by is not None and made_by(by, signed.method, signed.signature, write_head(signed.head), at=signed.head.at)


def made_by(signer: Certificate, method: str, value: bytes, data: bytes, *, at: datetime) -> bool:
    """Say whether a signature over data is by a certificate that was valid then, with an algorithm that the gateway signs with."""
    known = GATEWAY.methods.get(method)
    return known is not None and signer.valid_at(at) and verify_value(signer.key, known, value, data)


def _certificate(pem: object) -> Certificate:
    try:
        return certificates.read(x509.load_pem_x509_certificate(str(pem).encode()).public_bytes(Encoding.DER))
    except ValueError as error:
        raise _unreadable() from error


def _unreadable() -> NotReadable:
    return NotReadable(Code.NOT_XML, Problem(text="ledger.heads-unreadable"))
