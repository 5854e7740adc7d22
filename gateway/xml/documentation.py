"""Reads a schema's own documentation: the name of a field and the form of its value, in each language."""

from collections.abc import Iterator

from xmlschema import XsdComponent, XsdType
from xmlschema.validators import XsdAtomicBuiltin

from .namespaces import XML
from .wording import LANGUAGES, NO_LABEL, builtin_form, expecting


def label(component: XsdComponent | None) -> dict[str, str]:
    """Give what a field is called, in brackets after its tag; empty where the schema does not say. Remarks in brackets are left out."""
    words = _documented(component)
    return {f"label_{language}": f" ({words[language].partition(' (')[0]})" for language in LANGUAGES} if words else dict(NO_LABEL)


def documented_form(type_: XsdType | None) -> dict[str, str] | None:
    """Say what a value of a type looks like, as the type or the nearest one it restricts documents it; None where none does."""
    found = next((words for step in _lineage(type_) if (words := _documented(step))), None)
    return expecting(found) if found else None


def described(type_: XsdType | None) -> dict[str, str]:
    """Say what a value of a type looks like, from its documentation or else from the type of XML Schema it goes back to."""
    builtin = next((step.local_name for step in _lineage(type_) if isinstance(step, XsdAtomicBuiltin)), None)
    return documented_form(type_) or builtin_form(builtin or "anySimpleType")


def _lineage(type_: XsdType | None) -> Iterator[XsdType]:
    while type_ is not None:
        yield type_
        type_ = type_.base_type


def _documented(component: XsdComponent | None) -> dict[str, str]:
    """Read a component's documentation by language; empty unless every language is there."""
    annotation = component.annotation if component is not None else None
    found = {text.get(f"{{{XML}}}lang"): " ".join((text.text or "").split()) for text in annotation.documentation} if annotation else {}
    return {language: found[language] for language in LANGUAGES} if all(found.get(language) for language in LANGUAGES) else {}
