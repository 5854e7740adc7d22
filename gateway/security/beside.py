"""A document and its detached signature in one MIME body: how both travel together, and how they are kept."""

import hashlib

from .certificates import strict_base64

MEDIA_TYPES = frozenset({"application/pkcs7-signature", "application/x-pkcs7-signature"})  # of a signature; RFC 8551, and what is older
PLAIN = frozenset({"", "binary", "8bit", "7bit"})  # transfer encodings that encode nothing
KEPT = "multipart/signed"  # how a body is marked that write() made of what came in parts
XML = "application/xml"
MAX_MARK = 72  # bytes of a line that divides parts: two dashes and a boundary (RFC 2046, 5.1.1)
_ROOT = "<document>"
_SIGNATURE_HEAD = (
    b"Content-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: binary\r\n"
    b'Content-Disposition: attachment; filename="smime.p7s"\r\n\r\n'
)


def write(document: bytes, signature: bytes, *, document_type: str = XML) -> bytes:
    """Put a document and its signature, in DER, into one body: the document as it is, then the signature."""
    mark = b"--" + hashlib.sha256(document + signature).hexdigest().encode()
    head = f"Content-Type: {document_type}\r\nContent-ID: {_ROOT}\r\n\r\n".encode("latin-1")
    return b"".join((mark, b"\r\n", head, document, b"\r\n", mark, b"\r\n", _SIGNATURE_HEAD, signature, b"\r\n", mark, b"--\r\n"))


def media_type(body: bytes, *, document_type: str = XML) -> str:
    """Give the media type of a body that write() made."""
    plain, boundary = document_type.partition(";")[0].strip(), body[2:].partition(b"\r\n")[0].decode("latin-1")
    return f'multipart/related; type="{plain}"; start="{_ROOT}"; boundary="{boundary}"'


def read(body: bytes) -> tuple[bytes, bytes] | None:
    """Take a body of two parts apart, whoever wrote it: a document as it is, and its signature, binary or in base64.

    Gives None for any other body; nothing in it is verified.
    """
    mark = body[: MAX_MARK + 2].partition(b"\r\n")[0]
    if not mark.startswith(b"--") or not mark[2:] or len(mark) > MAX_MARK:
        return None
    parts = (b"\r\n" + body).split(b"\r\n" + mark, 4)
    if len(parts) != 4 or not parts[2].startswith(b"\r\n") or not parts[3].startswith(b"--"):  # noqa: PLR2004  # nothing, the document, the signature, the end
        return None
    (kind, encoding, document), (named, encoded, signature) = map(_part, parts[1:3])
    if kind in MEDIA_TYPES or named not in MEDIA_TYPES or encoding not in PLAIN or encoded not in PLAIN | {"base64"}:
        return None
    try:
        return document, strict_base64(signature) if encoded == "base64" else signature
    except ValueError:
        return None


def _part(part: bytes) -> tuple[str, str, bytes]:
    """Give a part's media type, its transfer encoding and its content."""
    head, _, content = part.partition(b"\r\n\r\n")
    lines = (line.partition(":") for line in head.decode("latin-1").split("\r\n"))
    headers = {name.strip().lower(): value.partition(";")[0].strip().lower() for name, _, value in lines}
    return headers.get("content-type", ""), headers.get("content-transfer-encoding", ""), content
