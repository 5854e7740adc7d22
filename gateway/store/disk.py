"""What it takes that a file outlasts a power loss, besides its content."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Put a folder's entries, or a file, on disk: a name that is not there is lost with all it names. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
