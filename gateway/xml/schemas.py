"""The schemas by name: compiled once, the version in force chosen by the moment of receipt."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from lxml import etree

from gateway.errors import Code, NotValid, Problem

from .catalog import Pack, read_catalogs
from .compiled import MAX_EXPLAINED, Schema
from .namespaces import XS
from .slots import slots_of
from .sources import Closure, SchemasInvalid, Sources, overlay

_UNEXPLAINED = MAX_EXPLAINED + 1  # a size that asks for no explanation
_DIGITS = 8  # of the digest in a version: enough to tell apart what one installation ever has


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiled:
    """A schema's file, ready to judge."""

    closure: Closure
    schema: Schema
    slots: tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """A schema as one pack names it."""

    pack: Pack
    version: str
    compiled: _Compiled


class Schemas:
    """All schemas of an installation; nothing changes after load(), so any number of threads may validate."""

    def __init__(self, entries: Mapping[str, Sequence[_Entry]]) -> None:
        """Take what load() found by schema name, strongest first."""
        self._entries = entries
        self._versions = " ".join(sorted({entry.version for group in entries.values() for entry in group}))
        self._roots = _roots(entries)

    @classmethod
    def load(cls, folders: Sequence[Path]) -> Self:
        """Compile every schema of every folder's catalogue; each file comes from the first folder that has it.

        Raises SchemasInvalid with every problem of every file. Call it in the main thread before others start: libxml2
        sets up its built-in types at the first compilation, and lxml's document loader belongs to the whole process.
        """
        packs = read_catalogs(folders)
        sources = Sources(overlay(folders))
        compiled: dict[str, _Compiled] = {}
        problems: list[Problem] = []
        for file in dict.fromkeys(file for pack in packs for file in pack.schemas.values()):
            try:
                compiled[file] = _compile(sources.closure(file))
            except SchemasInvalid as error:
                problems += [problem for problem in error.problems if problem not in problems]
        if problems:
            raise SchemasInvalid(Code.RULES, *problems)
        return cls(_named(packs, compiled))

    @property
    def version(self) -> str:
        """Name every pack with its version and the digest of its files."""
        return self._versions

    def names(self) -> tuple[str, ...]:
        """List the names of all schemas, sorted."""
        return tuple(sorted(self._entries))

    def validate(self, name: str, root: etree._Element, *, size: int, at: datetime | None = None) -> tuple[Problem, ...]:
        """Say what is wrong with a document of `size` bytes; nothing where it is valid.

        `at` is the moment of receipt; without it the newest version judges. libxml2 decides; xmlschema explains up to 20
        problems of documents up to 64 KiB, beyond that libxml2's own words are translated. Raises NotValid where no such
        schema is in force.
        """
        return self._entry(name, at).compiled.schema.problems(root, size=size)

    def slots(self, name: str, *, at: datetime | None = None) -> tuple[str, str]:
        """Say of Body/Signature and SystemSignature whether the schema leaves each "absent", "optional" or "required"."""
        return self._entry(name, at).compiled.slots

    def pack(self, name: str, *, at: datetime | None = None) -> str:
        """Name the pack that judges a schema's documents, with its version and digest: `name@version+digest`."""
        return self._entry(name, at).version

    def name_for(self, root: etree._Element) -> str | None:
        """Find the schema of a bare document by its root element; None for an envelope, which names its schema itself.

        Where several schemas declare that element, the first that the document satisfies is meant, or else the first.
        """
        names = self._roots.get(str(root.tag), ())
        fitting = (name for name in names if len(names) == 1 or not self.validate(name, root, size=_UNEXPLAINED))
        return next(fitting, names[0] if names else None)

    def _entry(self, name: str, at: datetime | None) -> _Entry:
        for entry in self._entries.get(name, ()):
            if at is None or entry.pack.is_in_force(at):
                return entry
        raise NotValid(Code.MESSAGE_UNKNOWN, Problem(text="schema.not-in-force", values={"name": name}))


def _compile(closure: Closure) -> _Compiled:
    return _Compiled(closure=closure, schema=Schema(closure), slots=slots_of(closure))


def _named(packs: Iterable[Pack], compiled: Mapping[str, _Compiled]) -> dict[str, list[_Entry]]:
    entries: dict[str, list[_Entry]] = {}
    for pack in packs:
        version = _version(pack, compiled)
        for name, file in pack.schemas.items():
            entries.setdefault(name, []).append(_Entry(pack=pack, version=version, compiled=compiled[file]))
    return entries


def _version(pack: Pack, compiled: Mapping[str, _Compiled]) -> str:
    """Digest a pack's files too: an override changes what judges without changing the pack's own version."""
    files = {document.name: document.data for file in pack.schemas.values() for document in compiled[file].closure.documents}
    digest = hashlib.sha256()
    for name, data in sorted(files.items()):
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
    return f"{pack.name}@{pack.version}+{digest.hexdigest()[:_DIGITS]}"


def _roots(entries: Mapping[str, Sequence[_Entry]]) -> dict[str, list[str]]:
    """List by root element the schemas that declare it, strongest first."""
    roots: dict[str, list[str]] = {}
    for name, group in entries.items():
        for tag in _global_elements(group[0].compiled.closure):
            if tag != "Envelope":
                roots.setdefault(tag, []).append(name)
    return roots


def _global_elements(closure: Closure) -> Iterator[str]:
    """List what a document of a schema may start with: elements of its own namespace, or of those it only imports."""
    own = [document for document in closure.documents if document.namespace == closure.entry.namespace]
    declaring = own if any(document.root.find(f"{{{XS}}}element") is not None for document in own) else closure.documents
    for document in declaring:
        for element in document.root.iterchildren(f"{{{XS}}}element"):
            yield f"{{{document.namespace}}}{element.get('name')}" if document.namespace else element.get("name", "")
