"""The paths that procedures declare into a document's content, read with one compiled XPath.

A path is element names joined by `/`, starting at the business element: `PhytosanitaryCer/ProductList/Product/ProductName`.
It selects every element it fits. No predicates, wildcards, attributes or namespaces: the field needs none, and what is left
can be read by anybody.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from lxml.etree import XPath, _Element

PATH = re.compile(r"[A-Za-z_][\w.-]*(/[A-Za-z_][\w.-]*)+", re.ASCII)
MAX_VALUE = 255  # characters: an index entry, not a text; the longest code in the field's schemas has 255
MAX_VALUES = 1_000  # of one layer of one message: the longest manifest in use names a few hundred containers

Label = TypeVar("Label")
Select = Callable[[_Element], list[_Element]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer(Generic[Label]):
    """Paths that end in different names, so that one XPath selects for all and an element's name tells its path."""

    select: Select
    labels: Mapping[str, tuple[Label, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths(Generic[Label]):
    """Labelled paths, compiled; almost always one layer."""

    labels: frozenset[Label]
    layers: tuple[_Layer[Label], ...]

    def read(self, content: _Element) -> list[tuple[Label, str]]:
        """Give each label with each text its path selects; empty texts and what exceeds the limits are left out."""
        return [
            (label, text)
            for layer in self.layers
            for element in layer.select(content)
            if (text := (element.text or "").strip()) and len(text) <= MAX_VALUE
            for label in layer.labels[element.tag]
        ]


def is_path(text: str) -> bool:
    """Say whether a text is a path of this language."""
    return PATH.fullmatch(text) is not None


def compile_paths(labelled: Iterable[tuple[Label, str]]) -> Paths[Label]:
    """Compile labelled paths, each of which is_path."""
    by_path: dict[str, tuple[Label, ...]] = {}
    for label, path in labelled:
        by_path[path] = (*by_path.get(path, ()), label)
    layers: list[dict[str, str]] = []  # last name -> path
    for path in by_path:
        name = path.rpartition("/")[2]
        layer = next((layer for layer in layers if name not in layer), None)
        if layer is None:
            layers.append({name: path})
        else:
            layer[name] = path
    labels = frozenset(label for those in by_path.values() for label in those)
    return Paths(labels=labels, layers=tuple(_layer(layer, by_path) for layer in layers))


def _layer(paths: Mapping[str, str], by_path: Mapping[str, tuple[Label, ...]]) -> _Layer[Label]:
    select = XPath(f"({' | '.join(paths.values())})[position() <= {MAX_VALUES}]")
    return _Layer(select=cast("Select", select), labels={name: by_path[path] for name, path in paths.items()})
