"""An archive of purged content: one file a batch, a ZIP of the documents as kept, encrypted, whole on disk before anything is purged.

The file is a line that says what it is, the archive's id, a line feed, and the sealed ZIP. In the ZIP stands `manifest.json`
(every message with the names, sizes and digests of its parts), and the parts as `<message>/<part>`.
"""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway.errors import Code, NotReadable, Problem, Unavailable
from gateway.ports import Cipher
from gateway.store.disk import sync

MAGIC = b"nsw archive 1\n"
MANIFEST = "manifest.json"
SUFFIX = ".nsw-archive"
ID_BYTES = 36
MAX_UNPACKED = 1 << 30  # bytes of one archive; ours hold some 64 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One message as it is archived: its record, and its parts by name."""

    message: str
    record: Mapping[str, Any]
    parts: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """What an archive holds; `damaged` names parts whose digest is not the manifest's."""

    id: str
    manifest: Mapping[str, Any]
    parts: Mapping[str, bytes] = field(repr=False)
    damaged: tuple[str, ...] = ()


def archive_path(folder: Path, archive: str, *, at: datetime) -> Path:
    """Name an archive's file: the day first, so that a listing is in order."""
    return folder / f"{at:%Y%m%d}-{archive}{SUFFIX}"


def pack(archive: str, messages: Iterable[Kept], *, at: datetime) -> bytes:
    """Write a ZIP with its manifest."""
    buffer = io.BytesIO()
    listed: list[Mapping[str, Any]] = []
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for kept in messages:
            parts = [_written(file, f"{kept.message}/{name}", content) for name, content in kept.parts.items()]
            listed.append({**kept.record, "parts": parts})
        manifest = {"format": 1, "archive": archive, "made_at": at.isoformat(), "messages": listed}
        file.writestr(MANIFEST, json.dumps(manifest, ensure_ascii=False, default=str))
    return buffer.getvalue()


def seal(archive: str, packed: bytes, *, cipher: Cipher) -> tuple[bytes, str]:
    """Encrypt a ZIP; gives the file's bytes, and the name of the key they are under."""
    sealed = cipher.encrypt(packed, context=f"archive/{archive}")
    return MAGIC + archive.encode("ascii") + b"\n" + sealed, sealed[1 : 1 + sealed[0]].decode("ascii")


def write_archive(path: Path, data: bytes) -> None:
    """Write a file, whole on disk when it returns; raises Unavailable where it cannot be."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync(path.parent)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise Unavailable(Code.UNAVAILABLE, Problem(text="retention.not-archived", path=str(path))) from error


def reachable(path: Path) -> bool:
    """Say whether an archive's folder is there: a disk that is not mounted holds it still."""
    try:
        return path.parent.is_dir()
    except OSError:
        return False


def remove_archive(path: Path) -> bool:
    """Remove a file and its half-written beginnings; says whether it is gone. False where its folder cannot be reached."""
    try:
        if not reachable(path):
            return False
        path.with_name(f".{path.name}.part").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        sync(path.parent)
    except OSError:
        return False
    return True


def read_archive(data: bytes, *, cipher: Cipher) -> Archive:
    """Open an archive and compare every part with the manifest.

    Raises NotReadable where the bytes are no archive of ours, Unavailable where its key is not here or a byte was changed.
    """
    archive = data[len(MAGIC) : len(MAGIC) + ID_BYTES].decode("ascii", "replace")
    start = len(MAGIC) + ID_BYTES + 1
    if not data.startswith(MAGIC) or data[start - 1 : start] != b"\n":
        raise _no_archive()
    packed = cipher.decrypt(data[start:], context=f"archive/{archive}")
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as file:
            if sum(each.file_size for each in file.infolist()) > MAX_UNPACKED:
                raise _no_archive()
            contents = {name: file.read(name) for name in file.namelist()}
        manifest = json.loads(contents.pop(MANIFEST))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise _no_archive() from error
    listed = [part for message in manifest["messages"] for part in message["parts"]]
    return Archive(id=archive, manifest=manifest, parts=contents, damaged=_damaged(listed, contents))


def _damaged(listed: Sequence[Mapping[str, Any]], contents: Mapping[str, bytes]) -> tuple[str, ...]:
    wrong = [part["name"] for part in listed if hashlib.sha256(contents.get(part["name"], b"")).hexdigest() != part["sha256"]]
    return (*wrong, *sorted(contents.keys() - {part["name"] for part in listed}))


def _written(file: zipfile.ZipFile, name: str, content: bytes) -> dict[str, object]:
    file.writestr(name, content)
    return {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _no_archive() -> NotReadable:
    return NotReadable(Code.NOT_FOUND, Problem(text="retention.no-archive"))
