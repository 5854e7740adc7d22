"""Installs a folder of schemas as a pack: says what is wrong with each file, mends the known faults, keeps what compiles."""

import hashlib
import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from gateway.errors import Code, Problem

from .catalog import CATALOG
from .compiled import Schema, slow_patterns
from .mending import mend
from .namespaces import XS
from .parse import MAX_BYTES, line_of
from .sources import Closure, SchemaDocument, SchemasInvalid, Sources, links
from .wording import shortened

MAX_FILES = 2000  # in one folder; the agriculture ministry publishes 226

_DIGITS = 12  # of the digest that is an installed pack's version
_UNSAFE = re.compile(r"[^A-Za-z0-9._\-]+|^\.+")

FileState = Literal["good", "mended", "refused", "unused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What became of one file: `schema` is its name where it is one, `problems` what is wrong, `repairs` what was mended."""

    file: str
    state: FileState
    schema: str | None
    problems: tuple[Problem, ...]
    repairs: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallReport:
    """What became of a folder; `folder` is where the pack lies now, None where nothing of it could be used."""

    pack: str
    version: str
    folder: Path | None
    files: tuple[FileReport, ...]

    @property
    def is_complete(self) -> bool:
        """Whether the pack is there, and every file of it."""
        return self.folder is not None and all(file.state != "refused" for file in self.files)


def install(folder: Path, into: Path) -> InstallReport:
    """Check, mend and copy the schemas of a folder into `into`/<name of the folder>, replacing what was installed there.

    A schema's name is its file's name without the ending. Nothing outside the folder is read and nothing is fetched; a file
    that links elsewhere, has a DOCTYPE or does not compile is reported and left out. Raises SchemasInvalid where the folder
    holds no schema or too many files.
    """
    trial = _Trial(folder)
    reports = tuple(trial.reports())
    pack = _UNSAFE.sub("-", folder.resolve().name) or "pack"
    schemas = {report.schema: report.file for report in reports if report.schema and report.state in ("good", "mended")}
    files = trial.files_of(schemas.values())
    version = _digest(files)
    target = _write(into / pack, {**files, CATALOG: _catalog(pack, version, schemas)}) if schemas else None
    return InstallReport(pack=pack, version=version, folder=target, files=reports)


class _Trial:
    """A folder's schemas, opened, mended and compiled."""

    def __init__(self, folder: Path) -> None:
        found = _found(folder)
        self._links = [name for name, path in found.items() if path.is_symlink() or not path.resolve().is_relative_to(folder.resolve())]
        self._raw = {name: _bytes(path) for name, path in found.items() if name not in self._links}
        self._broken: dict[str, SchemasInvalid] = {}
        self._opened = dict(self._open())
        self._mended = {name: mend(document, self._opened) for name, document in self._opened.items()}
        self._sources = Sources(self._read)
        self._closures: dict[str, Closure] = {}
        self._names = _names(list(self._entries()))

    def reports(self) -> Iterator[FileReport]:
        """Try every schema, then say of every file what became of it."""
        verdicts = {name: self._tried(name) for name in self._names}
        parts = {document.name for name, problems in verdicts.items() if not problems for document in self._closures[name].documents}
        for name in self._links:
            yield _refused(name, Problem(text="schema.file-link", path=name))
        for name, error in self._broken.items():
            yield _refused(name, *error.problems)
        for name in self._opened:
            yield self._report(name, verdicts.get(name, ()), is_part=name in parts)

    def files_of(self, schemas: Iterable[str]) -> dict[str, bytes]:
        """Give the mended bytes of everything that some schemas are made of."""
        return {document.name: document.data for name in schemas for document in self._closures[name].documents}

    def _entries(self) -> Iterator[str]:
        """List the files that are schemas of their own: they declare an element, or no other file refers to them."""
        documents = {name: self._sources.open(name) for name in self._opened}
        referred = {link.target for document in documents.values() for link in links(document)}
        for name, document in documents.items():
            if name not in referred or document.root.find(f"{{{XS}}}element") is not None:
                yield name

    def _open(self) -> Iterator[tuple[str, SchemaDocument]]:
        raw = Sources(self._raw.__getitem__)
        for name in self._raw:
            try:
                yield name, raw.open(name)
            except SchemasInvalid as error:
                self._broken[name] = error

    def _read(self, name: str) -> bytes:
        if name in self._mended:
            return self._mended[name].data
        if name in self._raw:
            return self._raw[name]
        raise FileNotFoundError(name)

    def _tried(self, name: str) -> tuple[Problem, ...]:
        """Compile a schema; gives what is against it, a file it lacks before what that leads to."""
        reached = [name]
        try:
            closure = self._sources.closure(name)
            reached = [document.name for document in closure.documents]
            Schema(closure)
        except SchemasInvalid as error:
            return (*(problem for each in reached for problem in self._mended[each].lost), *error.problems)
        self._closures[name] = closure
        return ()

    def _report(self, name: str, problems: tuple[Problem, ...], *, is_part: bool) -> FileReport:
        mended = self._mended[name]
        if problems and not is_part:
            return _refused(name, *problems)
        if name not in self._names and not is_part:
            return FileReport(file=name, state="unused", schema=None, problems=(Problem(text="schema.file-unused", path=name),), repairs=())
        slow = tuple(
            Problem(text="schema.file-pattern", path=name, line=line_of(pattern), values={"pattern": shortened(pattern.get("value", ""))})
            for pattern in slow_patterns(self._sources.open(name))
        )
        state: FileState = "mended" if mended.repairs else "good"
        schema = None if problems else self._names.get(name)  # a part need not compile by itself
        return FileReport(file=name, state=state, schema=schema, problems=slow, repairs=mended.repairs)


def _found(folder: Path) -> dict[str, Path]:
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.suffix.lower() == ".xsd"}
    if not found:
        raise SchemasInvalid(Code.RULES, Problem(text="schema.pack-empty", path=str(folder)))
    if len(found) > MAX_FILES:
        raise SchemasInvalid(Code.RULES, Problem(text="schema.file-count", path=str(folder), values={"limit": str(MAX_FILES)}))
    return found


def _bytes(path: Path) -> bytes:
    """Read a file, one byte more than the parser takes at most."""
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _names(files: list[str]) -> dict[str, str]:
    """Name schemas by their files: the bare name, or the whole path where several share it."""
    shared = Counter(PurePosixPath(file).stem for file in files)
    return {file: PurePosixPath(file).stem if shared[PurePosixPath(file).stem] == 1 else file.rpartition(".")[0] for file in files}


def _refused(name: str, *problems: Problem) -> FileReport:
    return FileReport(file=name, state="refused", schema=None, problems=problems, repairs=())


def _digest(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, data in sorted(files.items()):
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:_DIGITS]


def _catalog(pack: str, version: str, schemas: Mapping[str, str]) -> bytes:
    """Write the pack's catalogue; a JSON string is a TOML string too."""
    lines = [f"{json.dumps(name, ensure_ascii=False)} = {json.dumps(file, ensure_ascii=False)}" for name, file in sorted(schemas.items())]
    head = ["[[pack]]", f"name = {json.dumps(pack)}", f"version = {json.dumps(version)}", 'owner = "installed"', "", "[pack.schemas]"]
    return "\n".join([*head, *lines, ""]).encode()


def _write(target: Path, files: Mapping[str, bytes]) -> Path:
    """Write beside the target and take its place at once; a reader sees the old pack or the new one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=".installing-", dir=target.parent))
    for name, data in files.items():
        path = staged / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    staged.chmod(0o755)
    old = target.with_name(f".replaced-{staged.name}")
    if target.exists():
        target.rename(old)
    staged.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    return target
