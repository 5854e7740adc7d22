"""Gives back the memory in which lxml keeps every name it ever read.

lxml shares one table of names among all documents that a thread parses, and never shrinks it: whoever sends documents full of
new element names makes the process grow without end. Dropping the table is safe at any time, because each document holds its
own reference to the one it was parsed with; the next parse makes a new one.
"""

import ctypes
import time

BUDGET = 16_000_000  # bytes that a thread parses, on average, until its names are dropped; a name costs four times its bytes

_TABLE = "_ParserDictionaryContext"  # lxml's key in the interpreter's dictionary of the thread
_thread_dictionary = ctypes.PYFUNCTYPE(ctypes.c_void_p)(("PyThreadState_GetDict", ctypes.pythonapi))  # a borrowed reference


def drop_names_in_time(size: int) -> None:
    """Drop this thread's names once in BUDGET bytes on average, when `size` more are about to be parsed.

    The nanoseconds draw the moment, so that nothing has to be counted or shared.
    """
    if time.monotonic_ns() % BUDGET < size:
        drop_names()


def drop_names() -> None:
    """Drop this thread's table of names."""
    address = _thread_dictionary()
    if address:
        ctypes.cast(address, ctypes.py_object).value.pop(_TABLE, None)
