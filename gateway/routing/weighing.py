"""Weighs a row's conditions for one message: which routes are open, which business rules are broken, what could not be told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.errors import Problem
from gateway.model import PartyCode, Route

from .conditions import Condition
from .procedures import BusinessRule, MessageRule

Keys = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """What the conditions say; `warnings` name those that could not be told and so count as not holding."""

    routes: tuple[Route, ...]
    broken: tuple[BusinessRule, ...]
    warnings: tuple[Problem, ...]


def variables(
    *, procedure: str, message: str, sender: PartyCode, reference: str, year: str, facts: Mapping[str, str], keys: Keys
) -> dict[str, object]:
    """Collect what conditions may name."""
    by_name: dict[str, list[str]] = {}
    for name, value in keys:
        by_name.setdefault(name, []).append(value)
    return {
        "procedure": procedure,
        "message": message,
        "sender": sender,
        "reference": reference,
        "year": year,
        "facts": dict(facts),
        "keys": by_name,
    }


def weigh(row: MessageRule, values: Mapping[str, object]) -> Weighed:
    """Ask every condition of a row once."""
    unknown: list[str] = []

    def holds(condition: Condition | None, name: str) -> bool:
        answer = condition is None or condition.holds(values)
        if answer is None:
            unknown.append(name)
        return answer is True

    broken = tuple(rule for rule in row.rules if holds(rule.when, rule.name) and _breaks(rule, values, unknown))
    routes = tuple(rule.route for rule in row.routes if holds(rule.when, rule.route.name))
    warnings = tuple(Problem(text="routing.condition-unknown", values={"name": name}) for name in unknown)
    return Weighed(routes=routes, broken=broken, warnings=warnings)


def _breaks(rule: BusinessRule, values: Mapping[str, object], unknown: list[str]) -> bool:
    answer = rule.require.holds(values)
    if answer is None:
        unknown.append(rule.name)
    return answer is False


def destinations(routes: Sequence[Route], sender: PartyCode) -> tuple[Route, ...]:
    """Keep one route a party, the first, and none back to the sender."""
    by_party: dict[PartyCode, Route] = {}
    for route in routes:
        if route.party.code != sender:
            by_party.setdefault(route.party.code, route)
    return tuple(by_party.values())
