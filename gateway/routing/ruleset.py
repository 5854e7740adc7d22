"""One consistent set of rules: who is who, and the catalogue. Immutable; a message is judged by one set from end to end."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo

from gateway.errors import Code, NotValid, Problem
from gateway.model import Party, PartyCode, RetryPolicy, Route, Subject

from .procedures import MessageRule, Procedure
from .suggest import nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """The rules in force; implements ports.Directory.

    `version` is the pack's own version and a digest of the files' content; `stamp` adds its validity and is recorded with messages.
    """

    version: str
    stamp: str
    own: Party
    zone: tzinfo
    parties: tuple[Party, ...]
    procedures: tuple[Procedure, ...]
    spellings: Mapping[str, Party]
    catalogue: Mapping[str, tuple[Procedure, ...]]
    routes: Mapping[str, Route]  # by name; of the latest version where several have it

    def party(self, spelling: str) -> Party | None:
        """Find a party by its code or an alias."""
        return self.spellings.get(spelling.strip())

    def find(self, subject: Subject, at: datetime) -> tuple[Procedure, MessageRule]:
        """Find the row that judges a message received at a moment; raises NotValid where there is none."""
        procedure = self.procedure(subject.document_type, at)
        row = procedure.messages.get((subject.type, subject.function))
        if row is None:
            raise NotValid(Code.MESSAGE_UNKNOWN, _message_unknown(procedure, subject))
        return procedure, row

    def procedure(self, code: str, at: datetime) -> Procedure:
        """Find the version of a procedure that is in force at a moment; raises NotValid where there is none."""
        versions = self.catalogue.get(code)
        if versions is None:
            values = {"procedure": code, "near": nearest(code, self.catalogue)}
            raise NotValid(Code.PROCEDURE_UNKNOWN, Problem(text="routing.procedure-unknown", path=_DOCUMENT_TYPE, values=values))
        for version in versions:
            if version.in_force(at):
                return version
        raise NotValid(Code.PROCEDURE_UNKNOWN, _not_in_force(versions, at.astimezone(self.zone)))


_DOCUMENT_TYPE = "/Envelope/Header/Subject/documentType"


def retry_of(rules: RuleSet, party: PartyCode) -> RetryPolicy:
    """Give how often and how soon a party is tried again; one that the rules know no more, as others are by default."""
    found = rules.party(party)
    return found.retry if found else RetryPolicy()


def route_named(rules: RuleSet, party: PartyCode, name: str) -> Route:
    """Rebuild the route of a stored delivery under the present rules: the party's present address and limits.

    A route that the rules no longer have goes to its party all the same, in no order. Raises NotValid where the party is gone.
    """
    known = rules.routes.get(name)
    if known is not None and known.party.code == party:
        return known
    found = rules.party(party)
    if found is None:
        raise NotValid(Code.NO_ROUTE, Problem(text="routing.party-gone", values={"party": party}))
    return Route(name=name, party=found, transport="http", endpoint=found.endpoint, timeout=found.limits.timeout)


def _message_unknown(procedure: Procedure, subject: Subject) -> Problem:
    same_type = sorted(row.code for row in procedure.messages.values() if row.type == subject.type)
    known = same_type or sorted(row.code for row in procedure.messages.values())
    values = {"procedure": procedure.code, "message": f"{subject.type}/{subject.function}", "known": ", ".join(known)}
    return Problem(text="routing.message-unknown", path="/Envelope/Header/Subject/" + ("function" if same_type else "type"), values=values)


def _not_in_force(versions: tuple[Procedure, ...], at: datetime) -> Problem:
    periods = "; ".join(version.stamp.rpartition(" ")[2] for version in versions)
    values = {"procedure": versions[0].code, "day": at.date().isoformat(), "periods": periods}
    return Problem(text="routing.procedure-not-in-force", path=_DOCUMENT_TYPE, values=values)
