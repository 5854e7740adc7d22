"""The source tree as data: every Python file with its syntax tree, and every other text file of the project."""

import ast
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOT_OURS = frozenset({".git", ".venv", "var", "dist", "build", "__pycache__", "node_modules"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One Python file: `name` is its path from the root, with slashes."""

    name: str
    text: str = field(repr=False)
    tree: ast.Module = field(repr=False)

    @property
    def product(self) -> bool:
        return self.name.startswith(("gateway/", "adapters/"))


def _files() -> Iterator[Path]:
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(f for f in folders if f not in NOT_OURS and not f.endswith(("_cache", ".egg-info", ".hypothesis")))
        yield from (Path(folder) / name for name in sorted(names))


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def files() -> Sequence[Path]:
    """Every file of the project."""
    return tuple(_files())


@pytest.fixture(scope="session")
def modules(files: Sequence[Path]) -> Sequence[Module]:
    """Every Python file, parsed."""
    sources = ((file.relative_to(ROOT).as_posix(), file.read_text("utf-8")) for file in files if file.suffix == ".py")
    return tuple(Module(name=name, text=text, tree=ast.parse(text)) for name, text in sources)


@pytest.fixture(scope="session")
def product(modules: Sequence[Module]) -> Sequence[Module]:
    """What is installed: the hub and the adapters."""
    return tuple(module for module in modules if module.product)
