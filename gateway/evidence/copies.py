"""Copies of heads that left their ledger: append-only files, one JSON line a head, each on the disk before anybody hears of it."""

import base64
import binascii
import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from gateway.errors import Code, NotReadable, Problem, Unavailable
from gateway.security.certificates import Certificate
from gateway.security.keys import SigningKey
from gateway.store.disk import sync

from .heads import MAX_HEADS_BYTES, SignedHead, made_by, read_file, read_signed, write_head, write_signed

LONGEST_LINE = 8192  # bytes; with two RSA-4096 signatures some 2,000

_BEGIN = b'{"head":'  # of every line, because members are sorted


@dataclass(frozen=True, slots=True, kw_only=True)
class Countersignature:
    """What a witness signed: that it saw a head then, grown from the one before; `key` is the SHA-256 of its certificate, in hex."""

    at: datetime
    key: str
    method: str
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A signed head outside its ledger, countersigned or not."""

    signed: SignedHead
    witnessed: Countersignature | None = None


def countersign(signed: SignedHead, key: SigningKey, *, at: datetime) -> Copy:
    """Countersign a head; raises Unavailable where the key is away."""
    signer = key.certificates[0].sha256
    value = key.sign(_countersigned(signed, at, signer))
    return Copy(signed=signed, witnessed=Countersignature(at=at, key=signer, method=key.algorithm, signature=value))


def is_witnessed_by(copy: Copy, witnesses: Mapping[str, Certificate]) -> bool:
    """Say whether a copy is countersigned by a certificate among `witnesses` (by SHA-256) that was valid then."""
    found = copy.witnessed
    by = witnesses.get(found.key) if found else None
    if found is None or by is None:
        return False
    return made_by(by, found.method, found.signature, _countersigned(copy.signed, found.at, found.key), at=found.at)


def write_copy(copy: Copy) -> dict[str, object]:
    """Write a copy as JSON members."""
    members = write_signed(copy.signed)
    if copy.witnessed is not None:
        by = copy.witnessed
        value = base64.b64encode(by.signature).decode("ascii")
        members["witnessed"] = {"at": by.at.isoformat(), "key": by.key, "method": by.method, "signature": value}
    return members


def read_copy(members: object) -> Copy:
    """Read what write_copy() wrote; raises NotReadable for anything else."""
    signed = read_signed(members)
    match members:
        case {"witnessed": {"at": str(at), "key": str(key), "method": str(method), "signature": str(value)}}:
            pass
        case {"witnessed": _}:
            raise _unreadable()
        case _:
            return Copy(signed=signed)
    try:
        moment, signature = datetime.fromisoformat(at), base64.b64decode(value, validate=True)
    except (ValueError, binascii.Error) as error:
        raise _unreadable() from error
    if moment.tzinfo is None:
        raise _unreadable()
    return Copy(signed=signed, witnessed=Countersignature(at=moment, key=key, method=method, signature=signature))


def write_line(copy: Copy) -> bytes:
    """Write a copy as one line, without its end."""
    return json.dumps(write_copy(copy), sort_keys=True, separators=(",", ":")).encode()


def read_copies(data: bytes) -> tuple[Copy, ...]:
    """Read a published file, a witness's, or what `nsw ledger heads` wrote; raises NotReadable. Whose they are is not judged.

    A last line that was cut off in the middle of being written counts for nothing.
    """
    if not data.startswith(_BEGIN):
        return tuple(Copy(signed=signed) for signed in read_file(data)[0])
    if len(data) > MAX_HEADS_BYTES:
        raise _unreadable()
    *lines, rest = data.split(b"\n")
    found = tuple(_read_line(line) for line in (*lines, b"" if _is_torn(rest) else rest) if line.strip())
    if not found:
        raise _unreadable()
    return found


class Journal:
    """A file of copies that this process alone has open for writing."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file = file
        self._path = path

    def last(self) -> Copy | None:
        """Give the last copy; None where there is none. Raises Unavailable where the file holds anything else."""
        whole, _ = self._tail()
        lines = whole.splitlines()
        try:
            return _read_line(lines[-1]) if lines else None
        except NotReadable as error:
            raise _closed(self._path, "damaged") from error

    def append(self, copy: Copy) -> None:
        """Add a copy, and return when the disk has it; raises Unavailable. What a crash left half written goes first."""
        _, torn = self._tail()
        end, line = self.size - len(torn), write_line(copy) + b"\n"
        try:
            self._file.truncate(end)
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, "cut off")  # noqa: TRY301  # a full disk takes the beginning, and says so of the rest only
            os.fsync(self._file.fileno())
            if end == 0:
                sync(self._path.parent)  # the file's name must outlast a power loss, too
                sync(self._path.parent.parent)
        except OSError as error:
            raise _closed(self._path, type(error).__name__) from error

    @property
    def size(self) -> int:
        """How many bytes the file has."""
        return self._file.seek(0, os.SEEK_END)

    def _tail(self) -> tuple[bytes, bytes]:
        """Read the end of the file: whole lines, and what was cut off while it was written. Raises Unavailable for another's file."""
        self._file.seek(-min(self.size, LONGEST_LINE), os.SEEK_END)
        whole, _, torn = self._file.read(LONGEST_LINE).rpartition(b"\n")
        if torn[: len(_BEGIN)] != _BEGIN[: len(torn)] or len(torn) == LONGEST_LINE:
            raise _closed(self._path, "damaged")  # and nothing of it is cut off
        return whole, torn


@contextmanager
def open_journal(path: Path, *, wait: bool) -> Iterator[Journal | None]:
    """Open a file of copies and keep others from it; None where another process has it and `wait` is not said. Raises Unavailable."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b", buffering=0)  # so that nothing is left to be written when it is closed
    except OSError as error:
        raise _closed(path, type(error).__name__) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield None
        except OSError as error:
            raise _closed(path, type(error).__name__) from error
        else:
            yield Journal(file, path)


def last_of(path: Path) -> Copy | None:
    """Give the last copy in a file beside whoever writes to it; None where there is none. Raises Unavailable."""
    try:
        with path.open("rb") as file:
            return Journal(file, path).last()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _closed(path, type(error).__name__) from error


def _countersigned(signed: SignedHead, at: datetime, key: str) -> bytes:
    """Write the bytes that a witness signs (LEDGER.md): they are no head, so that neither signature stands for the other."""
    members = {"at": at.isoformat(), "head": hashlib.sha256(write_head(signed.head)).hexdigest(), "key": key}
    return json.dumps(members, sort_keys=True, separators=(",", ":")).encode()


def _read_line(line: bytes) -> Copy:
    try:
        return read_copy(json.loads(line))
    except (ValueError, RecursionError) as error:
        raise _unreadable() from error


def _is_torn(line: bytes) -> bool:
    try:
        json.loads(line or b"{}")
    except (ValueError, RecursionError):
        return True
    return False


def _unreadable() -> NotReadable:
    return NotReadable(Code.NOT_XML, Problem(text="ledger.heads-unreadable"))


def _closed(path: Path, cause: str) -> Unavailable:
    return Unavailable(Code.UNAVAILABLE, Problem(text="ledger.copies-closed", path=str(path), values={"cause": cause}))
