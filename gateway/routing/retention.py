"""Which periods hold for which messages, as the rules in force say. Where several apply, the longest holds."""

from gateway.model import Schedule, longest

from .ruleset import RuleSet


def schedule_of(rules: RuleSet) -> Schedule:
    """Read the periods of every procedure and party.

    A procedure has the longest of its versions'. What no procedure governs has the gateway's own; where it states none, the longest of
    all procedures, so that nothing goes because nobody said how long it stays.
    """
    versions = {code: longest(version.retention for version in known) for code, known in rules.catalogue.items()}
    procedures = {code: periods for code, periods in versions.items() if periods}
    return Schedule(
        procedures=procedures,
        parties={party.code: party.retention for party in rules.parties if party.retention},
        otherwise=rules.own.retention or longest(procedures.values()),
    )
