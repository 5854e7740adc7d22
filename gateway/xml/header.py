"""Reads and writes the header of a VNSW envelope: tolerant of the field's spellings on input, strict on output."""

import re
from collections.abc import Iterable
from datetime import datetime, tzinfo
from functools import lru_cache

from lxml import etree

from gateway.errors import Code, NotReadable, Problem
from gateway.model import Header, Identity, Subject

from .parse import line_of
from .soap import escape_text

MAX_FIELD = 1000  # characters; the longest field that the schemas allow has 255, and replies repeat what is read here
YEARS = range(1900, 9990)  # beyond them a time cannot be moved to UTC; .NET writes 0001 for "none"
KEPT_IDENTITIES = 512  # each party writes itself in one way, and the gateway itself in two; some hundred bytes each

_PARTS = ("Reference", "From", "To", "Subject")
_IDENTITY = ("name", "identity", "countryCode", "ministryCode", "organizationCode", "unitCode")
_HEADER = (
    b"<Header><Reference>%b%b</Reference><From>%b</From><To>%b</To><Subject><documentType>%b</documentType><type>%b</type>"
    b"<function>%b</function><reference>%b</reference><documentYear>%b</documentYear><preReference>%b</preReference>%b%b</Subject></Header>"
)
_DOUBLY_ESCAPED = re.compile("&(?:amp;)+")
# A header as nearly all are written: the four parts in the contract's order, in them elements that hold text alone. The document is
# well-formed, so that a start tag has its end tag; other references than &amp;, and carriage returns, are left to the tree.
_FIELD = rb"(?:<[A-Za-z]++>[^<&\r]*+(?:&amp;[^<&\r]*+)*+</[A-Za-z]++>[ \t\n]*+)*+"
_PLAIN = re.compile(
    rb"[ \t\n]*+<Envelope>[ \t\n]*+<Header>[ \t\n]*+"
    + b"".join(rb"<%b>[ \t\n]*+(%b)</%b>[ \t\n]*+" % (part.encode(), _FIELD, part.encode()) for part in _PARTS)
    + rb"</Header>"
)
_FIELDS = re.compile("<([A-Za-z]+)>([^<]*)</")
_DOCUMENT_TYPE = re.compile(rb"<documentType>[^<]*</documentType>")

_Parts = tuple[dict[str, str], Identity, Identity, dict[str, str]]
_WIDTH = 2  # digits that a type and a function have at least
_DAY_FIRST = re.compile(r"(\d{2})[/.-](\d{2})[/.-](\d{4})(?:[ T](.+))?", re.ASCII)
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})", re.ASCII)


def read_header(root: etree._Element, *, zone: tzinfo, written: bytes = b"") -> Header:
    """Read an envelope's header; `zone` is that of a sendDate that names none.

    `written` are the bytes in UTF-8 that `root` was opened from; those that are spelt plainly are read faster, to the same header.
    What is missing is empty or None, and so is a sendDate that is no date. Raises NotReadable with PROCEDURE_UNREADABLE where
    there is no Envelope, Header, Subject or documentType, where a part stands twice or holds elements; with LIMIT where one is too long.
    """
    if root.tag != "Envelope":
        raise _unreadable("not-envelope", root, "/", found=str(root.tag)[:MAX_FIELD])
    header = one(root, "Header", "/Envelope")
    reference, sender, receiver, subject = _plain_parts(written) or _parts(header)
    return Header(
        id=reference.get("messageId") or None,
        sender=sender,
        receiver=receiver,
        subject=_subject(subject, header),
        sent_at=read_date(subject.get("sendDate", ""), zone),
        version=reference.get("version", ""),
    )


def write_header(header: Header, *, zone: tzinfo) -> bytes:
    """Write the Header element in canonical form, its parts in the contract's order, empty optional ones left out."""
    subject = header.subject
    return _HEADER % (
        _optional("version", header.version),
        _optional("messageId", header.id or ""),
        _identity_parts(header.sender),
        _identity_parts(header.receiver),
        escape_text(subject.document_type),
        escape_text(subject.type),
        escape_text(subject.function),
        escape_text(subject.reference),
        escape_text(subject.year),
        escape_text(subject.previous),
        _optional("preDocumentYear", subject.previous_year),
        _optional("sendDate", write_date(header.sent_at, zone) if header.sent_at else ""),
    )


@lru_cache(maxsize=KEPT_IDENTITIES)
def _identity_parts(identity: Identity) -> bytes:
    """Write what stands in From or To."""
    return b"".join([text_element(field, value) for field, value in identity_fields(identity)])


def readdress_plainly(written: bytes, *, receiver: Identity, document_type: str | None) -> bytes | None:
    """Write an envelope's bytes with another To, and another documentType unless it is None; None where its header is not spelt plainly."""
    found = _PLAIN.match(written)
    if not found:
        return None
    to, subject = found.span(_PARTS.index("To") + 1), found[_PARTS.index("Subject") + 1]
    if document_type is not None:
        subject, changed = _DOCUMENT_TYPE.subn(lambda _: text_element("documentType", document_type), subject)
        if changed != 1:
            return None
    after = found.end(_PARTS.index("Subject") + 1)
    between = written[to[1] : found.start(_PARTS.index("Subject") + 1)]
    return b"".join([written[: to[0]], _identity_parts(receiver), between, subject, written[after:]])


def identity_fields(identity: Identity) -> Iterable[tuple[str, str]]:
    """Give an identity's fields as From and To spell them, in order; a unit only where there is one."""
    yield "name", identity.name
    yield "identity", identity.identity
    yield "countryCode", identity.country
    yield "ministryCode", identity.ministry
    yield "organizationCode", identity.organization
    if identity.unit:
        yield "unitCode", identity.unit


def text_element(name: str, text: str) -> bytes:
    """Write an element that holds text, in canonical form."""
    tag = name.encode()
    return b"<%b>%b</%b>" % (tag, escape_text(text), tag)


def one(parent: etree._Element, name: str, path: str) -> etree._Element:
    """Give the one child of a name; raises NotReadable with PROCEDURE_UNREADABLE where there is none or more."""
    found = list(parent.iterchildren(name))
    if len(found) > 1:
        raise _unreadable("twice", found[1], f"{path}/{name}", name=name)
    if not found:
        raise _unreadable("missing", parent, f"{path}/{name}", name=name)
    return found[0]


def read_date(text: str, zone: tzinfo) -> datetime | None:
    """Read a date in the field's spellings (ISO with blank or T, day first, fourteen digits); None where it is none of them."""
    if text[4:5] != "-":  # not ISO's, as nearly all are
        text = _in_iso_order(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    if at.year not in YEARS:
        return None
    return at if at.tzinfo else at.replace(tzinfo=zone)


def write_date(at: datetime, zone: tzinfo) -> str:
    """Write a time as the envelope wants it, in a zone that is not named there."""
    return at.astimezone(zone).replace(tzinfo=None).isoformat(" ", "seconds")


def _plain_parts(written: bytes) -> _Parts | None:
    """Read the parts out of bytes that are spelt plainly; None where they are not, or are wrong: the tree shows where."""
    found = _PLAIN.match(written)
    if not found:
        return None
    reference, sender, receiver, subject = found.groups()
    try:
        return _plain_fields(reference), _plain_identity(sender), _plain_identity(receiver), _plain_fields(subject)
    except ValueError:
        return None


def _plain_fields(part: bytes) -> dict[str, str]:
    """Read the fields of a part; raises ValueError where one stands twice or is too long."""
    pairs = _FIELDS.findall(part.decode())
    fields = {name: text.replace("&amp;", "&").strip() for name, text in pairs}
    if len(fields) != len(pairs) or (len(part) > MAX_FIELD and max(map(len, fields.values())) > MAX_FIELD):
        raise ValueError(part)
    return fields


@lru_cache(maxsize=KEPT_IDENTITIES)
def _plain_identity(part: bytes) -> Identity:
    return _identity(*map(_plain_fields(part).get, _IDENTITY))


def _parts(header: etree._Element) -> _Parts:
    """Read the fields of the parts that are there."""
    parts: dict[str, dict[str, str]] = {}
    for part in header:
        name = part.tag
        if name in parts:
            raise _unreadable("twice", part, f"/Envelope/Header/{name}", name=name)
        if name in _PARTS:
            parts[name] = _fields(part, name)
    reference, sender, receiver, subject = (parts.get(name, {}) for name in _PARTS)
    return reference, _identity(*map(sender.get, _IDENTITY)), _identity(*map(receiver.get, _IDENTITY)), subject


def _fields(part: etree._Element, name: str) -> dict[str, str]:
    children = list(part)
    fields = {child.tag: (child.text or "").strip() for child in children}
    path = f"/Envelope/Header/{name}"
    if len(fields) != len(children):
        raise _unreadable("twice", part, path, name=name)
    if any(map(len, children)):
        raise _unreadable("not-text", part, path, name=name)
    if max(map(len, fields.values()), default=0) > MAX_FIELD:
        raise NotReadable(Code.LIMIT, Problem(text="xml.field-too-long", path=path, line=line_of(part), values={"limit": str(MAX_FIELD)}))
    return fields


def _in_iso_order(text: str) -> str:
    """Turn the field's other spellings round; gives any other text back as it is."""
    if found := _COMPACT.fullmatch(text):
        return "{}-{}-{} {}:{}:{}".format(*found.groups())
    if found := _DAY_FIRST.fullmatch(text):
        day, month, year, time = found.groups()
        return f"{year}-{month}-{day} {time or '00:00:00'}"
    return text


def _subject(fields: dict[str, str], header: etree._Element) -> Subject:
    document_type = _DOUBLY_ESCAPED.sub("&", fields.get("documentType", ""))
    if not document_type:
        raise _unreadable("missing", header, "/Envelope/Header/Subject/documentType", name="documentType")
    return Subject(
        document_type=document_type,
        type=_padded(fields.get("type", "")),
        function=_padded(fields.get("function", "")),
        reference=fields.get("reference", ""),
        year=fields.get("documentYear", ""),
        previous=fields.get("preReference", ""),
        previous_year=fields.get("preDocumentYear", ""),
    )


@lru_cache(maxsize=KEPT_IDENTITIES)
def _identity(*texts: str | None) -> Identity:
    name, identity, country, ministry, organization, unit = (text or "" for text in texts)
    return Identity(name=name, identity=identity, country=country, ministry=ministry, organization=organization, unit=unit)


def _padded(number: str) -> str:
    return number.zfill(_WIDTH) if number else ""


def _optional(name: str, text: str) -> bytes:
    return text_element(name, text) if text else b""


def _unreadable(text: str, at: etree._Element, path: str, **values: str) -> NotReadable:
    return NotReadable(Code.PROCEDURE_UNREADABLE, Problem(text=f"xml.{text}", path=path, line=line_of(at), values=values))
