"""Random bytes from the operating system, fetched a block at a time: a call for each nonce would be most of its cost."""

import os
import threading

BLOCK = 4096  # bytes


class Randomness:
    """Gives each byte of the system's randomness once; may be called from any thread, not across a fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._block = b""
        self._at = 0

    def __call__(self, size: int) -> bytes:
        """Give `size` bytes that nobody else gets."""
        with self._lock:
            if len(self._block) - self._at < size:
                self._block, self._at = os.urandom(max(BLOCK, size)), 0
            self._at += size
            return self._block[self._at - size : self._at]
