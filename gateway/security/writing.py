"""Writes files of keys, certificates and what is known of them: whole or not at all, and readable by their owner alone.

That is whoever owns the folder they lie in, also where root runs a command: the server does not run as root, and must read them.
"""

import os
from pathlib import Path

from gateway.store.disk import sync

_MODE = 0o600  # certificates too: one rule for the whole folder


def put(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, whatever happens meanwhile."""
    make_folder(path.parent)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    write_private(part, content)
    part.replace(path)
    sync(path.parent)


def write_private(path: Path, content: bytes) -> None:
    """Write a file for its owner alone; it is on the disk when this returns, and may be half there where it does not."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE), "wb") as file:
        _hand_over(path)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def make_folder(folder: Path) -> None:
    """Make a folder for its owner alone, and those above it that are not there."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True, mode=0o700)
        _hand_over(folder)


def _hand_over(path: Path) -> None:
    """Give what root makes to whoever owns the folder it lies in."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
