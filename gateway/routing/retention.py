"""Which periods hold for which messages, as the rules in force say. Where several apply, the longest holds."""

from collections.abc import Iterable

from gateway.model import Periods, Schedule

from .ruleset import RuleSet


def schedule_of(rules: RuleSet) -> Schedule:
    """Read the periods of every procedure and party.

    A procedure has the longest of its versions'. What no procedure governs has the gateway's own; where it states none, the longest of
    all procedures, so that nothing goes because nobody said how long it stays.
    """
    procedures = {code: longest(version.retention for version in versions) for code, versions in rules.catalogue.items()}
    return Schedule(
        procedures=procedures,
        parties={party.code: party.retention for party in rules.parties if party.retention},
        otherwise=rules.own.retention or (longest(procedures.values()) if procedures else None),
    )


def longest(periods: Iterable[Periods]) -> Periods:
    """Take the longest of each period; at least one."""
    each = tuple(periods)
    return Periods(content=max(p.content for p in each), record=max(p.record for p in each), archive=max(p.archive for p in each))
