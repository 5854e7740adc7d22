"""Judges documents with very many siblings, in which libxml2 would count siblings again for every fault it finds.

A fault costs libxml2 the writing of its path, and that a walk over the siblings: a 4 MB document of 27,000 bad entries took it
a minute. Here the document is fed to it as a stream, which has no paths, and stops after enough faults; then only the places
where it found some are judged as a tree.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import cast

from lxml import etree

from .parse import judging_parser
from .translate import Finding, entries, findings

MAX_SIBLINGS = 200  # with 200,000 elements their paths cost 0.3 s
MAX_UNCOUNTED = 16 * 1024  # bytes in which siblings need no counting: the worst of that size costs 0.1 s

_WINDOW = 2048  # bytes fed at once; what is faulty is looked for in so much
_LAG = 512  # bytes that libxml2 may keep back until it sees more
_CROWDED = etree.XPath(f"boolean(descendant-or-self::*/*[{MAX_SIBLINGS + 1}])", regexp=False)  # four times as fast as *[*[n]]


def is_crowded(root: etree._Element, size: int) -> bool:
    """Say whether a document of `size` bytes has an element with very many children."""
    return size > MAX_UNCOUNTED and bool(_CROWDED(root))


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """What a stream found: libxml2's words, without a place, and the elements near which they were said."""

    log: tuple[etree._LogEntry, ...]
    elements: tuple[etree._Element, ...]


def suspicion(schema: etree.XMLSchema, root: etree._Element, limit: int) -> Suspicion | None:
    """Judge a document as a stream until about `limit` faults are found; None where it is valid. Leaves the log of `schema` alone."""
    text = etree.tostring(root, encoding="utf-8", with_tail=False)
    windows, log = _faulty(schema, text, limit)
    elements = (element for begin, end in windows for element in _within(root, text, begin, end))
    return Suspicion(log=tuple(log), elements=tuple(elements)) if log else None


def located(schema: etree.XMLSchema, root: etree._Element, suspected: Suspicion, limit: int) -> tuple[Finding, ...]:
    """Find the faults of what is suspected, at least one; uses the log of `schema`."""
    origin: dict[etree._Element, etree._Element] = {}
    thin = _thinned(root, {above for element in suspected.elements for above in _upward(element)}, origin)
    schema(thin)
    found = tuple(replace(finding, element=origin[finding.element]) for finding in findings(schema, thin, limit))
    return found or tuple(_guessed(suspected))[:limit]


def _faulty(schema: etree.XMLSchema, text: bytes, limit: int) -> tuple[list[tuple[int, int]], list[etree._LogEntry]]:
    """Feed a document until enough is found; give the windows in which something was, and what."""
    parser = judging_parser(schema)
    windows: list[tuple[int, int]] = []
    log: list[etree._LogEntry] = []
    for begin in range(0, len(text) + _WINDOW, _WINDOW):
        if begin < len(text):
            parser.feed(text[begin : begin + _WINDOW])
        else:
            with suppress(etree.XMLSyntaxError):  # that it is not valid; the log says why
                parser.close()
        now = list(entries(parser.feed_error_log))
        if len(now) > len(log):
            windows.append((max(0, begin - _LAG), min(begin + _WINDOW, len(text))))
            log = now
        if len(log) >= limit:
            break
    return windows, log


def _within(root: etree._Element, text: bytes, begin: int, end: int) -> Iterator[etree._Element]:
    """Find the elements that start between two places of the text, and the one before them."""
    return islice(root.iter("{*}*"), max(0, _starts(text, begin) - 1), _starts(text, end))


def _starts(text: bytes, end: int) -> int:
    """Count the start tags that begin before a place; in written XML a `<` stands nowhere else."""
    return text.count(b"<", 0, end) - text.count(b"</", 0, end + 1)


def _upward(element: etree._Element) -> Iterator[etree._Element]:
    yield element
    yield from element.iterancestors()


def _thinned(element: etree._Element, kept: Collection[etree._Element], origin: dict[etree._Element, etree._Element]) -> etree._Element:
    """Copy an element with few of very many children: the first of each name, and those to keep; `origin` leads back."""
    namespaces = cast("Mapping[str, str]", element.nsmap)  # the stubs forget the default one, whose prefix is None
    copy = etree.Element(element.tag, nsmap=namespaces)
    for name, value in element.items():
        copy.set(name, value)
    copy.text, copy.tail = element.text, element.tail
    origin[copy] = element
    crowded, names = len(element) > MAX_SIBLINGS, set[object]()
    for child in element:
        if not crowded or child in kept or child.tag not in names:
            copy.append(_thinned(child, kept, origin))
        names.add(child.tag)
    return copy


def _guessed(suspected: Suspicion) -> Iterator[Finding]:
    """Tell what only the whole document shows, such as one sibling too many, at the first suspect of its name."""
    for entry in suspected.log:
        named = [element for element in suspected.elements if f"'{element.tag}'" in entry.message]
        yield Finding(element=(named or suspected.elements)[0], kind=entry.type_name, message=entry.message)
