"""Core statements, compiled once to the SQL of a driver."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import Executable
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import SQLCompiler


@cache
def compiled(statement: Executable, dialect: type[Dialect], paramstyle: str) -> tuple[str, tuple[str, ...], Mapping[str, Any]]:
    """Compile a statement to SQL, the order of its values, and those that it already carries."""
    speaking = dialect(paramstyle=paramstyle)  # type: ignore[call-arg]  # every dialect of SQLAlchemy's own takes it
    made = statement.compile(dialect=speaking, compile_kwargs={"render_postcompile": True})  # type: ignore[attr-defined]
    assert isinstance(made, SQLCompiler)  # noqa: S101  # Core's own promise, told to the type checker
    return made.string, tuple(made.positiontup or ()), dict(made.params)
