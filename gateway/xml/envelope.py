"""Opens, writes and forwards VNSW envelopes: bytes in, bytes out, no trust decision."""

import copy
import re
from dataclasses import replace
from datetime import tzinfo

from lxml import etree

from gateway.errors import Code, GatewayError, NotReadable, Problem
from gateway.model import Header, Identity

from .canonical import canonical, is_canonical, needed_prefixes
from .header import identity_fields, one, read_header, readdress_plainly, write_header
from .parse import line_of, parse

__all__ = [
    "business",
    "content",
    "forward",
    "is_absent",
    "make_signed_view",
    "person_slot",
    "read_header",
    "swap",
    "system_slot",
    "try_header",
    "write",
]

_CONTENT = "/Envelope/Body/Content"
_SYSTEM_SLOT, _SYSTEM_SLOT_END = b"<SystemSignature>", b"</SystemSignature>"
_END = re.compile(rb"[ \t\n]*+</Envelope>")
_DEMANDED = "-"  # what a slot holds where the schema demands text in it


def try_header(payload: bytes, *, zone: tzinfo) -> Header | None:
    """Read the header of an envelope that is being refused; None where there is none to read. Raises nothing."""
    try:
        return read_header(parse(payload), zone=zone)
    except GatewayError:
        return None


def content(root: etree._Element) -> etree._Element | None:
    """Give Envelope/Body/Content, None where there is none. Raises NotReadable with CONTENT_EMPTY where there are several."""
    bodies = list(root.iterchildren("Body"))
    found = [child for body in bodies for child in body.iterchildren("Content")]
    if len(found) > 1 or len(bodies) > 1:
        raise NotReadable(Code.CONTENT_EMPTY, Problem(text="xml.twice", path=_CONTENT, values={"name": "Content"}))
    return found[0] if found else None


def business(held: etree._Element) -> etree._Element | None:
    """Give the one element that a Content holds, None where it holds none. Raises NotReadable with CONTENT_EMPTY where it holds several."""
    if len(held) > 1:
        raise NotReadable(Code.CONTENT_EMPTY, Problem(text="xml.several-contents", path=_CONTENT, line=line_of(held[1])))
    return held[0] if len(held) else None


def person_slot(root: etree._Element) -> etree._Element | None:
    """Give Body/Signature, None where there is none. Raises NotReadable with SIGNATURE where there are several."""
    return _slot(root, "Body/Signature")


def system_slot(root: etree._Element) -> etree._Element | None:
    """Give Envelope/SystemSignature, None where there is none. Raises NotReadable with SIGNATURE where there are several."""
    return _slot(root, "SystemSignature")


def is_absent(slot: etree._Element | None) -> bool:
    """Say whether a slot holds no signature: no element, and only white space. Other text is a malformed one."""
    return slot is None or (len(slot) == 0 and not (slot.text or "").strip())


def make_signed_view(root: etree._Element, slots: tuple[str, str]) -> None:
    """Make of an envelope what schemas judge, in place: without Content/@Id, its two slots as the schema declares them.

    `slots` says for Body/Signature and for SystemSignature: "absent" (the slot goes), "optional" (it holds nothing where it is),
    "required" (it holds the text "-"). The text around a slot stays.
    """
    for body in root.iterchildren("Body"):
        for held in body.iterchildren("Content"):
            held.attrib.pop("Id", "")
        _settle(body, "Signature", slots[0])
    _settle(root, "SystemSignature", slots[1])


def forward(
    payload: bytes,
    *,
    receiver: Identity,
    document_type: str | None,
    version: str | None,
    slots: tuple[str, str],
    keep_person: bool,
) -> bytes:
    """Write an envelope for its next hop, in canonical form: To is the receiver's; the sender's SystemSignature is gone.

    None keeps the spelling that stands there. From, messageId, reference and sendDate stay, Content equals the old one under
    exclusive C14N, and so does Body/Signature where the person's is kept; where it is not, the result is the signed view.
    Declarations that only values or a PrefixList need stay in scope. Raises NotReadable where the payload is no envelope.
    """
    if version is None and (keep_person or slots == ("absent", "absent")):
        bare = _without_signatures(payload)
        plain = readdress_plainly(bare, receiver=receiver, document_type=document_type) if bare and is_canonical(bare) else None
        if plain is not None:
            return plain
    root = _alone(parse(payload))
    _readdress(one(root, "Header", "/Envelope"), receiver=receiver, document_type=document_type, version=version)
    if keep_person:
        _settle(root, "SystemSignature", "absent")
    else:
        make_signed_view(root, slots)
    return _written(root)


def write(header: Header, content_xml: bytes, *, zone: tzinfo, person_signature: bytes = b"") -> bytes:
    """Write an envelope in canonical form, ready to be signed; `content_xml` is what stands inside Content, or Content itself.

    Raises NotReadable where the content or the signature is not XML.
    """
    held = parse(b"<Content>%b</Content>" % content_xml)
    if len(held) == 1 and held[0].tag == "Content":
        held = held[0]
    body = _written(held)
    if person_signature:
        body += b"<Signature>%b</Signature>" % canonical(_alone(parse(person_signature)))
    return b"<Envelope>%b<Body>%b</Body></Envelope>" % (write_header(header, zone=zone), body)


def swap(header: Header) -> Header:
    """Exchange From and To, as in an answer."""
    return replace(header, sender=header.receiver, receiver=header.sender)


def _written(element: etree._Element) -> bytes:
    """Write an element canonically, with the declarations that only values or a PrefixList need."""
    written = canonical(element)
    prefixes = needed_prefixes(element, written=written)
    return canonical(element, prefixes=prefixes) if prefixes else written


def _without_signatures(payload: bytes) -> bytes | None:
    """Cut the system's slot out of an envelope's bytes where it is the last thing in them; None where there may be another signature."""
    begins, ends = payload.find(_SYSTEM_SLOT), payload.rfind(_SYSTEM_SLOT_END) + len(_SYSTEM_SLOT_END)
    if begins >= 0:
        if not _END.fullmatch(payload, ends):
            return None
        payload = payload[:begins] + payload[ends:]
    return None if b"Signature" in payload else payload


def _slot(root: etree._Element, path: str) -> etree._Element | None:
    found = root.findall(path)
    if len(found) > 1:
        name = path.rpartition("/")[2]
        raise NotReadable(
            Code.SIGNATURE, Problem(text="xml.twice", path=f"/Envelope/{path}", line=line_of(found[1]), values={"name": name})
        )
    return found[0] if found else None


def _settle(parent: etree._Element, name: str, declared: str) -> None:
    """Bring a slot into the shape its schema declares."""
    found = list(parent.iterchildren(name))
    if declared == "required" and not found:
        found = [etree.SubElement(parent, name)]
    for slot in found:
        if declared == "absent":
            _take_out(slot)
        else:
            del slot[:]
            slot.text = _DEMANDED if declared == "required" else None


def _take_out(element: etree._Element) -> None:
    """Remove an element and keep the text behind it, which lxml's remove() deletes."""
    parent, before, tail = element.getparent(), element.getprevious(), element.tail
    if parent is None:
        return
    if before is not None:
        before.tail = (before.tail or "") + (tail or "") or None
    else:
        parent.text = (parent.text or "") + (tail or "") or None
    parent.remove(element)


def _alone(root: etree._Element) -> etree._Element:
    """Give a root without processing instructions beside it, which would be part of its canonical form."""
    return root if root.getprevious() is None and root.getnext() is None else copy.deepcopy(root)


def _readdress(header: etree._Element, *, receiver: Identity, document_type: str | None, version: str | None) -> None:
    to = etree.Element("To")
    for name, text in identity_fields(receiver):
        etree.SubElement(to, name).text = text
    _replace(header, to, after="From")
    if document_type is not None:
        one(one(header, "Subject", "/Envelope/Header"), "documentType", "/Envelope/Header/Subject").text = document_type
    if version is not None:
        _write_version(header, version)


def _replace(header: etree._Element, part: etree._Element, *, after: str) -> None:
    """Put a part in the place of the one of its name, or after another where there is none."""
    old = header.find(part.tag)
    if old is not None:
        part.tail = old.tail
        header.replace(old, part)
        return
    before = header.find(after)
    header.insert(0 if before is None else header.index(before) + 1, part)


def _write_version(header: etree._Element, version: str) -> None:
    reference = header.find("Reference")
    if reference is None:
        reference = etree.Element("Reference")
        header.insert(0, reference)
    found = reference.find("version")
    if found is None:
        found = etree.Element("version")
        reference.insert(0, found)
    found.text = version
