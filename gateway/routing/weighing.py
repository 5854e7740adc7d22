"""Weighs a row's conditions for one message: which routes are open, which business rules are broken, what could not be told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lxml.etree import _Element

from gateway.errors import Problem
from gateway.model import PartyCode, Route, Subject

from .conditions import Condition
from .paths import Paths
from .procedures import BusinessRule, MessageRule, PathLabel, Procedure


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """What a document's declared paths say: business keys, facts for conditions, and the identity its signature must match."""

    keys: tuple[tuple[str, str], ...]
    facts: Mapping[str, str]
    identity: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """What the conditions say; `warnings` name those that could not be told and so count as not holding."""

    stated: Stated
    routes: tuple[Route, ...]
    broken: tuple[BusinessRule, ...]
    warnings: tuple[Problem, ...]


def consider(procedure: Procedure, row: MessageRule, content: _Element, *, subject: Subject, sender: PartyCode) -> Weighed:
    """Read what a message's content states and weigh its row's conditions by it."""
    stated = read_stated(row.paths, content)
    if not row.rules and all(rule.when is None for rule in row.routes):  # most rows: one route, always
        return Weighed(stated=stated, routes=tuple([rule.route for rule in row.routes]), broken=(), warnings=())
    return weigh(row, stated, variables(procedure.code, row.code, subject=subject, sender=sender, stated=stated))


def read_stated(paths: Paths[PathLabel], content: _Element) -> Stated:
    """Read what the declared paths of a row select; of a fact the first value counts, of a key each value once."""
    keys: dict[tuple[str, str], None] = {}
    facts: dict[str, str] = {}
    identity = None
    for label, value in paths.read(content):
        if label.use == "key":
            keys[label.name, value] = None
        elif label.use == "fact":
            facts.setdefault(label.name, value)
        else:
            identity = identity or value
    return Stated(keys=tuple(keys), facts=facts, identity=identity)


def variables(procedure: str, message: str, *, subject: Subject, sender: PartyCode, stated: Stated) -> dict[str, object]:
    """Collect what conditions may name."""
    by_name: dict[str, list[str]] = {}
    for name, value in stated.keys:
        by_name.setdefault(name, []).append(value)
    return {
        "procedure": procedure,
        "message": message,
        "sender": sender,
        "reference": subject.reference,
        "year": subject.year,
        "facts": dict(stated.facts),
        "keys": by_name,
    }


def weigh(row: MessageRule, stated: Stated, values: Mapping[str, object]) -> Weighed:
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
    return Weighed(stated=stated, routes=routes, broken=broken, warnings=warnings)


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
