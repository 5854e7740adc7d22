"""Gives back the memory in which lxml keeps every name it ever read.

lxml shares one table of names among all documents that a thread parses, and never shrinks it: whoever sends documents full of
new element names makes the process grow without end. Dropping the table is safe at any time, because each document holds its
own reference to the one it was parsed with; the next parse makes a new one.
"""

import ctypes
import time
from typing import cast

BUDGET = 16_000_000  # bytes that a thread parses, on average, until its names are dropped; a name costs four times its bytes

_TABLE = "_ParserDictionaryContext"  # lxml's key in the interpreter's dictionary of the thread
_borrowed_dictionary = ctypes.PYFUNCTYPE(ctypes.c_void_p)(("PyThreadState_GetDict", ctypes.pythonapi))  # an address, nothing to free


def drop_names_in_time(size: int) -> None:
    """Drop this thread's names once in BUDGET bytes on average; `size` more are about to be parsed."""
    if is_time(time.monotonic_ns(), size):
        drop_names()


def is_time(nanoseconds: int, size: int) -> bool:
    """Draw from the clock, with a chance of `size` in BUDGET, so that nothing has to be counted and no two threads share a count."""
    return nanoseconds % BUDGET < size


def drop_names() -> None:
    """Drop this thread's table of names."""
    _dictionary().pop(_TABLE, None)


def _dictionary() -> dict[str, object]:
    """Give what the interpreter keeps for extension modules, for this thread alone."""
    address = _borrowed_dictionary()
    return cast("dict[str, object]", ctypes.cast(address, ctypes.py_object).value) if address else {}
