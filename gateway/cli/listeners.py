"""Finds which program listens on a port, where the system tells it (Linux, and only of programs one may look at)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_LISTENING = "0A"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A program: its process id and how it was called."""

    pid: int
    command: str


def listener(port: int, *, proc: Path = _PROC) -> Listener | None:
    """Find who listens on a port; None where nobody does or the system does not say."""
    links = {f"socket:[{inode}]" for inode in _inodes(port, proc)}
    if not links:
        return None
    for process in proc.glob("[0-9]*"):
        if any(link in links for link in _open_files(process)):
            return Listener(pid=int(process.name), command=_command(process))
    return None


def _inodes(port: int, proc: Path) -> Iterator[str]:
    """Read the kernel's tables of sockets: local address, state and inode are columns 1, 3 and 9."""
    for name in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / name).read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _open_files(process: Path) -> Iterator[str]:
    try:
        for file in (process / "fd").iterdir():
            yield str(file.readlink())
    except OSError:  # it ended, or is somebody else's
        return


def _command(process: Path) -> str:
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return "?"
    return " ".join(word.decode("utf-8", "replace") for word in words[:3] if word)[:80] or "?"
