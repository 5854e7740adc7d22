"""The folder of content keys: which there are, which one is written under, and how that changes while servers run.

Key NAME is the file NAME.key. The file `present` names the key that is written under; without it that is the newest.
"""

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import get_ident

from gateway.errors import Code, Conflict, GatewayError, NotValid, Problem, Unavailable
from gateway.ports import Entropy
from gateway.store.disk import sync

from .writing import make_folder, write_private

KEY_BYTES = 32
FIRST_KEY = "content-1"
DIGEST_KEY = "digest"  # never rotated: what was accepted under it must be recognised for as long as it is kept
MARK = "present"
_NAME = re.compile(r"content-([1-9][0-9]{0,5})")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEntry:
    """A content key as `nsw keys list` shows it; never the key itself."""

    name: str
    present: bool
    made_at: datetime


def first_keys(folder: Path, entropy: Entropy) -> None:
    """Make the keys of an empty folder; where there are keys, nothing."""
    make_folder(folder)
    if not key_names(folder):
        _place(folder, FIRST_KEY, entropy)
    _place(folder, DIGEST_KEY, entropy)


def key_names(folder: Path) -> list[str]:
    """Name the content keys there are, oldest first."""
    return sorted((p.stem for p in folder.glob("content-*.key") if _NAME.fullmatch(p.stem)), key=_number)


def key_file(folder: Path, name: str) -> Path:
    """Say where a key lies."""
    return folder / f"{name}.key"


def read_key(path: Path) -> bytes:
    """Read a key; raises Unavailable where the file is none, OSError where it cannot be read."""
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise Unavailable(Code.UNAVAILABLE, Problem(text="cipher.no-key-file", path=str(path)))
    return key


def present_key(folder: Path) -> str:
    """Name the key that is written under."""
    with suppress(FileNotFoundError):
        return (folder / MARK).read_text("ascii", "replace").strip()
    return key_names(folder)[-1]


def entries(folder: Path) -> list[KeyEntry]:
    """List the content keys, oldest first; raises Unavailable where there is none."""
    present = _present(folder)
    made = {name: datetime.fromtimestamp(key_file(folder, name).stat().st_mtime, UTC) for name in key_names(folder)}
    return [KeyEntry(name=name, present=name == present, made_at=at) for name, at in made.items()]


def add(folder: Path, *, entropy: Entropy, source: Path | None = None) -> str:
    """Add a key that is read with and not yet written under: a new one, or another machine's from its file; gives its name.

    Raises NotValid where the file is no key, Conflict where another key has its name, Unavailable where the folder has no keys.
    """
    present = _present(folder)
    if not (folder / MARK).exists():
        _mark(folder, present)  # or the new one, being the newest, would be written under at once
    if source is None:
        return _make_next(folder, entropy)
    name, key = source.stem, _read_foreign(source)
    _place(folder, name, lambda _: key)
    if read_key(key_file(folder, name)) != key:
        raise Conflict(Code.CONFLICT, Problem(text="cipher.other-key", path=str(source), values={"key": name}))
    return name


def rotate(folder: Path, *, entropy: Entropy, name: str = "") -> str:
    """Write under another key from now on, a new one unless named; gives its name. Raises NotValid where there is none of that name."""
    chosen = name or add(folder, entropy=entropy)
    _known(folder, chosen)
    _mark(folder, chosen)
    return chosen


def rotated_at(folder: Path) -> datetime:
    """Say since when the present key is written under."""
    mark = folder / MARK
    file = mark if mark.exists() else key_file(folder, _present(folder))
    return datetime.fromtimestamp(file.stat().st_mtime, UTC)


def check_old(folder: Path, name: str) -> None:
    """Make sure that a key is there and no longer written under; raises NotValid or Conflict."""
    _known(folder, name)
    if name == _present(folder):
        raise Conflict(Code.CONFLICT, Problem(text="cipher.in-use", values={"key": name}))


def forget(folder: Path, name: str) -> None:
    """Remove a key for good; the caller made sure that nothing is under it. Raises what check_old raises."""
    check_old(folder, name)
    key_file(folder, name).unlink()
    sync(folder)


def _present(folder: Path) -> str:
    if not key_names(folder):
        raise Unavailable(Code.UNAVAILABLE, Problem(text="cipher.no-keys", path=str(folder)))
    return present_key(folder)


def _known(folder: Path, name: str) -> None:
    if name not in key_names(folder):
        known = ", ".join(key_names(folder))
        raise NotValid(Code.NOT_FOUND, Problem(text="cipher.unknown-key", values={"key": name, "known": known}))


def _make_next(folder: Path, entropy: Entropy) -> str:
    """Make a key with the next number; of two commands at once the second takes the number after the first's."""
    key = entropy(KEY_BYTES)
    while True:
        name = f"content-{_number(key_names(folder)[-1]) + 1}"
        _place(folder, name, lambda _: key)
        if read_key(key_file(folder, name)) == key:
            return name


def _read_foreign(source: Path) -> bytes:
    try:
        key = read_key(source)
    except (OSError, GatewayError):
        key = b""
    if not key or not _NAME.fullmatch(source.stem) or source.suffix != ".key":
        raise NotValid(Code.SCHEMA, Problem(text="cipher.no-key-file", path=str(source)))
    return key


def _number(name: str) -> int:
    return int(name.removeprefix("content-"))


def _mark(folder: Path, name: str) -> None:
    part = _part(folder, MARK)
    write_private(part, f"{name}\n".encode("ascii"))
    part.replace(folder / MARK)
    sync(folder)


def _place(folder: Path, name: str, key: Entropy) -> None:
    """Make a key file once, whole: of two processes at once the first one's stays, and a killed one leaves none."""
    path = key_file(folder, name)
    if path.exists():
        return
    part = _part(folder, path.name)
    write_private(part, key(KEY_BYTES))
    with suppress(FileExistsError):
        path.hardlink_to(part)  # fails where another process was first
    part.unlink()
    sync(folder)  # a key that a power loss takes back would take all content with it


def _part(folder: Path, name: str) -> Path:
    """Name a file that nobody else writes at the same moment."""
    return folder / f".{name}.{os.getpid()}.{get_ident()}.part"
