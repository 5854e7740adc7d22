"""The files that commands are given and write; "-" stands for the standard streams."""

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO
from uuid import uuid4

from gateway.xml.parse import MAX_BYTES

from .output import misuse, say

STANDARD = Path("-")
MAX_ARCHIVE = 1 << 30  # bytes; ours have some 20 MB
CHUNK = 1_048_576  # bytes of a stream that are held
MAX_PEM = 1_000_000  # bytes; a bundle of every licensed authority has 60 KB

_REASONS = {
    errno.EACCES: "reason-denied",
    errno.EPERM: "reason-denied",
    errno.ENOENT: "reason-missing",
    errno.EISDIR: "reason-folder",
    errno.ENOTDIR: "reason-file",
    errno.EEXIST: "reason-file",  # where a folder was to be made
    errno.ENOSPC: "reason-full",
    errno.EDQUOT: "reason-full",
    errno.EROFS: "reason-read-only",
    errno.ENAMETOOLONG: "reason-long",
}


def read_document(path: Path) -> bytes:
    """Read a document, one byte more than any parser takes at most; ends with 2 where it cannot be read."""
    return _read(path, MAX_BYTES + 1)


def read_small(path: Path) -> bytes:
    """Read a file of keys, certificates or revocations; ends with 2 where it cannot be read or is too large to be one."""
    data = _read(path, MAX_PEM + 1)
    if len(data) > MAX_PEM:
        misuse("file-too-large", path=path, limit=f"{MAX_PEM:,}".replace(",", " "))
    return data


def read_archive(path: Path) -> bytes:
    """Read an archive of purged content; ends with 2 where it cannot be read or is too large to be one."""
    data = _read(path, MAX_ARCHIVE + 1)
    if len(data) > MAX_ARCHIVE:
        misuse("file-too-large", path=path, limit=f"{MAX_ARCHIVE:,}".replace(",", " "))
    return data


def write_document(path: Path, data: bytes) -> None:
    """Write beside the target and take its place at once; ends with 2 where that cannot be done."""
    with writing(path) as file:
        file.write(data)


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Give a file beside the target that takes its place at the end, unless something is raised; ends with 2 where that cannot be done.

    A link stays, and what it leads to is written; what is no ordinary file, such as a device, is never replaced.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "")
        if path == STANDARD or (target.exists() and not target.is_file()):
            misuse("file-not-written", path=path, reason=say("reason-special"))
        with _beside(target) as file:
            yield file
    except OSError as error:
        misuse("file-not-written", path=path, reason=reason_of(error))


@contextmanager
def _beside(target: Path) -> Iterator[BinaryIO]:
    staged = target.with_name(f".{uuid4().hex}.part")
    try:
        with staged.open("x+b") as file:
            if target.exists():
                staged.chmod(stat.S_IMODE(target.stat().st_mode))  # who may read it stays as it was
            yield file
        staged.replace(target)
    finally:
        with suppress(OSError):  # it was never there, or is in its place
            staged.unlink()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """End with 2 and say why where a file cannot be read."""
    try:
        yield
    except FileNotFoundError:
        misuse("file-missing", path=path)
    except IsADirectoryError:
        misuse("file-is-folder", path=path)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        misuse("file-not-read", path=path, reason=reason_of(error))


@contextmanager
def reading(path: Path, most: int) -> Iterator[BinaryIO]:
    """Give a file of any size that can be searched; a stream is put down first, one byte more than `most` of it at most.

    Ends with 2 where it cannot be read.
    """
    with _told(path), sys.stdin.buffer if path == STANDARD else path.open("rb") as file:
        if file.seekable():
            yield file
            return
        with TemporaryFile() as put_down:
            while most >= 0 and (chunk := file.read(min(CHUNK, most + 1))):
                put_down.write(chunk)
                most -= len(chunk)
            yield put_down


def check_folder(path: Path) -> Path:
    """Give a folder back; ends with 2 where there is none."""
    try:
        next(path.iterdir(), None)  # not only there: readable
    except FileNotFoundError:
        misuse("folder-missing", path=path)
    except NotADirectoryError:
        misuse("folder-is-file", path=path)
    except (OSError, ValueError) as error:
        misuse("file-not-read", path=path, reason=reason_of(error))
    return path


def _read(path: Path, most: int) -> bytes:
    if path == STANDARD:
        return sys.stdin.buffer.read(most)
    with _told(path), path.open("rb") as file:
        return file.read(most)


def reason_of(error: Exception) -> str:
    """Say what the system has against it, without the path, which stands beside it; rare reasons in the system's own words."""
    number = getattr(error, "errno", None)
    if number in _REASONS:
        return say(_REASONS[number])
    return os.strerror(number) if number else say("reason-name")
