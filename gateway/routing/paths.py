"""The paths that procedures declare into a document's content, and one walk that reads them all.

A path is element names joined by `/`, starting at the business element: `PhytosanitaryCer/ProductList/Product/ProductName`.
It selects every element it fits, in document order. No predicates, wildcards, attributes or namespaces: the field needs none,
and what is left can be read by anybody and costs one pass over the children that matter.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Generic, TypeVar

from lxml.etree import _Element

PATH = re.compile(r"[A-Za-z_][\w.-]*(/[A-Za-z_][\w.-]*)+")
MAX_VALUE = 255  # characters: an index entry, not a text; the longest code in the field's schemas has 255
MAX_VALUES = 1_000  # of one message: the longest manifest line list in use has a few hundred containers

Label = TypeVar("Label")


@dataclass(frozen=True, slots=True, kw_only=True)
class PathTree(Generic[Label]):
    """Paths that share their beginnings, so that one walk reads them all; `here` labels the text of this element."""

    here: tuple[Label, ...] = ()
    below: "Mapping[str, PathTree[Label]]" = field(default_factory=dict)

    def read(self, element: _Element) -> list[tuple[Label, str]]:
        """Give each label with the text of each element its path selects; empty texts and what exceeds the limits are left out."""
        found: list[tuple[Label, str]] = []
        for pair in self._walk(element):
            found.append(pair)
            if len(found) == MAX_VALUES:
                break
        return found

    def _walk(self, element: _Element) -> Iterator[tuple[Label, str]]:
        if not self.below:
            return  # without a tag, iterchildren gives every child
        for child in element.iterchildren(*self.below):
            branch = self.below[child.tag]
            if branch.here and (text := (child.text or "").strip()) and len(text) <= MAX_VALUE:
                for label in branch.here:
                    yield label, text
            yield from branch._walk(child)  # noqa: SLF001 -- the same class


def is_path(text: str) -> bool:
    """Say whether a text is a path of this language."""
    return PATH.fullmatch(text) is not None


def plant(paths: Iterable[tuple[Label, str]]) -> PathTree[Label]:
    """Join labelled paths into one tree."""
    return _grow([(label, path.split("/")) for label, path in paths])


def _grow(branches: list[tuple[Label, list[str]]]) -> PathTree[Label]:
    here = tuple(label for label, steps in branches if not steps)
    deeper = sorted(((label, steps) for label, steps in branches if steps), key=_first)
    below = {name: _grow([(label, steps[1:]) for label, steps in group]) for name, group in groupby(deeper, key=_first)}
    return PathTree(here=here, below=below)


def _first(branch: tuple[object, list[str]]) -> str:
    return branch[1][0]
