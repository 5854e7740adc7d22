"""Opens schema documents: folders laid over each other, and nothing outside them."""

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

from lxml import etree

from gateway.errors import Code, GatewayError, NotReadable, Problem

from .namespaces import XS
from .parse import line_of, parse

MAX_DOCUMENTS = 500  # in one schema; UBL 2.3 with 17 messages has 30

_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+:|//")  # one letter and a colon is a drive: a path, and refused as one
_IMPORT = f"{{{XS}}}import"
_REFERENCES = (f"{{{XS}}}include", _IMPORT, f"{{{XS}}}redefine", f"{{{XS}}}override")

Read = Callable[[str], bytes]  # a document's bytes by its name; raises FileNotFoundError


class SchemasInvalid(GatewayError):
    """Schemas or their catalogue cannot be used; carries every problem at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaDocument:
    """One schema document; `name` is its path below the folders, with slashes."""

    name: str
    data: bytes
    root: etree._Element

    @property
    def namespace(self) -> str:
        """The target namespace, empty where there is none."""
        return self.root.get("targetNamespace", "")

    @property
    def references(self) -> Iterator[etree._Element]:
        """What it includes and imports."""
        return self.root.iterchildren(*_REFERENCES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """A schema with all it is made of, its entry first; `remote` names what stands for a location outside."""

    documents: tuple[SchemaDocument, ...]
    remote: Mapping[str, SchemaDocument]

    @property
    def entry(self) -> SchemaDocument:
        """The document that was asked for."""
        return self.documents[0]

    @property
    def size(self) -> int:
        """How many bytes all of it has."""
        return sum(len(document.data) for document in self.documents)


def overlay(folders: Sequence[Path]) -> Read:
    """Read from the first folder that has the file; a link that leads out of its folder counts as absent."""
    roots = [folder.resolve() for folder in folders]

    def read(name: str) -> bytes:
        for root in roots:
            path = (root / name).resolve()
            if path.is_file() and path.is_relative_to(root):
                return path.read_bytes()
        raise FileNotFoundError(name)

    return read


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One include or import with a location, as it is written: to a file of ours, or to a place outside."""

    by: str
    line: int | None
    location: str
    target: str | None = None
    remote: str | None = None
    namespace: str | None = None  # of an import


class Sources:
    """Opens documents and what they are made of, each once."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._opened: dict[str, SchemaDocument] = {}

    def open(self, name: str) -> SchemaDocument:
        """Open one document; raises FileNotFoundError, or SchemasInvalid where it is unreadable, hostile or not a schema."""
        if name not in self._opened:
            self._opened[name] = _opened(name, self._read(name))
        return self._opened[name]

    def closure(self, entry: str) -> Closure:
        """Open a schema with all it includes and imports; raises SchemasInvalid with all that is wrong with them."""
        found: dict[str, SchemaDocument] = {}
        problems: list[Problem] = []
        remote: list[Link] = []
        waiting = [Link(by=entry, line=None, location=entry, target=entry)]
        while waiting:
            link = waiting.pop(0)
            if link.target is None:
                remote.append(link)
            elif link.target not in found:
                try:
                    found[link.target] = document = self._followed(link, len(found))
                    waiting += links(document)
                except SchemasInvalid as error:
                    problems += [problem for problem in error.problems if problem not in problems]
        local = {link.remote or "": document for link in remote for document in found.values() if document.namespace == link.namespace}
        problems += [_outside(link) for link in remote if link.remote not in local]
        if problems:
            raise SchemasInvalid(Code.RULES, *problems)
        return Closure(documents=tuple(found.values()), remote=local)

    def _followed(self, link: Link, so_far: int) -> SchemaDocument:
        target = link.target or ""
        if so_far >= MAX_DOCUMENTS:
            raise _refused("schema.file-count", link, limit=str(MAX_DOCUMENTS))
        if not is_inside(target):
            raise _refused("schema.file-outside", link, file=target)
        try:
            return self.open(target)
        except FileNotFoundError as error:
            raise _refused("schema.file-missing", link, file=target) from error


def is_inside(name: str) -> bool:
    """Say whether a document's name stays below the folders."""
    parts = name.split("/")
    return bool(name) and not name.startswith("/") and ".." not in parts and "\\" not in name and ":" not in parts[0] and "\0" not in name


def is_remote(location: str) -> bool:
    """Say whether a location names a place on a network or on this machine rather than a relative path."""
    return _REMOTE.match(location) is not None


def _opened(name: str, data: bytes) -> SchemaDocument:
    try:
        root = parse(data)
    except NotReadable as error:
        raise SchemasInvalid(Code.RULES, *(replace(problem, path=name) for problem in error.problems)) from error
    if root.tag != f"{{{XS}}}schema":
        raise SchemasInvalid(Code.RULES, Problem(text="schema.file-kind", path=name, line=1, values={"found": str(root.tag)[:120]}))
    return SchemaDocument(name=name, data=data, root=root)


def links(document: SchemaDocument) -> Iterator[Link]:
    """List what a document includes and imports by location."""
    for reference in document.references:
        location = reference.get("schemaLocation", "").strip()
        line = line_of(reference)
        if is_remote(location):
            namespace = reference.get("namespace", "") if reference.tag == _IMPORT else None
            yield Link(by=document.name, line=line, location=location, remote=location, namespace=namespace)
        elif location:
            yield Link(by=document.name, line=line, location=location, target=resolved(document.name, location))


def resolved(base: str, location: str) -> str:
    """Name what a location in the document `base` means; a name that is_inside() refuses where it leads out."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(base), unquote(location)))


def _refused(text: str, link: Link, **values: str) -> SchemasInvalid:
    return SchemasInvalid(Code.RULES, Problem(text=text, path=link.by, line=link.line, values=values))


def _outside(link: Link) -> Problem:
    return Problem(
        text="schema.file-remote", path=link.by, line=link.line, values={"file": link.remote or "", "namespace": link.namespace or ""}
    )
