"""A document with attachments as one multipart body: taken apart while it comes, nothing but the document held in memory.

The document is the part called `document`, or else the first whose media type is XML. Its detached signature, where it has one, is the
part of a signature's media type that is called `signature`, or whose file is called `smime.p7s`. Every other part is an attachment and
opaque.
"""

import logging
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from gateway.errors import Code, NotReadable, Problem
from gateway.model import Attachment
from gateway.security import beside
from gateway.security.certificates import strict_base64
from gateway.security.cms import MAX_BYTES as MAX_SIGNATURE

from .bodies import MAX_XML

MAX_PARTS = 64  # a dossier of a real consignment has a dozen files
MAX_HEADERS = 8  # of a part; real ones have three or four
MAX_HEADER = 4_096  # bytes of one of them
MAX_NAME = 255  # bytes, as file systems have it
XML = frozenset({"application/xml", "text/xml"})
KINDS = frozenset({"multipart/form-data", "multipart/related", "multipart/mixed"})
BASE64 = "base64"  # of a signature alone, as S/MIME writes it
OPAQUE = "application/octet-stream"
DOCUMENT, SIGNATURE = "document", "signature"
SIGNATURE_FILE = "smime.p7s"  # what S/MIME calls it
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,64}/[\w.+-]{1,64}(?:; ?[\w-]{1,32}=[\w.+-]{1,64}){0,3}", re.ASCII)
_BOUNDARY = re.compile(r"[\w'()+,./:=? -]{0,69}[\w'()+,./:=?-]", re.ASCII)  # RFC 2046, 5.1.1
_SILENT = logging.Logger("multipart", level=logging.CRITICAL + 1)  # noqa: LOG001  # never registered, so silent: the parser would quote


class Upload(Protocol):
    """Where an attachment's bytes go."""

    def write(self, data: bytes) -> None:
        """Take the next bytes."""

    def finish(self) -> Attachment:
        """Keep them and say what they are."""

    def discard(self) -> None:
        """Take them back."""


Begin = Callable[[str, str], Upload]  # of a name and a media type


class Parcel:
    """A document and its attachments on their way in; fed by one thread at a time."""

    def __init__(self, media_type: str, begin: Begin) -> None:
        """Read the boundary; raises NotReadable where the media type names none, or is another."""
        self._begin = begin
        self._document: bytearray | None = None
        self._signature: bytearray | None = None
        self._encoded = False
        self._attachments: list[Attachment] = []
        self._uploads: list[Upload] = []
        self._parts = 0
        self._ended = False
        self._into: Callable[[bytes], None] = _nowhere
        self._headers: dict[str, str] = {}
        self._name, self._value = bytearray(), bytearray()
        self._parser = _parser(_boundary(media_type), self)

    @property
    def held(self) -> int:
        """Bytes of the document that are in memory."""
        return len(self._document or b"")

    def feed(self, block: bytes) -> None:
        """Take the next bytes of the body; raises NotReadable where they are not as documented, Unavailable where they cannot be stored."""
        try:
            self._parser.write(block)
        except FormParserError as error:
            raise _refused("web.multipart") from error

    def finish(self) -> tuple[bytes, tuple[Attachment, ...]]:
        """Give the document and what came beside it; raises NotReadable where the body ends early, or has no document."""
        if not self._ended:
            raise _refused("web.multipart-truncated")
        if self._document is None:
            raise _refused("web.multipart-no-document")
        return bytes(self._document), tuple(self._attachments)

    def signature(self) -> bytes:
        """Give the document's detached signature, empty where there is none; raises NotReadable where it is empty or no base64."""
        if self._signature is None:
            return b""
        try:
            signature = strict_base64(bytes(self._signature)) if self._encoded else bytes(self._signature)
        except ValueError as error:
            raise _refused("web.multipart-signature") from error
        if not signature:
            raise _refused("web.multipart-signature")
        return signature

    def discard(self) -> None:
        """Take back what was stored; never raises."""
        for upload in self._uploads:
            upload.discard()

    # --- what the parser calls -------------------------------------------------------------------------------------

    def part_begins(self) -> None:
        """Count a part; raises NotReadable for one too many."""
        self._parts += 1
        self._headers = {}
        if self._parts > MAX_PARTS:
            raise _refused("web.multipart-parts", limit=str(MAX_PARTS))

    def header_name(self, data: bytes, start: int, end: int) -> None:
        """Take a piece of a header's name."""
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        """Take a piece of a header's value."""
        self._value += data[start:end]

    def header_ends(self) -> None:
        """Keep a header; raises NotReadable for one that stands twice."""
        name = self._name.decode("latin-1").lower()
        if name in self._headers:
            raise _refused("web.multipart")
        self._headers[name] = self._value.decode("utf-8", "replace")
        self._name, self._value = bytearray(), bytearray()

    def content_begins(self) -> None:
        """Decide what a part is; raises NotReadable where it is encoded, has too long a name, or is a second document."""
        encoding = self._headers.get("content-transfer-encoding", "").strip().lower()
        media_type = self._headers.get("content-type", OPAQUE).strip()
        called = _parameter(self._headers, "content-disposition", "name")
        plain = media_type.partition(";")[0].strip().lower()
        if plain in beside.MEDIA_TYPES and (called == SIGNATURE or _filename(self._headers) == SIGNATURE_FILE):
            self._begin_signature(encoding)
            return
        if encoding not in beside.PLAIN:
            raise _refused("web.multipart-encoding")
        xml = plain in XML
        if called == DOCUMENT or (xml and self._document is None):
            self._begin_document()
        else:
            name = _name(_filename(self._headers) or called, self._parts)
            upload = self._begin(name, media_type if _MEDIA_TYPE.fullmatch(media_type) else OPAQUE)
            self._uploads.append(upload)
            self._into = upload.write

    def content(self, data: bytes, start: int, end: int) -> None:
        """Pass a piece of a part on."""
        self._into(data[start:end])

    def part_ends(self) -> None:
        """Keep an attachment that is whole."""
        if self._into not in (self._write_document, self._write_signature):
            self._attachments.append(self._uploads[-1].finish())
        self._into = _nowhere

    def ends(self) -> None:
        """Note that the closing boundary came."""
        self._ended = True

    def _begin_document(self) -> None:
        if self._document is not None:
            raise _refused("web.multipart-documents")
        self._document = bytearray()
        self._into = self._write_document

    def _write_document(self, data: bytes) -> None:
        document = self._document if self._document is not None else bytearray()
        document += data
        if len(document) > MAX_XML:
            raise _refused("web.body-too-large", code=Code.LIMIT, limit=f"{MAX_XML:,}".replace(",", " "))

    def _begin_signature(self, encoding: str) -> None:
        if self._signature is not None or encoding not in beside.PLAIN | {BASE64}:
            raise _refused("web.multipart-signature")
        self._signature, self._encoded = bytearray(), encoding == BASE64
        self._into = self._write_signature

    def _write_signature(self, data: bytes) -> None:
        signature = self._signature if self._signature is not None else bytearray()
        signature += data
        if len(signature) > 2 * MAX_SIGNATURE:  # base64 makes it longer by a third
            raise _refused("web.multipart-signature")


def is_multipart(media_type: str) -> bool:
    """Say whether a body comes in parts."""
    return media_type.partition(";")[0].strip().lower() in KINDS


def _parser(boundary: str, parcel: Parcel) -> MultipartParser:
    parser = MultipartParser(
        boundary.encode("ascii"),
        {
            "on_part_begin": parcel.part_begins,
            "on_header_field": parcel.header_name,
            "on_header_value": parcel.header_value,
            "on_header_end": parcel.header_ends,
            "on_headers_finished": parcel.content_begins,
            "on_part_data": parcel.content,
            "on_part_end": parcel.part_ends,
            "on_end": parcel.ends,
        },
        max_header_count=MAX_HEADERS,
        max_header_size=MAX_HEADER,
    )
    parser.logger = _SILENT
    return parser


def _boundary(media_type: str) -> str:
    boundary = _parameter({"content-type": media_type}, "content-type", "boundary")
    if not _BOUNDARY.fullmatch(boundary):
        raise _refused("web.multipart-boundary")
    return boundary


def _message(headers: Mapping[str, str], name: str) -> Message:
    message = Message()
    message[name] = re.sub(r"[\r\n]", " ", headers.get(name, ""))
    return message


def _parameter(headers: Mapping[str, str], header: str, name: str) -> str:
    """Give a header's parameter; empty where it has none, or one that is not plain text."""
    found = next((value for each, value in _parameters(headers, header) if each.lower() == name), "")
    return found if isinstance(found, str) else ""


def _parameters(headers: Mapping[str, str], header: str) -> Sequence[tuple[str, str | tuple[str | None, str | None, str]]]:
    """Give a header's parameters; raises NotReadable for one that is written both whole and in pieces (RFC 2231, 3)."""
    try:
        return _message(headers, header).get_params(failobj=[], header=header)
    except TypeError as error:  # the library finds no order for them
        raise _refused("web.multipart") from error


def _filename(headers: Mapping[str, str]) -> str:
    """Give a part's file name, of the two forms the one that can hold any letter (RFC 2231)."""
    given = [value for name, value in _parameters(headers, "content-disposition") if name.lower() == "filename"]
    chosen = next((value for value in given if isinstance(value, tuple)), given[0] if given else "")
    try:
        return collapse_rfc2231_value(chosen).strip()
    except (ValueError, LookupError):  # an encoding there is none of
        return ""


def _name(given: str, number: int) -> str:
    """Make a name of what the sender wrote: its last part, without what cannot be seen; raises NotReadable where it is too long."""
    last = re.split(r"[\\/]", unicodedata.normalize("NFC", given))[-1]
    name = "".join(c for c in last if c.isprintable()).strip()
    if len(name.encode("utf-8", "replace")) > MAX_NAME:
        raise _refused("web.multipart-name", limit=str(MAX_NAME))
    return f"attachment-{number}" if name.strip(".") == "" else name


def _nowhere(_data: bytes) -> None:
    """Drop what stands outside of any part."""


def _refused(text: str, *, code: Code = Code.SCHEMA, **values: str) -> NotReadable:
    return NotReadable(code, Problem(text=text, values=values))
