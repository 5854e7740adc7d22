"""What a program asked of the kernel, as strace wrote it down: which bytes went to which file, and what was synced when.

A SIGKILL leaves the page cache whole, a power cut does not: only what was synced survives. Here that is read from the calls
themselves: what was on disk for certain at the moment when the first byte of an answer left.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

WRITES = ("pwrite64", "write", "writev", "pwritev", "sendto", "sendmsg")
SYNCS = ("fsync", "fdatasync")
CALLS = (*WRITES, *SYNCS, "ftruncate", "recvfrom", "read")
FOLLOW = ("-f", "-yy", "-xx", "-s", "1000000", "-e", f"trace={','.join(CALLS)}", "-e", "signal=none")
# The first program's own exec, so that the process's id stays the one that was started.
UNDER_STRACE = "import os, sys; os.execvp('strace', ['strace', '--seccomp-bpf', *sys.argv[1:]])"
ATTACH_SECONDS = 10.0

UNKNOWN = -1

_LINE = re.compile(r"^(?P<pid>\d+) +(?P<rest>.*)$")
_RESUMED = re.compile(r"^<\.\.\. \w+ resumed>(?P<rest>.*)$")
_UNFINISHED = " <unfinished ...>"
_CALL = re.compile(r"^(?P<name>\w+)\(\d+<(?P<place>(?:\\x[0-9a-f]{2})+|\w+:\[[^\]]*\]|[^<>]*)(?P<arguments>.*)\) += (?P<result>-?\d+|\?)")
_BYTES = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


class NoStraceError(Exception):
    """strace is not here, or may not look at that process; says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call on a file or a socket: `began` and `ended` are places in the order of all that was seen.

    `result` is UNKNOWN where the process was killed before the call came back: what it wrote may have gone out or not.
    """

    pid: int
    name: str
    place: str
    data: bytes
    offset: int
    result: int
    began: int
    ended: int


def strace() -> str:
    """Find strace; raises NoStraceError."""
    found = shutil.which("strace")
    if found is None:
        raise NoStraceError("strace is not installed (Debian: apt-get install strace)")
    return found


def under_strace(log: Path, program: Sequence[str]) -> tuple[str, ...]:
    """Give the arguments of this Python which run a Python program under strace; raises NoStraceError."""
    strace()
    return ("-c", UNDER_STRACE, *FOLLOW, "-o", str(log), sys.executable, *program)


@contextmanager
def attached(pid: int, log: Path) -> Iterator[None]:
    """Watch a running process, and what it forks, until the end of the block; raises NoStraceError."""
    watcher = subprocess.Popen([strace(), *FOLLOW, "-o", str(log), "-p", str(pid)], stderr=subprocess.PIPE, text=True)  # noqa: S603  # a fixed program
    assert watcher.stderr is not None  # noqa: S101  # asked for in the line above
    try:
        said = watcher.stderr.readline()
        if "attached" not in said:
            raise NoStraceError(f"strace cannot watch process {pid}: {said.strip()}")
        yield
    finally:
        watcher.terminate()
        watcher.wait(ATTACH_SECONDS)
        watcher.stderr.close()


def read(log: Path) -> list[Call]:
    """Read a log into calls, in the order in which they ended."""
    begun: dict[int, tuple[int, str]] = {}
    calls: list[Call] = []
    number = 0
    with log.open(encoding="ascii", errors="replace") as lines:
        for number, line in enumerate(lines):
            matched = _LINE.match(line.rstrip("\n"))
            if matched is None:
                continue
            pid, rest = int(matched["pid"]), matched["rest"]
            if rest.endswith(_UNFINISHED):
                begun[pid] = (number, rest.removesuffix(_UNFINISHED))
                continue
            resumed = _RESUMED.match(rest)
            began, head = begun.pop(pid, (number, "")) if resumed else (number, "")
            call = _call(pid, head + resumed["rest"] if resumed else rest, began, number)
            if call:
                calls.append(call)
    cut = [_call(pid, f"{head}) = ?", began, number) for pid, (began, head) in begun.items()]
    return [*calls, *filter(None, cut)]


def _call(pid: int, text: str, began: int, ended: int) -> Call | None:
    matched = _CALL.match(text)
    if matched is None:
        return None  # an exit, or a call that failed before it named a file
    pieces = _BYTES.findall(matched["arguments"])
    last = matched["arguments"].rpartition(", ")[2]
    return Call(
        pid=pid,
        name=matched["name"],
        place=_bytes(matched["place"]).decode("utf-8", "replace"),
        data=b"".join(map(_bytes, pieces)),
        offset=int(last) if last.isdecimal() else 0,
        result=UNKNOWN if matched["result"] == "?" else int(matched["result"]),
        began=began,
        ended=ended,
    )


def _bytes(text: str) -> bytes:
    """Read strace's hexadecimal spelling; what is not spelt so is itself."""
    return bytes.fromhex(text.replace("\\x", "")) if text.startswith("\\x") else text.encode()


@dataclass(slots=True)
class Disk:
    """What a disk holds for certain while calls pass, for the files of one folder."""

    folder: Path
    durable: dict[str, bytearray] = field(default_factory=dict)
    pending: dict[str, list[Call]] = field(default_factory=dict)  # written, and not synced by anything that has ended

    def passes(self, call: Call) -> None:
        """Take a call that ended."""
        if call.result < 0 or Path(call.place).parent != self.folder:
            return
        if call.name in {"pwrite64", "ftruncate"}:
            self.pending.setdefault(call.place, []).append(call)
        elif call.name in SYNCS:
            waiting = self.pending.get(call.place, [])
            covered = [write for write in waiting if write.ended < call.began]  # what came while it ran, it may have missed
            self.pending[call.place] = waiting[len(covered) :]
            for write in covered:
                apply(self.durable.setdefault(call.place, bytearray()), write)


def apply(content: bytearray, write: Call) -> None:
    """Do to a file's content what a call did to the file."""
    if write.name == "ftruncate":
        del content[write.offset :]
        content.extend(bytes(write.offset - len(content)))
        return
    end = write.offset + write.result
    content.extend(bytes(max(end - len(content), 0)))
    content[write.offset : end] = write.data[: write.result]


def restore(files: Mapping[str, bytes | bytearray], folder: Path) -> None:
    """Write what a disk held into another folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, content in files.items():
        (folder / os.path.basename(place)).write_bytes(content)  # noqa: PTH119  # the name is text, not a path of this machine
