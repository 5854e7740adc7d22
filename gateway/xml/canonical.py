"""Writes XML in its one canonical form, exclusive C14N 1.0 without comments, and digests it."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from lxml import etree

from gateway.errors import Code, NotReadable, Problem

from .namespaces import EXC_C14N
from .parse import line_of

_LOOK_BACK = 64  # bytes before a colon that are looked at; a longer token only costs the slower look
_NAME_START = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz") | frozenset(range(0x80, 0x100))
_TOKEN_END = re.compile(rb"(?:^|[\s>\";])(?!xmlns$)[^\s<>\"/=&;:]+$")  # a ';' ends a reference to a line break
_QNAME = re.compile(r"(?<!\S)([^\s:]+):[^\s:]+(?!\S)")
_WITH_COLON = etree.XPath("descendant-or-self::*/text()[contains(., ':')] | descendant-or-self::*/@*[contains(., ':')]")
_INCLUSIVE = f"{{{EXC_C14N}}}InclusiveNamespaces"
_HAS_ATTRIBUTE = etree.XPath("boolean(@*[starts-with(name(), $start)])")


def canonical(element: etree._Element, *, prefixes: Sequence[str] = ()) -> bytes:
    """Write an element canonically; `prefixes` is the InclusiveNamespaces PrefixList. A root's processing instructions belong to it.

    Raises NotReadable where the form does not exist: a namespace is named by a relative URI.
    """
    try:
        return etree.tostring(element, method="c14n", exclusive=True, with_comments=False, inclusive_ns_prefixes=list(prefixes) or None)
    except etree.C14NError as error:
        raise NotReadable(Code.NOT_XML, Problem(text="xml.not-canonical", line=line_of(element))) from error


def value_prefixes(element: etree._Element, *, written: bytes | None = None) -> tuple[str, ...]:
    """Find the prefixes that only values use (xsi:type="p:T", <a>p:name</a>), sorted: exclusive C14N leaves them unbound.

    `written` is the element's canonical form, where the caller has it: it answers for most documents at once.
    """
    if written is not None and not _may_hold_qnames(written):
        return ()
    found: set[str] = set()
    values: Any = _WITH_COLON(element)  # strings that know where they stand
    for value in values:
        place = value.getparent().getparent() if value.is_tail else value.getparent()
        for prefix in set(_QNAME.findall(value)) - found:
            if prefix in place.nsmap and not _is_bound(prefix, place, element):
                found.add(prefix)
    return tuple(sorted(found))


def needed_prefixes(element: etree._Element, *, written: bytes | None = None) -> tuple[str, ...]:
    """Find the prefixes to list so that an element can be written anew: those only values use, and those a signature inside it lists."""
    if written is not None and b"PrefixList" not in written:
        return value_prefixes(element, written=written)
    listed = {prefix for holder in element.iter(_INCLUSIVE) for prefix in holder.get("PrefixList", "").split()}
    return tuple(sorted(listed.union(value_prefixes(element, written=written))))


def digest(data: bytes, algorithm: str = "sha256") -> bytes:
    """Digest bytes; `algorithm` is hashlib's name."""
    return hashlib.new(algorithm, data).digest()


def _may_hold_qnames(written: bytes) -> bool:
    """Say whether canonical bytes hold `token:Name` where a value may stand: no is sure, yes is a suspicion."""
    return any(
        right and right[0] in _NAME_START and _TOKEN_END.search(left[-_LOOK_BACK:]) is not None
        for left, right in pairwise(written.split(b":"))
    )


def _is_bound(prefix: str, place: etree._Element, top: etree._Element) -> bool:
    """Say whether exclusive C14N of `top` declares the prefix at `place`, because a name there or above it uses it."""
    uri = place.nsmap[prefix]
    for element in _upward(place, top):
        if element.nsmap.get(prefix) != uri:
            return False
        if element.prefix == prefix or _HAS_ATTRIBUTE(element, start=f"{prefix}:"):
            return True
    return False


def _upward(place: etree._Element, top: etree._Element) -> Iterator[etree._Element]:
    """Go from an element up to `top`, both included."""
    yield place
    if place is not top:
        for ancestor in place.iterancestors():
            yield ancestor
            if ancestor is top:
                return
