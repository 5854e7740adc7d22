"""The ZIP of a container in its one form: stored, without times, comments or extras, so that no byte of it can be anything else.

What is large is streamed both ways: nothing here holds more of a file than a chunk, unless it is asked to.
"""

import hashlib
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import SEEK_END
from typing import BinaryIO

from gateway.errors import Code, NotReadable, NotValid, Problem

MIMETYPE = "application/vnd.etsi.asic-e+zip"
MAX_BYTES = 2 * 1024**3  # of a container: what every ZIP reader takes; one message has some 100 KB, with its attachments some MB
MAX_HELD = 32 * 1024**2  # of a file that is read whole; documents have 10 MB at most, attachments are only hashed
MAX_FILES = 5000  # in a container; a message with five deliveries has 30
MAX_NAME = 120
CHUNK = 1024**2

_LOCAL, _CENTRAL, _END = b"PK\3\4", b"PK\1\2", b"PK\5\6"
_VERSION = 20
_DAY = 0x21  # 1980-01-01, the first that a ZIP can write: when files were packed is no evidence of anything
_LOCAL_FORM = struct.Struct("<4s5H3I2H")
_CENTRAL_FORM = struct.Struct("<4s6H3I5H2I")
_END_FORM = struct.Struct("<4s4H2IH")
_NAME = re.compile(r"(?!.*(?:^|/)\.{0,2}(?:/|$))[A-Za-z0-9._/-]{1,120}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """A file that is read when it is packed: its size and SHA-256 as they are known, and what gives its bytes and vouches for them."""

    size: int
    sha256: bytes
    chunks: Callable[[], Iterable[bytes]] = field(repr=False)


Content = bytes | Streamed


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file as it lies in a container: where its content begins, how long it is, and what it is."""

    at: int
    size: int
    sha256: bytes
    crc: int


class Packed(Mapping[str, bytes]):
    """The files of a container without `mimetype`; each is read when it is asked for, and its digest is known before."""

    def __init__(self, file: BinaryIO, entries: Mapping[str, Entry]) -> None:
        """Read from a file that stays open."""
        self._file = file
        self._entries = entries

    def __getitem__(self, name: str) -> bytes:
        """Read a file; raises NotReadable where it is too large to be held."""
        entry = self._entries[name]
        if entry.size > MAX_HELD:
            raise NotReadable(Code.LIMIT, Problem(text="container.file-large", path=name, values={"limit": f"{MAX_HELD:,}"}))
        self._file.seek(entry.at)
        return self._file.read(entry.size)

    def __iter__(self) -> Iterator[str]:
        """Give the names, in their order."""
        return iter(self._entries)

    def __len__(self) -> int:
        """Count the files."""
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        """Say whether a file is there, without reading it."""
        return name in self._entries

    def digest(self, name: str) -> bytes:
        """Give the SHA-256 of a file, of any size; empty where it is not there."""
        return self._entries[name].sha256 if name in self._entries else b""

    def size(self, name: str) -> int:
        """Give the size of a file."""
        return self._entries[name].size


def digest_of(content: Content) -> bytes:
    """Give the SHA-256 of a file that will be packed."""
    return content.sha256 if isinstance(content, Streamed) else hashlib.sha256(content).digest()


def digest_of_file(file: BinaryIO) -> str:
    """Give the SHA-256 of a whole file, in hex."""
    file.seek(0)
    hashed = hashlib.sha256()
    while chunk := file.read(CHUNK):
        hashed.update(chunk)
    return hashed.hexdigest()


def pack(files: Mapping[str, Content], into: BinaryIO) -> None:
    """Write a container to a file that can be searched: `mimetype` first, then the files in their order.

    Raises NotValid where it would be too large, ValueError for a name that no container has, and whatever a streamed file raises.
    """
    members = {"mimetype": MIMETYPE.encode(), **files}
    _check(members)
    entries = {name: _write(name, content, into) for name, content in members.items()}
    into.write(_directory(entries))


def unpack(file: BinaryIO) -> tuple[Packed, tuple[Problem, ...]]:
    """Read a container once, from its first byte to its last; gives its files, and what is not in the one form although it could be read.

    Nothing is unpacked that is not there, so nothing grows. Raises NotReadable for what no reader could take apart for certain: over
    a limit, compressed, encrypted, a name that leads elsewhere or stands there twice.
    """
    if file.seek(0, SEEK_END) > MAX_BYTES:
        raise NotReadable(Code.LIMIT, _too_large())
    entries: dict[str, Entry] = {}
    differences: list[Problem] = []
    at = file.seek(0)
    while (header := file.read(_LOCAL_FORM.size)).startswith(_LOCAL):
        name, entry, difference = _read(file, at, header)
        if name in entries:
            raise _refused("name-twice", name)
        if len(entries) > MAX_FILES:
            raise NotReadable(Code.LIMIT, _too_many())
        entries[name] = entry
        differences += difference
        at = entry.at + entry.size
    if next(iter(entries), "") != "mimetype" or entries["mimetype"].sha256 != digest_of(MIMETYPE.encode()):
        raise NotReadable(Code.NOT_XML, Problem(text="container.no-container"))
    directory = _directory(entries)
    found = header + file.read(len(directory) + 1 - len(header))
    differences += _difference(directory, found, at, None)
    return Packed(file, {name: entry for name, entry in entries.items() if name != "mimetype"}), tuple(differences)


def is_name(name: str) -> bool:
    """Say whether a file of a container may be called so: no way up, no root, nothing that two systems read differently."""
    return _NAME.fullmatch(name) is not None and len(name) <= MAX_NAME


# --- writing -------------------------------------------------------------------------------------------------------------


def _check(members: Mapping[str, Content]) -> None:
    for name in members:
        if not is_name(name):
            raise ValueError(f"no name for a file of a container: {name!r}")
    if len(members) > MAX_FILES + 1:
        raise NotValid(Code.LIMIT, _too_many())
    around = _LOCAL_FORM.size + _CENTRAL_FORM.size
    if sum(_size(content) + around + 2 * len(name) for name, content in members.items()) + _END_FORM.size > MAX_BYTES:
        raise NotValid(Code.LIMIT, _too_large())


def _size(content: Content) -> int:
    return content.size if isinstance(content, Streamed) else len(content)


def _write(name: str, content: Content, into: BinaryIO) -> Entry:
    """Write an entry; its header is put in front when its checksum is known."""
    begins = into.tell()
    at = begins + _LOCAL_FORM.size + len(name)
    into.seek(at)
    crc, size = 0, 0
    for chunk in content.chunks() if isinstance(content, Streamed) else (content,):
        crc, size = zlib.crc32(chunk, crc), size + len(chunk)
        into.write(chunk)
    if size != _size(content):
        raise ValueError(f"{name} has another size than was said")
    entry = Entry(at=at, size=size, sha256=digest_of(content), crc=crc)
    into.seek(begins)
    into.write(_local(name, entry))
    into.seek(at + size)
    return entry


def _local(name: str, entry: Entry) -> bytes:
    fields = (0, 0, 0, _DAY, entry.crc, entry.size, entry.size, len(name))
    return _LOCAL_FORM.pack(_LOCAL, _VERSION, *fields, 0) + name.encode("ascii")


def _directory(entries: Mapping[str, Entry]) -> bytes:
    """Write what stands behind the last entry."""
    lines = [
        _CENTRAL_FORM.pack(
            _CENTRAL, _VERSION, _VERSION, 0, 0, 0, _DAY, entry.crc, entry.size, entry.size, len(name), 0, 0, 0, 0, 0,
            entry.at - _LOCAL_FORM.size - len(name),
        ) + name.encode("ascii")
        for name, entry in entries.items()
    ]  # fmt: skip
    directory = b"".join(lines)
    ends = max((entry.at + entry.size for entry in entries.values()), default=0)
    return directory + _END_FORM.pack(_END, 0, 0, len(entries), len(entries), len(directory), ends, 0)


# --- reading -------------------------------------------------------------------------------------------------------------


def _read(file: BinaryIO, at: int, header: bytes) -> tuple[str, Entry, tuple[Problem, ...]]:
    """Read the entry at a place, whose header was read; gives its name, what it is, and where its header is not in the one form."""
    if len(header) < _LOCAL_FORM.size:
        raise _refused("cut-short", "-")
    _, _, flags, method, _, _, _, packed, size, length, extra = _LOCAL_FORM.unpack(header)
    written = file.read(min(length, MAX_NAME + 1))
    name = written.decode("ascii", "replace")
    if not is_name(name) or len(written) != length:
        raise _refused("name-wrong", name[:MAX_NAME])
    if flags or method or packed != size or extra:
        raise _refused("entry-form", name)
    hashed, crc, left = hashlib.sha256(), 0, size
    while left and (chunk := file.read(min(CHUNK, left))):
        hashed.update(chunk)
        crc, left = zlib.crc32(chunk, crc), left - len(chunk)
    if left:
        raise _refused("cut-short", name)
    entry = Entry(at=at + _LOCAL_FORM.size + length, size=size, sha256=hashed.digest(), crc=crc)
    return name, entry, _difference(_local(name, entry), header + written, at, name)


def _difference(form: bytes, found: bytes, at: int, name: str | None) -> tuple[Problem, ...]:
    """Compare with the one form; names the first byte that is another."""
    if form == found:
        return ()
    first = next((n for n, (one, other) in enumerate(zip(form, found, strict=False)) if one != other), min(len(form), len(found)))
    return (Problem(text="container.not-one-form", path=name, values={"position": str(at + first)}),)


def _too_large() -> Problem:
    return Problem(text="container.too-large", values={"limit": f"{MAX_BYTES:,}"})


def _too_many() -> Problem:
    return Problem(text="container.too-many", values={"limit": f"{MAX_FILES:,}"})


def _refused(name: str, found: str) -> NotReadable:
    return NotReadable(Code.NOT_XML, Problem(text=f"container.{name}", values={"file": found}))
