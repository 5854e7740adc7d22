"""What a suite checks with: plain functions that raise AssertionError, in an installation as in a source tree."""

from collections.abc import Callable
from typing import TypeVar

E = TypeVar("E", bound=Exception)


def holds(condition: object, says: str) -> None:
    """Raise AssertionError with `says` where the condition is false."""
    if not condition:
        raise AssertionError(says)


def same(actual: object, expected: object, says: str = "differs") -> None:
    """Raise AssertionError where two values differ; shows both."""
    holds(actual == expected, f"{says}: {actual!r} is not {expected!r}")


def raised(kind: type[E], call: Callable[[], object]) -> E:
    """Give the exception that a call raises; AssertionError where it returns, any other exception passes."""
    try:
        result = call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised; it gave {result!r}")
