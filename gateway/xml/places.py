"""Says where an element stands, in the words of its own document."""

from typing import TypeGuard

from lxml import etree


def path_of(element: etree._Element, root: etree._Element) -> str:
    """Write the path from `root` with the document's own prefixes, an index where siblings share the name."""
    steps = [_step(element, alone=element is root)]
    while element is not root and (parent := element.getparent()) is not None:
        element = parent
        steps.append(_step(element, alone=element is root))
    return "/" + "/".join(reversed(steps))


def name_of(element: etree._Element) -> str:
    """Write an element's name as its document does."""
    local = etree.QName(element).localname
    return f"{element.prefix}:{local}" if element.prefix else local


def is_element(value: object) -> TypeGuard[etree._Element]:
    """Say whether a value is an element of a document."""
    return etree.iselement(value)


def _step(element: etree._Element, *, alone: bool = False) -> str:
    before = 0 if alone else sum(1 for _ in element.itersiblings(element.tag, preceding=True))
    has_next = not alone and next(element.itersiblings(element.tag), None) is not None
    return f"{name_of(element)}[{before + 1}]" if before or has_next else name_of(element)
