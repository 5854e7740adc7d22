"""Chooses where a judged message goes, and tells why: rules are data, one route a party, never back to the sender."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from lxml.etree import _Element

from gateway.errors import Code, NotValid, Problem
from gateway.model import Envelope, Header, Identity, Party, PartyCode, Route
from gateway.xml import envelope as envelopes

from .judge import Judgement
from .procedures import MessageRule, Procedure
from .ruleset import RuleSet, retry_of, route_named
from .weighing import Stated, Weighed, consider, destinations

__all__ = ["Considered", "Explanation", "explain", "retry_of", "route", "route_named"]

Verdict = Literal["chosen", "condition-false", "condition-unknown", "back-to-sender", "party-served"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Considered:
    """One route of the message's row and what became of it; `condition` as written, empty where it has none."""

    name: str
    to: PartyCode
    condition: str
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Which rules a document meets, what it states, which routes match and why; signatures and schema are not judged."""

    header: Header
    sender: Party | None
    procedure: Procedure
    row: MessageRule
    stated: Stated
    considered: tuple[Considered, ...]
    broken: tuple[str, ...]
    warnings: tuple[Problem, ...]


def route(envelope: Envelope, judgement: Judgement, rules: RuleSet, *, carries: Callable[[Party], bool]) -> tuple[Route, ...]:
    """Choose the destinations of a message; raises NotValid where there is none, or one that cannot be given its attachments.

    `judgement` was made under the same `rules`, so that its routes are theirs; `carries` says whether a party takes attachments.
    """
    chosen = destinations(judgement.routes, envelope.sender)
    if not chosen:
        values = {"procedure": envelope.header.subject.document_type, "message": judgement.rule.code, "rules": rules.version}
        raise NotValid(Code.NO_ROUTE, Problem(text="routing.no-route", values=values))
    deaf = [r.party.code for r in chosen if not carries(r.party)] if envelope.attachments else []
    if deaf:  # nothing is dropped on the way
        raise NotValid(Code.NO_ROUTE, Problem(text="attachments.not-carried", values={"party": ", ".join(deaf)}))
    return chosen


def explain(root: _Element, rules: RuleSet, *, at: datetime) -> Explanation:
    """Tell how an envelope would be routed if it came in at a moment; raises NotReadable or NotValid as intake would."""
    header = envelopes.read_header(root, zone=rules.zone)
    procedure, row = rules.find(header.subject, at)
    content = envelopes.content(root)
    if content is None:
        raise NotValid(Code.CONTENT_EMPTY, Problem(text="routing.content-empty", path="/Envelope/Body/Content"))
    sender = _sender(header.sender, rules)
    code = sender.code if sender else PartyCode(header.sender.identity)
    weighed = consider(procedure, row, content, subject=header.subject, sender=code)
    return Explanation(
        header=header,
        sender=sender,
        procedure=procedure,
        row=row,
        stated=weighed.stated,
        considered=_considered(row, weighed, code),
        broken=tuple(rule.name for rule in weighed.broken),
        warnings=weighed.warnings,
    )


def _considered(row: MessageRule, weighed: Weighed, sender: PartyCode) -> tuple[Considered, ...]:
    chosen = destinations(weighed.routes, sender)
    unknown = {warning.values["name"] for warning in weighed.warnings}
    return tuple(
        Considered(
            name=rule.route.name,
            to=rule.route.party.code,
            condition=rule.when.text if rule.when else "",
            verdict=_verdict(rule.route, chosen, weighed.routes, unknown),
        )
        for rule in row.routes
    )


def _sender(named: Identity, rules: RuleSet) -> Party | None:
    """By identity first: live traffic writes wrong ministry codes."""
    spellings = (named.identity, named.name, named.unit, named.organization, named.ministry)
    return next((party for spelling in spellings if spelling and (party := rules.party(spelling)) is not None), None)


def _verdict(route: Route, chosen: tuple[Route, ...], held: tuple[Route, ...], unknown: set[str]) -> Verdict:
    if route in chosen:
        return "chosen"
    if route.name in unknown:
        return "condition-unknown"
    if route not in held:
        return "condition-false"
    return "party-served" if any(other.party.code == route.party.code for other in chosen) else "back-to-sender"
