"""The ZIP of a container in its one form: stored, without times, comments or extras, so that no byte of it can be anything else."""

import re
import struct
import zlib
from collections.abc import Iterable, Mapping

from gateway.errors import Code, NotReadable, Problem

MIMETYPE = "application/vnd.etsi.asic-e+zip"
MAX_BYTES = 256 * 1024 * 1024  # of a container; one message has some 100 KB, with its attachments some MB
MAX_FILES = 2000  # in a container; a message with five deliveries has 30
MAX_NAME = 120

_LOCAL, _CENTRAL, _END = b"PK\3\4", b"PK\1\2", b"PK\5\6"
_VERSION = 20
_DAY = 0x21  # 1980-01-01, the first that a ZIP can write: when files were packed is no evidence of anything
_LOCAL_FORM = struct.Struct("<4s5H3I2H")
_CENTRAL_FORM = struct.Struct("<4s6H3I5H2I")
_END_FORM = struct.Struct("<4s4H2IH")
_NAME = re.compile(r"(?!.*(?:^|/)\.{0,2}(?:/|$))[A-Za-z0-9._/-]{1,120}", re.ASCII)


def pack(files: Mapping[str, bytes]) -> bytes:
    """Write a container: `mimetype` first, then the files in their order. Raises ValueError for a name that no container has."""
    bodies, entries, at = [], [], 0
    for name, content in (("mimetype", MIMETYPE.encode()), *files.items()):
        if not is_name(name):
            raise ValueError(f"no name for a file of a container: {name!r}")
        fields = (0, 0, 0, _DAY, zlib.crc32(content), len(content), len(content), len(name))
        body = _LOCAL_FORM.pack(_LOCAL, _VERSION, *fields, 0) + name.encode("ascii") + content
        entry = _CENTRAL_FORM.pack(_CENTRAL, _VERSION, _VERSION, *fields, 0, 0, 0, 0, 0, at) + name.encode("ascii")
        bodies.append(body)
        entries.append(entry)
        at += len(body)
    directory = b"".join(entries)
    end = _END_FORM.pack(_END, 0, 0, len(entries), len(entries), len(directory), at, 0)
    return b"".join((*bodies, directory, end))


def unpack(data: bytes) -> tuple[dict[str, bytes], tuple[Problem, ...]]:
    """Read a container; gives its files without `mimetype`, and what is not in the one form although every file could be read.

    Nothing is unpacked that is not there, so nothing grows. Raises NotReadable for what no reader could take apart for certain: over
    a limit, compressed, encrypted, a name that leads elsewhere or stands there twice.
    """
    if len(data) > MAX_BYTES:
        raise NotReadable(Code.LIMIT, Problem(text="container.too-large", values={"limit": f"{MAX_BYTES:,}"}))
    files: dict[str, bytes] = {}
    at = 0
    while data.startswith(_LOCAL, at):
        name, content, at = _entry(data, at)
        if name in files:
            raise _refused("name-twice", name)
        if len(files) == MAX_FILES:
            raise NotReadable(Code.LIMIT, Problem(text="container.too-many", values={"limit": str(MAX_FILES)}))
        files[name] = content
    if files.pop("mimetype", None) != MIMETYPE.encode():
        raise NotReadable(Code.NOT_XML, Problem(text="container.no-container"))
    return files, _differences(data, files)


def is_name(name: str) -> bool:
    """Say whether a file of a container may be called so: no way up, no root, nothing that two systems read differently."""
    return _NAME.fullmatch(name) is not None and len(name) <= MAX_NAME


def _entry(data: bytes, at: int) -> tuple[str, bytes, int]:
    """Read the entry at a place; gives its name, its content and where the next one begins."""
    begins = at + _LOCAL_FORM.size
    if len(data) < begins:
        raise _refused("cut-short", "-")
    _, _, flags, method, _, _, _, packed, size, length, extra = _LOCAL_FORM.unpack_from(data, at)
    name = data[begins : begins + length].decode("ascii", "replace")
    if not is_name(name):
        raise _refused("name-wrong", name[:MAX_NAME])
    if flags or method or packed != size or extra:
        raise _refused("entry-form", name)
    content = data[begins + length : begins + length + size]
    if len(content) != size:
        raise _refused("cut-short", name)
    return name, content, begins + length + size


def _differences(data: bytes, files: Mapping[str, bytes]) -> tuple[Problem, ...]:
    """Compare with the one form; names the first place where it is another."""
    form = pack(files)
    if form == data:
        return ()
    at = next((n for n, (one, other) in enumerate(zip(form, data, strict=False)) if one != other), min(len(form), len(data)))
    return (Problem(text="container.not-one-form", path=_holder(files, at), values={"position": str(at)}),)


def _holder(files: Mapping[str, bytes], at: int) -> str | None:
    """Name the file in whose entry a position lies; None in the directory behind them."""
    ends = 0
    for name, size in _sizes(files):
        ends += _LOCAL_FORM.size + len(name) + size
        if at < ends:
            return name
    return None


def _sizes(files: Mapping[str, bytes]) -> Iterable[tuple[str, int]]:
    return (("mimetype", len(MIMETYPE)), *((name, len(content)) for name, content in files.items()))


def _refused(name: str, found: str) -> NotReadable:
    return NotReadable(Code.NOT_XML, Problem(text=f"container.{name}", values={"file": found}))
