"""A document and its detached signature in one MIME body: how both travel together, and how they are kept."""

import hashlib

MEDIA_TYPES = frozenset({"application/pkcs7-signature", "application/x-pkcs7-signature"})  # of a signature; RFC 8551, and what is older
HEADER = "nsw-signature"  # of an answer: the signature of its body, in base64
KEPT = "multipart/signed"  # how a body is marked that write() made
XML = "application/xml"
_ROOT = "<document>"
_SIGNATURE_HEAD = (
    b"Content-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: binary\r\n"
    b'Content-Disposition: attachment; filename="smime.p7s"\r\n\r\n'
)


def media_type(body: bytes, *, document: str = XML) -> str:
    """Give the media type of a body that write() made."""
    plain = document.partition(";")[0].strip()
    return f'multipart/related; type="{plain}"; start="{_ROOT}"; boundary="{_boundary_of(body).decode("latin-1")}"'


def write(document: bytes, signature: bytes, *, document_type: str = XML) -> bytes:
    """Put a document and its signature, in DER, into one body: the document as it is, then the signature."""
    mark = b"--" + hashlib.sha256(document + signature).hexdigest().encode()
    head = f"Content-Type: {document_type}\r\nContent-ID: {_ROOT}\r\n\r\n".encode("latin-1")
    return b"".join((mark, b"\r\n", head, document, b"\r\n", mark, b"\r\n", _SIGNATURE_HEAD, signature, b"\r\n", mark, b"--\r\n"))


def read(body: bytes) -> tuple[bytes, bytes] | None:
    """Take a body that write() made apart: the document, the signature; None for any other."""
    mark = b"--" + _boundary_of(body)
    first, *rest = body.split(b"\r\n" + mark)
    head, _, document = first.partition(b"\r\n\r\n")
    signature = rest[0].removeprefix(b"\r\n" + _SIGNATURE_HEAD) if rest else b""
    named = head.partition(b"\r\nContent-Type: ")[2].partition(b"\r\n")[0].decode("latin-1")
    return (document, signature) if write(document, signature, document_type=named) == body else None


def _boundary_of(body: bytes) -> bytes:
    return body[2:66]
