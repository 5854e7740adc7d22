"""The rules in force, and how they change while the gateway runs: whole and checked, or not at all."""

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import Problem

from .examples import run_examples
from .loading import RulesInvalid, load
from .ruleset import RuleSet, route_named
from .sources import fingerprint

__all__ = ["CheckReport", "RuleSet", "Rules", "RulesInvalid", "check", "load", "route_named"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What a check found: `rules` is None where the files do not even load; the counts say how much was checked."""

    rules: RuleSet | None
    problems: tuple[Problem, ...]
    procedures: int = 0
    messages: int = 0
    examples: int = 0

    @property
    def passed(self) -> bool:
        """Say whether these rules may be put in force."""
        return self.rules is not None and not self.problems


def check(folders: Sequence[Path], *, schemas: Collection[str] | None = None, adapters: Collection[str] | None = None) -> CheckReport:
    """Load the files and run all their examples; raises nothing, the report says it all."""
    try:
        rules = load(folders, schemas=schemas, adapters=adapters)
    except RulesInvalid as error:
        return CheckReport(rules=None, problems=error.problems)
    return CheckReport(
        rules=rules,
        problems=run_examples(rules),
        procedures=len(rules.procedures),
        messages=sum(len(procedure.messages) for procedure in rules.procedures),
        examples=sum(len(procedure.examples) for procedure in rules.procedures),
    )


class Rules:
    """Holds the set in force. Readers take `current` once a message; a reload replaces it in one assignment."""

    def __init__(self, folders: Sequence[Path], *, schemas: Collection[str] | None = None, adapters: Collection[str] | None = None) -> None:
        """Load and check the first set; raises RulesInvalid, because without rules nothing can be judged."""
        self._folders, self._schemas, self._adapters = tuple(folders), schemas, adapters
        self._reloading = threading.Lock()
        self._seen = fingerprint(self._folders)
        report = self._check()
        if report.rules is None or report.problems:
            raise RulesInvalid(*report.problems)
        self._current = report.rules
        self._problems: tuple[Problem, ...] = ()

    @property
    def current(self) -> RuleSet:
        """The set in force."""
        return self._current

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Why the files as they are now are not in force; empty where they are."""
        return self._problems

    def reload_if_changed(self) -> list[Problem]:
        """Put changed files in force if they pass; gives what stands against them, the old set stays until it is mended."""
        with self._reloading:
            now = fingerprint(self._folders)
            if now != self._seen:
                self._seen = now  # taken before reading: a change while we read is seen the next time
                self._replace(self._check())
            return list(self._problems)

    def _check(self) -> CheckReport:
        return check(self._folders, schemas=self._schemas, adapters=self._adapters)

    def _replace(self, report: CheckReport) -> None:
        self._problems = report.problems
        if report.rules is not None and report.passed:
            self._current = report.rules
