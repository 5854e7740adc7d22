"""Explains what a schema has against a document, in the words of the schema's own documentation."""

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from types import MappingProxyType

from lxml import etree
from xmlschema import XMLSchema10, XMLSchemaChildrenValidationError, XMLSchemaException, XMLSchemaValidationError, XsdElement
from xmlschema.validators import XMLSchemaBase, XsdAttributeGroup, XsdFacet, XsdGroup, XsdType, facets

from gateway.errors import Problem

from .children import child_faults
from .documentation import described, documented_form, label
from .namespaces import XSI
from .places import is_element, name_of
from .wording import fault, form, listed, shortened

_LIMITS: Mapping[type[XsdFacet], str] = MappingProxyType({
    facets.XsdMaxLengthFacet: "too-long",
    facets.XsdMinLengthFacet: "too-short",
    facets.XsdLengthFacet: "length",
    facets.XsdMinInclusiveFacet: "minimum",
    facets.XsdMaxInclusiveFacet: "maximum",
    facets.XsdMinExclusiveFacet: "above",
    facets.XsdMaxExclusiveFacet: "below",
    facets.XsdTotalDigitsFacet: "digits",
    facets.XsdFractionDigitsFacet: "fraction",
})  # fmt: skip
_UPPER = ("too-long", "maximum", "below", "digits", "fraction")
_OF_ATTRIBUTE = re.compile(r"attribute ([^=\s]+)=")
_QUOTED = re.compile(r"'(?:\{[^}]*\})?([^']+)'")


def explain(schema: XMLSchema10, root: etree._Element, limit: int) -> tuple[Problem, ...]:
    """Give at most `limit` problems by line; none where xmlschema finds none, or gives up before it finds one."""
    found = islice(_distinct(_Explanation(schema, root).problems()), limit)
    return tuple(sorted(found, key=lambda problem: problem.line or 0))


def _distinct(problems: Iterator[Problem]) -> Iterator[Problem]:
    """Keep one problem of each value: one wrong value may break several facets."""
    seen: set[tuple[str | None, str]] = set()
    for problem in problems:
        key = (problem.path, "value" if "found" in problem.values else f"{problem.text} {problem.values}")
        if key not in seen:
            seen.add(key)
            yield problem


class _Explanation:
    """One document's errors as xmlschema tells them, with the declaration that each element met."""

    def __init__(self, schema: XMLSchema10, root: etree._Element) -> None:
        self._schema, self._root = schema, root
        self._declared: dict[object, XsdElement] = {}

    def problems(self) -> Iterator[Problem]:
        try:
            for error in self._schema.iter_errors(self._root, validation_hook=self._note):
                yield from self._explained(error)
        except (XMLSchemaException, ValueError, TypeError, LookupError, RecursionError):
            return  # such as an xsi:type that names nothing; libxml2 has judged, and its words are left

    def _note(self, element: object, declaration: object) -> bool:
        if isinstance(declaration, XsdElement):
            self._declared[element] = declaration
        return False

    def _explained(self, error: XMLSchemaValidationError) -> Iterator[Problem]:
        element = error.elem if is_element(error.elem) else self._root
        match error.validator:
            case XMLSchemaBase():
                yield fault("root", self._root, self._root, expected=listed(sorted(error.validator.elements)))
            case XsdGroup() if isinstance(error, XMLSchemaChildrenValidationError):
                yield from child_faults(error, self._root)
            case XsdGroup():
                yield fault(
                    "text-between", element, self._root, found=shortened(_loose_text(element)), **label(self._declared.get(element))
                )
            case XsdAttributeGroup():
                yield self._attribute_fault(error, element)
            case XsdElement():
                yield self._element_fault(error, error.validator, element)
            case _ if isinstance(error.validator, XsdFacet | XsdType):
                yield self._value_fault(error, element)
            case _:
                yield fault("other", element, self._root, reason=shortened(error.reason or ""))

    def _attribute_fault(self, error: XMLSchemaValidationError, element: etree._Element) -> Problem:
        reason = error.reason or ""
        named = _QUOTED.search(reason)
        text = "attribute-missing" if reason.startswith("missing") else "attribute-unknown"
        return fault(text, element, self._root, attribute=named[1] if named else "", owner=name_of(element))

    def _element_fault(self, error: XMLSchemaValidationError, declaration: XsdElement, element: etree._Element) -> Problem:
        text = element.text or ""
        if f"{{{XSI}}}nil" in element.attrib:
            return fault("nil", element, self._root, **label(declaration))
        if declaration.type.is_simple() and len(element):
            return fault("children", element, self._root, found=name_of(element[0]), **label(declaration))
        if declaration.fixed is not None and text != declaration.fixed:
            return fault(
                "fixed", element, self._root, found=shortened(text), **form("fixed", value=declaration.fixed), **label(declaration)
            )
        if declaration.type.is_empty():
            return fault("not-empty", element, self._root, found=shortened(text), **label(declaration))
        return fault("other", element, self._root, reason=shortened(error.reason or ""))

    def _value_fault(self, error: XMLSchemaValidationError, element: etree._Element) -> Problem:
        of_attribute = _OF_ATTRIBUTE.match(error.reason or "")
        if of_attribute:
            attribute = etree.QName(of_attribute[1]).localname
            text, values = _value_words(error.validator, str(error.obj), _type_of(error.validator))
            return fault(text, element, self._root, attribute=attribute, **values)
        declaration = self._declared.get(element)
        text, values = _value_words(error.validator, element.text or "", declaration.type if declaration is not None else None)
        return fault(text, element, self._root, **values, **label(declaration))


def _value_words(validator: object, raw: str, type_: XsdType | None) -> tuple[str, dict[str, str]]:
    """Choose the text for a wrong value, and give what it names."""
    found = {"found": shortened(raw), "length": str(len(raw))}
    limit = _LIMITS.get(type(validator)) if isinstance(validator, XsdFacet) else None
    if not raw.strip() and limit not in _UPPER:
        return "empty", {**found, **described(type_)}
    if limit is not None:
        return limit, {**found, **described(type_), "limit": str(getattr(validator, "value", ""))}
    if isinstance(validator, facets.XsdEnumerationFacets):
        return "value", {**found, **form("one-of", values=listed([str(value) for value in validator.enumeration]))}
    if isinstance(validator, facets.XsdPatternFacets):
        return "value", {**found, **(documented_form(type_) or form("pattern", pattern=shortened(validator.regexps[0])))}
    return "value", {**found, **described(type_)}


def _type_of(validator: object) -> XsdType | None:
    """Find the type an attribute's value broke."""
    owner = validator.parent if isinstance(validator, XsdFacet) else validator
    return owner if isinstance(owner, XsdType) else None


def _loose_text(element: etree._Element) -> str:
    """Find the text that stands between child elements."""
    texts = [element.text, *(child.tail for child in element)]
    return next((text for text in texts if text and text.strip()), "")
