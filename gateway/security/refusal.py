"""The refusal of a numbered check: what SIG.md calls SIG-n, as a NotProven that says where."""

from lxml.etree import _Element

from gateway.errors import Code, NotProven, Problem
from gateway.xml.parse import line_of


def refusal(check: int, name: str, at: _Element | None = None, /, *, path: str | None = None, **values: str) -> NotProven:
    """Make the refusal of a numbered check, placed at an element."""
    line = None if at is None else line_of(at)
    where = path if at is None or path else at.getroottree().getpath(at)
    return NotProven(Code.SIGNATURE, Problem(text=f"signature.{name}", path=where, line=line, values={"check": str(check), **values}))
