"""Core statements, compiled once to the SQL of a driver."""

from collections.abc import Callable, Mapping
from functools import cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Executable
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import SQLCompiler


@cache
def compiled(statement: Executable, dialect: type[Dialect], paramstyle: str) -> tuple[str, Callable[[Mapping[str, Any]], tuple[Any, ...]]]:
    """Compile a statement to SQL, and what puts its values in order, those too that it already carries."""
    speaking = dialect(paramstyle=paramstyle)  # type: ignore[call-arg]  # every dialect of SQLAlchemy's own takes it
    made = statement.compile(dialect=speaking, compile_kwargs={"render_postcompile": True})  # type: ignore[attr-defined]
    assert isinstance(made, SQLCompiler)  # noqa: S101  # Core's own promise, told to the type checker
    names, carried = made.positiontup or (), made.params
    if len(names) > 1 and all(made.binds[name].required for name in names):
        return made.string, itemgetter(*names)  # as fast as can be: every message brings some 150 values
    return made.string, lambda values: tuple([values[name] if name in values else carried[name] for name in names])
