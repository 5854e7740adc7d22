"""Says which child elements are missing, unknown, repeated or out of place."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches

from lxml import etree
from xmlschema import XMLSchemaChildrenValidationError, XsdElement
from xmlschema.validators import XsdGroup

from gateway.errors import Problem

from .documentation import label
from .parse import line_of
from .places import is_element, name_of
from .wording import fault, listed

_ALIKE = 0.7  # of two names: Adress and Address, not Name and Note
_MOST = 20  # unknown children that are looked at
_MANY = 3  # missing children that are worth a problem each; more are listed in one


def child_faults(error: XMLSchemaChildrenValidationError, root: etree._Element) -> Iterator[Problem]:
    """Say all that is wrong with the children an error speaks of; only the first where the model is not a plain list."""
    parent, model = error.elem, error.validator
    if not is_element(parent) or not isinstance(model, XsdGroup):
        return
    declared = _plain(model)
    if declared is None:
        yield _first_fault(error, parent, root)
    else:
        yield from _Children(parent, declared, root, ordered=model.model == "sequence").faults()


def _plain(model: XsdGroup) -> list[XsdElement] | None:
    """List a model's elements where it is a plain list: no choice, no wildcard, each name once."""
    if model.model == "choice" or (model.min_occurs, model.max_occurs) != (1, 1):
        return None
    found: list[XsdElement] = []
    for particle in model:
        inner = _plain(particle) if isinstance(particle, XsdGroup) else [particle]
        if inner is None:
            return None
        found += [item for item in inner if isinstance(item, XsdElement)]
        if any(not isinstance(item, XsdElement) or item.name in item.maps.substitution_groups for item in inner):
            return None
    return found if len({item.name for item in found}) == len(found) else None


def _first_fault(error: XMLSchemaChildrenValidationError, parent: etree._Element, root: etree._Element) -> Problem:
    expected = [str(item.local_name) for item in error.expected or () if item.local_name]
    child = error.invalid_child
    if not is_element(child):
        return fault(
            "missing-one" if len(expected) != 1 else "missing-last", parent, root, parent=name_of(parent), expected=listed(expected)
        )
    near = get_close_matches(etree.QName(child).localname, expected, 1, _ALIKE)
    if near and near[0] != etree.QName(child).localname:
        return fault("misnamed", child, root, parent=name_of(parent), expected=near[0])
    return fault("unexpected" if expected else "superfluous", child, root, parent=name_of(parent), expected=listed(expected))


class _Children:
    """The children of one element against a plain list of declared ones."""

    def __init__(self, parent: etree._Element, declared: Sequence[XsdElement], root: etree._Element, *, ordered: bool) -> None:
        self._parent, self._declared, self._root, self._ordered = parent, declared, root, ordered
        self._place: Mapping[str, int] = {str(item.name): index for index, item in enumerate(declared)}
        children = [child for child in parent if isinstance(child.tag, str)]
        self._known = [child for child in children if child.tag in self._place]
        self._unknown = [child for child in children if child.tag not in self._place][:_MOST]
        self._count = Counter(str(child.tag) for child in self._known)
        self._kept = (
            _longest_rise([self._place[str(child.tag)] for child in self._known]) if ordered else frozenset(range(len(self._known)))
        )

    def faults(self) -> Iterator[Problem]:
        renamed = {child: item for child in self._unknown if (item := self._meant(child)) is not None}
        for child in self._unknown:
            yield self._unknown_fault(child, renamed.get(child))
        yield from self._repeated()
        yield from self._misplaced()
        lacking = [item for item in self._declared if self._count[str(item.name)] < item.min_occurs and item not in renamed.values()]
        if len(lacking) > _MANY:
            yield self._fault("missing-many", expected=listed([str(item.local_name) for item in lacking]))
        else:
            yield from map(self._missing, lacking)

    def _meant(self, child: etree._Element) -> XsdElement | None:
        """Guess which absent element an unknown one was meant to be."""
        absent = {str(item.local_name): item for item in self._declared if not self._count[str(item.name)]}
        near = get_close_matches(etree.QName(child).localname, absent, 1, _ALIKE)
        if near:
            return absent[near[0]]
        lacking = [item for item in absent.values() if item.min_occurs]
        return lacking[0] if len(lacking) == len(self._unknown) == 1 else None

    def _unknown_fault(self, child: etree._Element, meant: XsdElement | None) -> Problem:
        if meant is not None:
            return fault("misnamed", child, self._root, parent=name_of(self._parent), expected=str(meant.local_name), **label(meant))
        absent = [str(item.local_name) for item in self._declared if not self._count[str(item.name)]]
        return fault("unexpected" if absent else "superfluous", child, self._root, parent=name_of(self._parent), expected=listed(absent))

    def _repeated(self) -> Iterator[Problem]:
        for item in self._declared:
            same = [child for child in self._known if child.tag == item.name]
            if item.max_occurs is not None and len(same) > item.max_occurs:
                values = {"limit": str(item.max_occurs), "count": str(len(same)), "parent": name_of(self._parent)}
                yield fault("repeated", same[item.max_occurs], self._root, **values, **label(item))

    def _misplaced(self) -> Iterator[Problem]:
        for index, child in enumerate(self._known):
            if index not in self._kept:
                before = self._before(self._place[str(child.tag)] + 1)
                text, after = ("order", name_of(before)) if before is not None else ("order-first", "")
                yield fault(
                    text, child, self._root, parent=name_of(self._parent), after=after, **label(self._declared[self._place[str(child.tag)]])
                )

    def _missing(self, item: XsdElement) -> Problem:
        before = self._before(self._place[str(item.name)]) if self._ordered else None
        values = {"expected": str(item.local_name), "after": "" if before is None else name_of(before)}
        problem = self._fault("missing" if before is None else "missing-after", **values, **label(item))
        return problem if before is None else replace(problem, line=line_of(before))

    def _before(self, place: int) -> etree._Element | None:
        """Find the last well-placed child that is declared before a place."""
        earlier = [child for index, child in enumerate(self._known) if index in self._kept and self._place[str(child.tag)] < place]
        return earlier[-1] if earlier else None

    def _fault(self, text: str, **values: str) -> Problem:
        return fault(text, self._parent, self._root, parent=name_of(self._parent), **values)


def _longest_rise(places: Sequence[int]) -> frozenset[int]:
    """Find the positions of a longest run that never falls: whatever is not in it stands out of order."""
    ends: list[int] = []  # position of the smallest end of a run of each length, and its place
    lowest: list[int] = []
    previous: list[int | None] = []
    for position, place in enumerate(places):
        length = bisect_right(lowest, place)
        previous.append(ends[length - 1] if length else None)
        ends[length : length + 1] = [position]
        lowest[length : length + 1] = [place]
    run: set[int] = set()
    at = ends[-1] if ends else None
    while at is not None:
        run.add(at)
        at = previous[at]
    return frozenset(run)
