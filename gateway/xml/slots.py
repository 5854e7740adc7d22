"""Reads from an envelope's schema whether it declares the places of the two signatures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lxml import etree

from .namespaces import XS
from .sources import Closure

ABSENT, OPTIONAL, REQUIRED = "absent", "optional", "required"
_GROUPS = ("sequence", "all", "choice", "group")
_INSIDE = ("complexType", "complexContent", "extension", "restriction")
_DEEPEST = 32  # definitions within definitions; the field's envelopes have 6


@dataclass(frozen=True, slots=True, kw_only=True)
class _Child:
    """A declared child element: its declaration, and whether every document has it."""

    declaration: etree._Element
    required: bool


def slots_of(closure: Closure) -> tuple[str, str]:
    """Say of Body/Signature and of SystemSignature whether the schema leaves it absent, optional or required."""
    declared = _Declared(closure)
    envelope = declared.find("element", "Envelope")
    children = declared.children(envelope) if envelope is not None else {}
    body = children.get("Body")
    inner = declared.children(body.declaration) if body else {}
    return _slot(inner.get("Signature")), _slot(children.get("SystemSignature"))


def _slot(child: _Child | None) -> str:
    return ABSENT if child is None else REQUIRED if child.required else OPTIONAL


class _Declared:
    """The global components of a schema's documents, by kind and local name: an envelope has one namespace or none."""

    def __init__(self, closure: Closure) -> None:
        own = [document for document in closure.documents if document.namespace in ("", closure.entry.namespace)]
        self._named = {(item.tag, item.get("name")): item for document in own for item in document.root.iterchildren("{*}*")}

    def find(self, kind: str, name: str | None) -> etree._Element | None:
        """Find a global component by a name with or without prefix."""
        return self._named.get((f"{{{XS}}}{kind}", (name or "").rpartition(":")[2]))

    def children(self, element: etree._Element) -> Mapping[str, _Child]:
        """List the child elements that an element's type declares; the first declaration of a name counts."""
        found: dict[str, _Child] = {}
        for name, child in self._in_type(self._type(self._global(element, "element")), depth=0):
            found.setdefault(name, child)
        return found

    def _global(self, item: etree._Element, kind: str) -> etree._Element:
        referred = self.find(kind, item.get("ref")) if item.get("ref") else None
        return item if referred is None else referred

    def _type(self, element: etree._Element) -> etree._Element | None:
        inline = element.find(f"{{{XS}}}complexType")
        return inline if inline is not None else self.find("complexType", element.get("type"))

    def _in_type(self, holder: etree._Element | None, *, depth: int, required: bool = True) -> Iterator[tuple[str, _Child]]:
        """Go through what a type, or a group of it, holds; `depth` ends definitions that go in a circle."""
        if holder is None or depth > _DEEPEST:
            return
        if holder.tag == f"{{{XS}}}extension":
            yield from self._in_type(self.find("complexType", holder.get("base")), depth=depth + 1, required=required)
        for item in holder.iterchildren("{*}*"):
            kind = etree.QName(item).localname
            needed = required and item.get("minOccurs", "1") != "0" and etree.QName(holder).localname != "choice"
            if item.get("maxOccurs") == "0":
                continue
            if kind == "element":
                yield self._named_child(item, required=needed)
            elif kind in _GROUPS:
                yield from self._in_type(self._global(item, "group"), depth=depth + 1, required=needed)
            elif kind in _INSIDE:
                yield from self._in_type(item, depth=depth + 1, required=required)

    def _named_child(self, item: etree._Element, *, required: bool) -> tuple[str, _Child]:
        name = item.get("name") or (item.get("ref") or "").rpartition(":")[2]
        return name, _Child(declaration=item, required=required)
