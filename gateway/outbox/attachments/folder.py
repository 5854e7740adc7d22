"""Chunks in files: a local folder addressed by content, for a gateway of one node, or one that nodes share.

`uploads/<upload>` grows while a content comes; `<two digits>/<digest>-<upload>` is a content. A file is a sequence of sealed chunks,
each behind its length in four bytes.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from gateway.errors import Code, Problem, Unavailable
from gateway.store.disk import sync

from .keeping import CHUNK, missing

GROWING = "uploads"
LENGTH = struct.Struct(">I")
MOST_SEALED = CHUNK + 1024  # a chunk with its key's name, nonce and tag


class FolderStore:
    """Implements ports.ChunkStore; a content is on disk, file and folder, when keep() returns."""

    name = "folder"

    def __init__(self, folder: Path) -> None:
        """Make the folder where it is missing; raises Unavailable."""
        self._folder = folder
        try:
            (folder / GROWING).mkdir(parents=True, exist_ok=True, mode=0o700)
            sync(folder.parent)
        except OSError as error:
            raise _away(error) from error

    def add(self, upload: str, number: int, sealed: bytes) -> None:
        """Take the next chunk; raises Unavailable where there is no room, or the upload was given up."""
        path = self._growing(upload)
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | (0 if number else os.O_CREAT), 0o600), "ab") as file:
                file.write(LENGTH.pack(len(sealed)) + sealed)
        except OSError as error:
            raise _away(error) from error

    def keep(self, upload: str, digest: str) -> None:
        """Write it through to the disk and put it in its place; raises Unavailable."""
        growing, place = self._growing(upload), self._place(upload, digest)
        try:
            sync(growing)
            place.parent.mkdir(exist_ok=True, mode=0o700)
            growing.replace(place)
            for folder in (place.parent, self._folder):  # the folder of two digits may be new
                sync(folder)
        except OSError as error:
            raise _away(error) from error

    def chunks(self, upload: str, digest: str, count: int) -> Iterator[bytes]:
        """Give the chunks in their order; raises Unavailable where one is missing."""
        try:
            with self._place(upload, digest).open("rb") as file:
                for number in range(count):
                    yield _chunk(file) or _none(digest, number)
        except OSError as error:
            raise missing(f"{self.name}:{digest[:12]}") from error

    def remove(self, upload: str, digest: str) -> None:
        """Remove whatever is there; nothing is fine too. Raises Unavailable."""
        try:
            for path in (self._growing(upload), *([self._place(upload, digest)] if digest else [])):
                if path.exists():
                    path.unlink(missing_ok=True)
                    sync(path.parent)  # a file that a power loss brings back would be nobody's
        except OSError as error:
            raise _away(error) from error

    def _growing(self, upload: str) -> Path:
        return self._folder / GROWING / upload

    def _place(self, upload: str, digest: str) -> Path:
        return self._folder / digest[:2] / f"{digest}-{upload}"


def _chunk(file: BinaryIO) -> bytes:
    """Read the next chunk; empty where the file ends, or no chunk begins here."""
    head = file.read(LENGTH.size)
    length = LENGTH.unpack(head)[0] if len(head) == LENGTH.size else 0
    sealed = file.read(length) if length <= MOST_SEALED else b""
    return sealed if len(sealed) == length else b""


def _none(digest: str, number: int) -> bytes:
    raise missing(f"{FolderStore.name}:{digest[:12]}/{number}")


def _away(error: OSError) -> Unavailable:
    return Unavailable(Code.UNAVAILABLE, Problem(text="attachments.store", values={"store": FolderStore.name, "cause": _cause(error)}))


def _cause(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else type(error).__name__
