"""The TOML files: where they lie, which one wins, and on which line of them a key stands."""

import hashlib
import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.errors import Problem

Place = tuple[str | int, ...]  # keys and positions that lead to a value: ("message", 2, "schema")

_HEADER = re.compile(r"\s*\[\[?\s*(?P<name>[^\]]+?)\s*\]\]?\s*(#.*)?$")
_SYNTAX_LINE = re.compile(r"\(at line (\d+), column (\d+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong in a file, before the file is named: `text` without its area."""

    place: Place
    text: str
    values: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file in force: `name` is its path below the rules folder, with slashes."""

    path: Path
    name: str
    text: str
    table: dict[str, object]

    def problem(self, fault: Fault) -> Problem:
        """Say where in this file a fault is."""
        return Problem(
            text=f"routing.{fault.text}",
            path=f"{self.path}: {spell(fault.place)}" if fault.place else str(self.path),
            line=line_of(self.text, fault.place),
            values=fault.values,
        )


def discover(folders: Sequence[Path]) -> dict[str, Path]:
    """Find the file in force for each name: that of the first folder that has one."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(_files(folder)):
            found.setdefault(path.relative_to(folder).as_posix(), path)
    return found


def _files(folder: Path) -> Iterator[Path]:
    """Give the TOML files below a folder, through links too, each folder once; hidden are an editor's copies and a mount's versions."""
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = [] if real in seen else [name for name in folders if not name.startswith(".")]
        if real not in seen:
            yield from (Path(place, name) for name in names if name.endswith(".toml") and not name.startswith("."))
        seen.add(real)


def fingerprint(folders: Sequence[Path]) -> tuple[tuple[str, int, int, int], ...]:
    """Tell whether anything may have changed, without reading: path, times and size of each file in force."""
    return tuple((str(path), *_times_and_size(path)) for _, path in sorted(discover(folders).items()))


def version_of(sources: Sequence[Source]) -> str:
    """Name the content of the files: equal names and texts, wherever they lie, have an equal version."""
    whole = hashlib.sha256()
    for source in sorted(sources, key=lambda s: s.name):
        whole.update(f"{source.name}\0{len(source.text)}\0{source.text}".encode())
    return whole.hexdigest()[:12]


def read(name: str, path: Path) -> Source | Problem:
    """Read one file; gives a Problem where it is not UTF-8, not TOML or not there any more."""
    try:
        text = path.read_text("utf-8-sig")  # Windows editors begin a file with a mark
        return Source(path=path, name=name, text=text, table=tomllib.loads(text))
    except UnicodeDecodeError as error:
        return Problem(text="routing.not-utf8", path=str(path), values={"offset": str(error.start)})
    except OSError as error:
        return Problem(text="routing.not-readable", path=str(path), values={"reason": error.strerror or "?"})
    except RecursionError:
        return Problem(text="routing.not-toml", path=str(path), values={"reason": "nested too deeply", "column": "?"})
    except tomllib.TOMLDecodeError as error:
        where = _SYNTAX_LINE.search(str(error))  # it names no place where the document ends too early
        line, column = (int(where[1]), where[2]) if where else (text.count("\n") + 1, str(len(text.rpartition("\n")[2]) + 1))
        reason = str(error).partition(" (at ")[0]
        return Problem(text="routing.not-toml", path=str(path), line=line, values={"reason": reason, "column": column})


def spell(place: Place) -> str:
    """Write a place as people count: message#3.schema is the key `schema` of the third [[message]]."""
    return "".join(f"#{step + 1}" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")


def line_of(text: str, place: Place) -> int | None:
    """Find the line a place stands on, or that of the nearest table around it; None where even that cannot be told."""
    for length in range(len(place), 0, -1):
        known = dict(_lines(text))
        if (line := known.get(place[:length])) is not None:
            return line
    return None


def _lines(text: str) -> Iterator[tuple[Place, int]]:
    """Walk headers and keys of a file in the order they stand in. Good for what people write; strings over lines may hide keys."""
    table: Place = ()
    counts: dict[Place, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = _enter(_keys(header["name"]), counts, repeated=line.lstrip().startswith("[["))
            yield table, number
        elif "=" in line and not line.lstrip().startswith("#"):
            keys = _keys(line.partition("=")[0])
            for length in range(1, len(keys) + 1):
                yield (*table, *keys[:length]), number


def _enter(keys: Place, counts: dict[Place, int], *, repeated: bool) -> Place:
    """Resolve a header: [[a]] opens a new item of a; [a.b] after it lies in a's last item."""
    inside: Place = ()
    for key in keys[:-1]:
        inside = (*inside, key)
        if inside in counts:
            inside = (*inside, counts[inside])
    inside = (*inside, keys[-1])
    if not repeated:
        return inside
    counts[inside] = counts.get(inside, -1) + 1
    return (*inside, counts[inside])


def _keys(dotted: str) -> Place:
    return tuple(part or bare.strip() for part, bare in re.findall(r"""["']([^"']*)["']|([^."'\s][^."']*)""", dotted)) or ("",)


def _times_and_size(path: Path) -> tuple[int, int, int]:
    """The time of change too: a copy may keep the time of writing."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0, -1  # gone between listing and looking: a change
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size
