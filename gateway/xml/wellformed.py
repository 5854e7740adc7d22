"""Turns libxml2's syntax errors into problems that say in plain words what is wrong, where, and what to do."""

import re
from collections.abc import Mapping

from lxml import etree

from gateway.errors import Code, Problem

MAX_QUOTE = 120  # characters of the document or of libxml2's own words that a problem repeats

_LIMITS: Mapping[int, str] = {110: "xml.name-too-long", 114: "xml.over-limit"}
_KNOWN: Mapping[int, str] = {
    4: "xml.no-element",
    5: "xml.after-end",
    9: "xml.character",
    23: "xml.ampersand",
    26: "xml.entity",
    38: "xml.less-than",
    39: "xml.unquoted",
    41: "xml.no-value",
    42: "xml.attribute-twice",
    62: "xml.cdata-end",
    63: "xml.cdata-open",
    64: "xml.declaration",
    73: "xml.tag-open",
    76: "xml.tag-mismatch",
    77: "xml.cut-off",
    80: "xml.comment",
    81: "xml.bytes",
    201: "xml.prefix",
    203: "xml.attribute-twice",
}
_NAME_REQUIRED = 68  # for a bare ampersand and for a bare less-than sign alike
_QUOTES = (
    re.compile(r"Excessive depth in document: (?P<limit>\d+)"),
    re.compile(r"mismatch: (?P<opened>\S+) line (?P<since>\d+) and (?P<closed>[^\s,]+)"),
    re.compile(r"in tag (?P<opened>\S+) line (?P<since>\d+)"),
    re.compile(r"Namespace prefix (?P<name>\S+) (?:for \S+ )?on"),
    re.compile(r"(?:Entity '|Attribute |attribute )(?P<name>[^\s',]+)"),
)


def syntax_problem(error: etree.XMLSyntaxError) -> tuple[Code, Problem]:
    """Say what a syntax error is: LIMIT where libxml2 stopped at one of its own limits, else NOT_XML."""
    line, column = error.position
    said = str(error.msg or "").removesuffix(f", line {line}, column {column}")
    code, text = _named(getattr(error, "code", 0), said)
    values = {"line": str(line), "column": str(column), "reason": said.strip()[:MAX_QUOTE], **_quoted(said)}
    return code, Problem(text=text, line=line or None, values=values)


def _named(number: int, said: str) -> tuple[Code, str]:
    if number in _LIMITS:
        return Code.LIMIT, "xml.limit-depth" if "depth" in said else _LIMITS[number]
    if number == _NAME_REQUIRED:
        return Code.NOT_XML, "xml.ampersand" if "EntityRef" in said else "xml.less-than"
    return Code.NOT_XML, _KNOWN.get(number, "xml.syntax")


def _quoted(said: str) -> dict[str, str]:
    """Pick the names out of libxml2's words."""
    for pattern in _QUOTES:
        if found := pattern.search(said):
            return {key: value[:MAX_QUOTE] for key, value in found.groupdict().items()}
    return {}
