"""Finds the place a problem speaks of in a document's text, and shows it as an editor would."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from lxml import etree
from rich.cells import cell_len

from gateway.errors import Problem
from gateway.xml.places import name_of

AROUND = 1  # lines shown before and after the one that is meant
NARROWEST = 40  # cells of an excerpt on any terminal

_MARKUP = re.compile(r"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>", re.DOTALL)
_START = re.compile(r"<(?=[^/?!\s])([^\s/>]+)(?:[^>\"']|\"[^\"]*\"|'[^']*')*>")
_STEP = re.compile(r"([^\[\]]+)(?:\[(\d+)\])?")
_MARKS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be", b"<\0": "utf-16-le", b"\0<": "utf-16-be"}
_BEGINS = {"xml.tag-mismatch": "</", "xml.ampersand": "&", "xml.entity": "&"}  # what is wrong ends where the parser stops


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A stretch of one line: line and column count from 1, `length` in characters."""

    line: int
    column: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of an excerpt; `marker` points at what is meant, empty on the lines around it."""

    number: int
    text: str
    marker: str = ""


class Source:
    """A document's text. `first` is the number of its first line, where it was taken out of another file."""

    def __init__(self, data: bytes, root: etree._Element | None = None, *, first: int = 1) -> None:
        """`root` is the document as parsed, untouched since; without it only problems that name a line are found."""
        self._text = decoded(data)
        self._lines = self._text.split("\n")
        self._root = root
        self._first = first

    def find(self, problem: Problem) -> Place | None:
        """Find what a problem speaks of: the value, the attribute, the tag, or the line; None where it names no place."""
        if self._root is not None and problem.path and (span := self._span(problem, self._root)):
            return self._place(*span)
        return self._by_line(problem) if problem.line else None

    def rows(self, place: Place, *, width: int) -> Iterator[Row]:
        """Cut the lines around a place out of the text, none wider than `width` cells."""
        at = place.line - self._first
        cells = max(width, NARROWEST)
        for index in range(max(at - AROUND, 0), min(at + AROUND + 1, len(self._lines))):
            line = self._lines[index].rstrip("\r")
            if index == at:
                yield _marked(line, place, cells)
            elif line.strip():
                yield Row(number=index + self._first, text=_cut(line, 0, cells))

    @cached_property
    def _masked(self) -> str:
        """The text with everything blotted out that may look like a tag and is none."""
        return _MARKUP.sub(lambda found: "x" * len(found[0]), self._text)

    def _span(self, problem: Problem, root: etree._Element) -> tuple[int, int] | None:
        element, attribute = _walk(root, problem.path or "")
        after = problem.values.get("after")
        if after and problem.text == "schema.missing-after":
            element = next((child for child in reversed(element) if isinstance(child.tag, str) and name_of(child) == after), element)
        order = next(number for number, each in enumerate(root.iter(etree.Element)) if each is element)
        tag = next(islice(_START.finditer(self._masked), order, None), None)
        if tag is None or tag[1] != name_of(element):
            return None
        if attribute:
            return _attribute_span(tag, attribute)
        whole = not len(element) and ("found" in problem.values or after)
        return _value_span(tag, self._masked, whole=bool(after)) if whole else (tag.start(), tag.end(1))

    def _place(self, start: int, end: int) -> Place:
        before = self._text.rfind("\n", 0, start) + 1
        line_end = self._text.find("\n", start)
        stop = min(end, line_end if line_end >= 0 else len(self._text))
        return Place(line=self._first + self._text.count("\n", 0, start), column=start - before + 1, length=max(stop - start, 1))

    def _by_line(self, problem: Problem) -> Place | None:
        number = problem.line or 0
        if not 0 < number <= len(self._lines):
            return None
        line = self._lines[number - 1].rstrip("\r")
        column = problem.values.get("column", "")
        if column.isdecimal() and 0 < int(column) <= len(line) + 1:
            start = max(line.rfind(_BEGINS.get(problem.text, "\0"), 0, int(column) - 1), 0) or int(column) - 1
            return Place(line=number + self._first - 1, column=start + 1, length=max(int(column) - 1 - start, 1))
        bare = line.strip()
        return Place(line=number + self._first - 1, column=len(line) - len(line.lstrip()) + 1, length=max(len(bare), 1))


def decoded(data: bytes) -> str:
    """Read a document's bytes as the parser does; what cannot be read shows as a replacement character."""
    return data.decode(_MARKS.get(data[:2], "utf-8-sig"), "replace").removeprefix("\ufeff")


def _walk(root: etree._Element, path: str) -> tuple[etree._Element, str]:
    """Go down a path as far as it leads, and give the attribute it ends with."""
    steps, _, attribute = path.lstrip("/").partition("/@")
    element = root
    for step in steps.split("/")[1:]:
        named = _STEP.fullmatch(step)
        same = [child for child in element if named and isinstance(child.tag, str) and name_of(child) == named[1]]
        index = int(named[2] or 1) - 1 if named else 0
        if index >= len(same):
            break
        element = same[index]
    return element, attribute


def _attribute_span(tag: re.Match[str], attribute: str) -> tuple[int, int]:
    named = re.compile(rf"\s((?:[^\s=:]+:)?{re.escape(attribute)}\s*=\s*(?:\"[^\"]*\"|'[^']*'))").search(tag[0])
    return (tag.start() + named.start(1), tag.start() + named.end(1)) if named else (tag.start(), tag.end(1))


def _value_span(tag: re.Match[str], masked: str, *, whole: bool) -> tuple[int, int]:
    """Give where an element's text stands, without the white space around it; the whole element where it is empty."""
    if tag[0].endswith("/>"):
        return tag.start(), tag.end()
    end = max(masked.find("</", tag.end()), tag.end())
    inside = masked[tag.end() : end]
    if whole or not inside.strip():
        closed = masked.find(">", end)
        return tag.start(), closed + 1 if closed >= 0 else end
    start = tag.end() + len(inside) - len(inside.lstrip())
    return start, start + len(inside.strip())


def _marked(line: str, place: Place, cells: int) -> Row:
    """Show the meant line with a marker under the place, beginning shortly before it where the line is too long."""
    column = place.column - 1
    start = 0 if cell_len(_shown(line)) <= cells else max(0, column - cells // 3)
    text = _cut(line, start, cells)
    before = ("…" if start else "") + _shown(line[start:column])
    meant = _shown(line[column : column + place.length])
    room = max(cells - cell_len(before), 1)
    return Row(number=place.line, text=text, marker=" " * cell_len(before) + "^" * min(max(cell_len(meant), 1), room))


def _cut(line: str, start: int, cells: int) -> str:
    """Show a line from a column on, in so many cells at most."""
    shown = ("…" if start else "") + _shown(line[start : start + cells + 1])
    if cell_len(shown) <= cells and start + cells + 1 >= len(line):
        return shown
    while cell_len(shown) >= cells:
        shown = shown[:-1]
    return shown + "…"


def _shown(text: str) -> str:
    """Show text harmlessly: a tab as blanks, and a mark for what would move the cursor or turn the writing round."""
    return "".join("    " if c == "\t" else "␦" if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs") else c for c in text)
