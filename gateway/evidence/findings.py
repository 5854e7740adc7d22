"""What a check of a container finds: a problem, which fails it, or a remark, which is said although it passed."""

from dataclasses import dataclass

from gateway.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something to be said that is not wrong; `doubtful` where a reader has to judge it."""

    problem: Problem
    doubtful: bool


Finding = Problem | Remark


def remark(name: str, path: str | None = None, **values: str) -> Remark:
    """Make a remark that a reader has to judge, by its text's name."""
    return Remark(problem=wrong(name, path, **values), doubtful=True)


def seen(name: str, path: str | None = None, **values: str) -> Remark:
    """Make a remark that raises no doubt, by its text's name."""
    return Remark(problem=wrong(name, path, **values), doubtful=False)


def wrong(name: str, path: str | None = None, **values: str) -> Problem:
    """Make a problem by its text's name."""
    return Problem(text=f"container.{name}", path=path, values=values)
