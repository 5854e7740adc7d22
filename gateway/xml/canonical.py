"""Writes XML in its one canonical form, exclusive C14N 1.0 without comments, and digests it."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from lxml import etree

from gateway.errors import Code, NotReadable, Problem

from .namespaces import EXC_C14N
from .parse import line_of

_LOOK_BACK = 64  # bytes before a colon that are looked at; a longer token only costs the slower look
_NAME_START = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz") | frozenset(range(0x80, 0x100))
_TOKEN_END = re.compile(rb"(?:^|[\s>\";])(?!xmlns$)[^\s<>\"/=&;:]+$")  # a ';' ends a reference to a line break
_QNAME = re.compile(r"(?<!\S)([^\s:]+):[^\s:]+(?!\S)")
_TEXTS = etree.XPath("descendant-or-self::*/text()[contains(., ':')]", regexp=False)
_ATTRIBUTES = etree.XPath("descendant-or-self::*/@*[contains(., ':')]", regexp=False)  # apart: a union compares each with each
_IN_NO_MARK = bytes(set(range(256)) - set(b"<>/!?= \t\r\n"))  # what stands in names and texts; without it a tag is `<>` or `</>`
_WRITTEN_REFERENCES = (b"&amp;", b"&lt;", b"&gt;")
_INCLUSIVE = f"{{{EXC_C14N}}}InclusiveNamespaces"
_HAS_ATTRIBUTE = etree.XPath("boolean(@*[starts-with(name(), $start)])")


def canonical(element: etree._Element, *, prefixes: Sequence[str] = ()) -> bytes:
    """Write an element canonically; `prefixes` is the InclusiveNamespaces PrefixList. Of a root, the whole document is written.

    The whole document is what a signature's URI="" means: processing instructions beside the root belong to it. A list's
    #default is not known: libxml2 leaves it out, so a digest made with it does not match.
    Raises NotReadable where the form does not exist: a namespace is named by a relative URI.
    """
    whole = element.getroottree() if element.getparent() is None else element
    try:
        return etree.tostring(whole, method="c14n", exclusive=True, with_comments=False, inclusive_ns_prefixes=list(prefixes) or None)
    except etree.C14NError as error:
        raise NotReadable(Code.NOT_XML, Problem(text="xml.not-canonical", line=line_of(element))) from error


def is_canonical(data: bytes) -> bool:
    """Say whether a well-formed document is its own canonical form because nothing in it could be spelt otherwise; no is a suspicion.

    Yes means: elements without attributes and so without namespaces, no empty-element tag, nothing but elements and text, the text's
    references those that canonical XML writes. Machines write nearly all messages so, and looking is a tenth of writing them again.
    """
    marks = data.translate(None, _IN_NO_MARK)
    tags = marks.count(b"<")
    if not (data.startswith(b"<") and data.endswith(b">")) or b"\r" in marks:
        return False
    # each tag is `<>` or `</>`, as many close as open, and no `>` stands in text
    if not marks.count(b"<>") + marks.count(b"</>") == marks.count(b">") == tags == 2 * marks.count(b"</"):
        return False
    at = data.find(b"&")
    while at >= 0:
        if not data.startswith(_WRITTEN_REFERENCES, at):
            return False
        at = data.find(b"&", at + 1)
    return True


def value_prefixes(element: etree._Element, *, written: bytes | None = None) -> tuple[str, ...]:
    """Find the prefixes that only values use (xsi:type="p:T", <a>p:name</a>), sorted: exclusive C14N leaves them unbound.

    `written` is the element's canonical form, where the caller has it: it answers for most documents at once.
    """
    if written is not None and not _may_hold_qnames(written):
        return ()
    found: set[str] = set()
    known: dict[tuple[str, etree._Element], bool] = {}
    for value in _values(element):
        place = value.getparent().getparent() if value.is_tail else value.getparent()
        for prefix in set(_QNAME.findall(value)) - found:
            if prefix in place.nsmap and not _is_bound(prefix, place, element, known):
                found.add(prefix)
    return tuple(sorted(found))


def needed_prefixes(element: etree._Element, *, written: bytes | None = None) -> tuple[str, ...]:
    """Find the prefixes to list so that an element can be written anew: those only values use, and those a signature inside it lists."""
    if written is not None and b"PrefixList" not in written:
        return value_prefixes(element, written=written)
    listed = {prefix for holder in element.iter(_INCLUSIVE) for prefix in holder.get("PrefixList", "").split() if prefix != "#default"}
    return tuple(sorted(listed.union(value_prefixes(element, written=written))))


def digest(data: bytes, algorithm: str = "sha256") -> bytes:
    """Digest bytes; `algorithm` is hashlib's name."""
    return hashlib.new(algorithm, data).digest()


def _may_hold_qnames(written: bytes) -> bool:
    """Say whether canonical bytes hold `token:Name` where a value may stand: no is sure, yes is a suspicion."""
    begins, colon = 0, written.find(b":")  # from colon to colon, because nothing else goes over bytes as fast
    while colon >= 0:
        if written[colon + 1] in _NAME_START and _TOKEN_END.search(written[max(begins, colon - _LOOK_BACK) : colon]):
            return True
        begins, colon = colon + 1, written.find(b":", colon + 1)
    return False


def _values(element: etree._Element) -> Iterator[Any]:
    """Give the texts and attributes with a colon in them, as lxml's strings, which know where they stand."""
    texts: Any = _TEXTS(element)
    attributes: Any = _ATTRIBUTES(element)
    return chain(texts, attributes)


def _is_bound(prefix: str, place: etree._Element, top: etree._Element, known: dict[tuple[str, etree._Element], bool]) -> bool:
    """Say whether exclusive C14N of `top` declares the prefix at `place`, because a name there or above it uses it."""
    key = (prefix, place)
    if key not in known:
        known[key] = _uses(place, prefix) or (place is not top and _inherits(prefix, place, top, known))
    return known[key]


def _inherits(prefix: str, place: etree._Element, top: etree._Element, known: dict[tuple[str, etree._Element], bool]) -> bool:
    parent = place.getparent()
    return parent is not None and parent.nsmap.get(prefix) == place.nsmap[prefix] and _is_bound(prefix, parent, top, known)


def _uses(element: etree._Element, prefix: str) -> bool:
    return element.prefix == prefix or (len(element.attrib) > 0 and bool(_HAS_ATTRIBUTE(element, start=f"{prefix}:")))
