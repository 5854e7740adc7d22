"""JSON as the tables and the log hold it: without white space, every letter as itself."""

from pydantic_core import to_json


def write(value: object) -> str:
    """Write plain values as JSON; keys stay in their order. Raises ValueError for a text that has no UTF-8."""
    return to_json(value).decode()
