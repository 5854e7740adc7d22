"""Words a fault that a schema finds: where it is, what was found, what was expected in each language."""

from collections.abc import Mapping

from lxml import etree

from gateway.errors import Problem
from gateway.errors import explain as say

from .parse import line_of
from .places import name_of, path_of

LANGUAGES = ("vi", "en")
MAX_FOUND = 60  # characters of the sender's value that are quoted
_LOOKED_AT = 2000  # characters of a value that the quotation is made from
MAX_CHOICES = 12  # names or values that are listed

Words = Mapping[str, str]  # one phrase in each language, under a key and the language's suffix

NO_LABEL: Words = {f"label_{language}": "" for language in LANGUAGES}


def fault(text: str, element: etree._Element, root: etree._Element, *, attribute: str = "", **values: str) -> Problem:
    """Make the problem of an element, or of an attribute of it."""
    name = f"@{attribute}" if attribute else name_of(element)
    path = path_of(element, root) + (f"/@{attribute}" if attribute else "")
    return Problem(text=f"schema.{text}", path=path, line=line_of(element), values={**NO_LABEL, "name": name, **values})


def shortened(value: str) -> str:
    """Quote a value: white space drawn together, the rest cut off."""
    drawn = " ".join(value[:_LOOKED_AT].split())
    return drawn if len(drawn) <= MAX_FOUND else f"{drawn[:MAX_FOUND]}…"


def listed(names: list[str]) -> str:
    """List names or values, the first dozen."""
    return ", ".join(names[:MAX_CHOICES]) + (", …" if len(names) > MAX_CHOICES else "")


def form(key: str, **values: str) -> dict[str, str]:
    """Say in each language what a value has to look like; `key` is a text of the schema area."""
    return expecting({language: say(Problem(text=f"schema.form-{key}", values=values), language) for language in LANGUAGES})


def expecting(words: Words) -> dict[str, str]:
    """Put a description of what was expected, by language, into a problem's values."""
    return {"expected": words["en"], **{f"expected_{language}": words[language] for language in LANGUAGES}}


def builtin_form(name: str) -> dict[str, str]:
    """Describe a type of XML Schema itself, by its name without prefix."""
    key = _FORMS.get(name)
    return form(key) if key else form("type", type=name)


_WHOLE = ("integer", "long", "int", "short", "byte", "nonNegativeInteger", "positiveInteger", "nonPositiveInteger", "negativeInteger")
_UNSIGNED = ("unsignedLong", "unsignedInt", "unsignedShort", "unsignedByte")
_FORMS = {
    **dict.fromkeys((*_WHOLE, *_UNSIGNED), "whole"),
    **dict.fromkeys(("decimal", "float", "double"), "decimal"),
    "dateTime": "date-time",
    "date": "date",
    "time": "time",
    "gYear": "year",
    "boolean": "boolean",
    "base64Binary": "base64",
    "hexBinary": "hex",
}
