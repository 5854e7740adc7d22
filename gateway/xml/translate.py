"""Translates libxml2's findings into the texts of the schema area, for documents too large to explain otherwise."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from types import MappingProxyType
from typing import cast

from lxml import etree

from gateway.errors import Problem

from .places import name_of
from .wording import builtin_form, fault, form, listed, shortened

_BLANK = " \t\r\n"
_NAMESPACE = re.compile(r"\{[^{}]*\}")
_TEXTS: Mapping[str, re.Pattern[str]] = MappingProxyType({
    "root": re.compile(r"No matching global declaration available for the validation root"),
    "missing-one": re.compile(r"Missing child element\(s\)\.(?: Expected is (?:one of )?\( (?P<expected>.*) \))?"),
    "unexpected": re.compile(r"This element is not expected\.(?: Expected is (?:one of )?\( (?P<expected>.*) \))?"),
    "text-between": re.compile(r"Character content other than whitespace is not allowed because the content type is 'element-only'"),
    "not-empty": re.compile(r"(?:Character|Element) content is not allowed,? because the content type is empty"),
    "children": re.compile(r"Element content is not allowed"),
    "nil": re.compile(r"The element is not 'nillable'|The element cannot be 'nilled'"),
    "attribute-unknown": re.compile(r"The attribute '[^']*' is not allowed"),
    "attribute-missing": re.compile(r"The attribute '[^']*' is required but missing"),
    "fixed": re.compile(r"does not match the fixed value constraint '(?P<expected>.*)'", re.DOTALL),
    "too-long": re.compile(r"\[facet 'maxLength'\].* length of '(?P<length>\d+)'.* length of '(?P<limit>\d+)'", re.DOTALL),
    "too-short": re.compile(r"\[facet 'minLength'\].* length of '(?P<length>\d+)'.* length of '(?P<limit>\d+)'", re.DOTALL),
    "length": re.compile(r"\[facet 'length'\].* length of '(?P<length>\d+)'.* length of '(?P<limit>\d+)'", re.DOTALL),
    "minimum": re.compile(r"\[facet 'minInclusive'\].*'(?P<limit>[^']*)'", re.DOTALL),
    "maximum": re.compile(r"\[facet 'maxInclusive'\].*'(?P<limit>[^']*)'", re.DOTALL),
    "above": re.compile(r"\[facet 'minExclusive'\].*'(?P<limit>[^']*)'", re.DOTALL),
    "below": re.compile(r"\[facet 'maxExclusive'\].*'(?P<limit>[^']*)'", re.DOTALL),
    "digits": re.compile(r"\[facet 'totalDigits'\].*'(?P<limit>[^']*)'", re.DOTALL),
    "fraction": re.compile(r"\[facet 'fractionDigits'\].*'(?P<limit>[^']*)'", re.DOTALL),
    "value-pattern": re.compile(r"\[facet 'pattern'\].* is not accepted by the pattern '(?P<expected>.*)'", re.DOTALL),
    "value-one-of": re.compile(r"\[facet 'enumeration'\].* is not an element of the set \{(?P<expected>.*)\}", re.DOTALL),
    "value": re.compile(r"is not a valid value of the (?:local )?(?:atomic|list|union) type(?: '(?P<expected>[^']*)')?"),
})  # fmt: skip
_STEP = re.compile(r"/([^/\[]+)(?:\[(\d+)\])?")
_ATTRIBUTE = re.compile(r"Element '[^']*', attribute '([^']*)': |.*?The attribute '([^']*)' ")
_PADDED = "SCHEMAV_CVC_DATATYPE_VALID_1_2_1"
_UPPER = ("too-long", "maximum", "below", "digits", "fraction")
_ALIKE = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of libxml2's log, with the element it speaks of."""

    element: etree._Element
    kind: str
    message: str

    @property
    def is_padded(self) -> bool:
        """Whether it may be no more than white space around a date or time, which libxml2 refuses and the standard allows."""
        text = self.element.text or ""
        return self.kind == _PADDED and not len(self.element) and ", attribute '" not in self.message and text != text.strip(_BLANK)


def entries(log: object) -> Iterable[etree._LogEntry]:
    """Read one of lxml's logs, which its stubs do not call iterable."""
    return cast("Iterable[etree._LogEntry]", log)  # noqa: SLF001 # the stubs have no public name for it


def findings(schema: etree.XMLSchema, root: etree._Element, limit: int) -> tuple[Finding, ...]:
    """Read the log of the last validation, its first `limit` lines."""
    return tuple(
        Finding(element=_element(root, entry.path or ""), kind=entry.type_name, message=entry.message)
        for entry in islice(entries(schema.error_log), limit)
    )


def translate(found: Iterable[Finding], root: etree._Element, limit: int) -> tuple[Problem, ...]:
    """Give at most `limit` problems, one for each place."""
    return tuple(islice(_distinct(_problem(finding, root) for finding in found), limit))


def _element(root: etree._Element, path: str) -> etree._Element:
    """Follow a path as libxml2 writes it (names with the document's prefixes, `*` in a default namespace) as far as it goes."""
    element = root
    for name, number in _STEP.findall(path)[1:]:
        children = [child for child in element.iterchildren("{*}*") if name in ("*", name_of(child))]
        if len(children) < int(number or 1):
            break
        element = children[int(number or 1) - 1]
    return element


def _distinct(problems: Iterator[Problem]) -> Iterator[Problem]:
    seen: set[tuple[str | None, bool]] = set()
    for problem in problems:
        key = (problem.path, "found" in problem.values)
        if key not in seen or "found" not in problem.values:
            seen.add(key)
            yield problem


def _problem(finding: Finding, root: etree._Element) -> Problem:
    for text, form_of_it in _TEXTS.items():
        if found := form_of_it.search(finding.message):
            return _worded(text, finding, root, {name: value or "" for name, value in found.groupdict().items()})
    return fault("other", finding.element, root, reason=shortened(_NAMESPACE.sub("", finding.message.partition(": ")[2])))


def _worded(text: str, finding: Finding, root: etree._Element, values: dict[str, str]) -> Problem:
    element, attribute = finding.element, _attribute_of(finding)
    if text in ("missing-one", "unexpected"):
        return _child_fault(text, element, root, _names(values["expected"]))
    if text in ("attribute-unknown", "attribute-missing"):
        return fault(text, element, root, attribute=attribute, owner=name_of(element))
    if text in ("root", "text-between", "not-empty", "children", "nil"):
        return fault(text, element, root, expected="…", found=_inside(element))
    raw = (element.get(attribute) if attribute else element.text) or ""
    expected = _expected(text, values.pop("expected", ""))
    if not raw.strip() and text not in _UPPER:
        text = "empty"
    return fault(
        text.partition("-")[0] if text.startswith("value") else text,
        element,
        root,
        attribute=attribute,
        found=shortened(raw),
        **expected,
        **values,
    )


def _child_fault(text: str, element: etree._Element, root: etree._Element, names: list[str]) -> Problem:
    if text == "missing-one":
        return fault("missing-one" if len(names) > 1 else "missing-last", element, root, parent=name_of(element), expected=listed(names))
    holder = element.getparent()
    parent = name_of(holder if holder is not None else element)
    near = get_close_matches(etree.QName(element).localname, names, 1, _ALIKE)
    if near and near[0] != etree.QName(element).localname:
        return fault("misnamed", element, root, parent=parent, expected=near[0])
    return fault("unexpected" if names else "superfluous", element, root, parent=parent, expected=listed(names))


def _names(expected: str) -> list[str]:
    """Read libxml2's list of names, without their namespaces and the marks of its wildcards."""
    return [name.strip(" *") for name in _NAMESPACE.sub("", expected).split(",") if name.strip(" *") and not name.strip().startswith("##")]


def _expected(text: str, expected: str) -> dict[str, str]:
    if text == "value":
        return builtin_form(expected.removeprefix("xs:")) if expected.startswith("xs:") else form("any")
    if text == "value-pattern":
        return form("pattern", pattern=shortened(expected))
    if text == "value-one-of":
        return form("one-of", values=shortened(expected.replace("'", "")))
    if text == "fixed":
        return form("fixed", value=shortened(expected))
    return form("any")


def _attribute_of(finding: Finding) -> str:
    named = _ATTRIBUTE.match(finding.message)
    return _NAMESPACE.sub("", named[1] or named[2] or "") if named else ""


def _inside(element: etree._Element) -> str:
    """Quote what stands in an element that should not."""
    if len(element) and not (element.text or "").strip():
        loose = next((child.tail for child in element if child.tail and child.tail.strip()), "")
        return shortened(loose) or name_of(element[0])
    return shortened(element.text or "")
