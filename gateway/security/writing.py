"""Writes files of keys, certificates and what is known of them: whole or not at all, and readable by their owner alone."""

import os
from pathlib import Path

from gateway.store.disk import sync

_MODE = 0o600  # certificates too: one rule for the whole folder


def put(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, whatever happens meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync(path.parent)
