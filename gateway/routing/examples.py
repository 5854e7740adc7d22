"""Runs the [[example]] cases of a set of rules: what each message's sender and facts must lead to."""

from collections.abc import Iterator

from gateway.errors import Problem
from gateway.model import PartyCode, Subject

from .procedures import Example, MessageRule, Procedure
from .ruleset import RuleSet
from .weighing import Stated, Weighed, destinations, variables, weigh

REFERENCE, YEAR = "EXAMPLE", "2026"  # a dossier's number and year matter to no rule but are there to be named


def run_examples(rules: RuleSet) -> tuple[Problem, ...]:
    """Give what the examples find wrong; empty where all pass."""
    return tuple(problem for procedure in rules.procedures for problem in _of(procedure))


def _of(procedure: Procedure) -> Iterator[Problem]:
    rows = {row.code: row for row in procedure.messages.values()}
    for example in procedure.examples:
        yield from _judge(procedure, rows[example.message], example)


def _judge(procedure: Procedure, row: MessageRule, example: Example) -> Iterator[Problem]:
    """An example fails on its sender, on a condition that cannot be told, or on where it leads."""
    if example.sender not in row.senders:
        yield _problem(example, "example-sender", sender=example.sender, senders=_list(row.senders))
        return
    weighed = _weighed(procedure, row, example)
    for warning in weighed.warnings:
        yield _problem(example, "example-unknown", name=warning.values["name"])
    refused = [rule.name for rule in weighed.broken]
    found = [route.party.code for route in destinations(weighed.routes, example.sender)]
    if example.refused_by is None:
        yield from _led(example, refused, found)
    elif not refused:
        yield _problem(example, "example-taken", rule=example.refused_by)
    elif example.refused_by not in refused:
        yield _problem(example, "example-not-refused", rule=example.refused_by, found=_list(refused))


def _led(example: Example, refused: list[str], found: list[PartyCode]) -> Iterator[Problem]:
    if refused:
        yield _problem(example, "example-refused", found=_list(refused))
    if example.to and not found:
        yield _problem(example, "example-nowhere", wanted=_list(example.to))
    elif sorted(found) != sorted(example.to):
        yield _problem(example, "example-route", wanted=_list(example.to), found=_list(found))


def _weighed(procedure: Procedure, row: MessageRule, example: Example) -> Weighed:
    stated = Stated(keys=tuple((name, value) for name, values in example.keys.items() for value in values), facts=example.facts)
    subject = Subject(document_type=procedure.code, type=row.type, function=row.function, reference=REFERENCE, year=YEAR)
    return weigh(row, stated, variables(procedure.code, row.code, subject=subject, sender=example.sender, stated=stated))


def _problem(example: Example, name: str, /, **values: str) -> Problem:
    return Problem(text=f"routing.{name}", path=example.place, line=example.line, values={"message": example.message, **values})


def _list(codes: "frozenset[PartyCode] | tuple[PartyCode, ...] | list[PartyCode] | list[str]") -> str:
    return ", ".join(sorted(codes)) or "-"
