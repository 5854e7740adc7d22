"""Judges a proven message by its procedure: known, sent by whom it may, valid, signed as asked. Gives what routing needs."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from lxml.etree import _Element

from gateway.errors import Code, NotProven, NotValid, Problem
from gateway.model import Document, Judged, Party, Route
from gateway.ports import Proven
from gateway.xml import envelope
from gateway.xml.schemas import Schemas

from .procedures import BusinessRule, MessageRule, PathLabel
from .ruleset import RuleSet
from .weighing import Stated, consider

CONTENT = "/Envelope/Body/Content"
IDENTITY = PathLabel(use="identity", name="identity")
NO_PROBLEMS: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A valid message's document, the row that judged it, and what follows for dossier and routing.

    The dossier moves to `dossier_state` (None: stays) from one of `dossier_from` (empty: from any); the judge does not know
    where it stands. `routes` are those whose conditions hold; `warnings` go with the message's own.
    """

    document: Document
    rule: MessageRule
    keys: tuple[tuple[str, str], ...]
    facts: Mapping[str, str]
    opens_dossier: bool
    dossier_from: frozenset[str]
    dossier_state: str | None
    routes: tuple[Route, ...]
    judged: Judged
    warnings: tuple[Problem, ...]


class Judge:
    """Judges by the schemas it is given and by the rules it is handed with each message."""

    def __init__(self, schemas: Schemas) -> None:
        """Keep the compiled schemas."""
        self._schemas = schemas

    def judge(self, proven: Proven, rules: RuleSet, *, at: datetime) -> Judgement:
        """Judge a message received at a moment; raises NotValid, or NotProven where the person's signature is not as asked.

        Turns proven.root into its signed view. Does not look at the dossier.
        """
        procedure, row = rules.find(proven.header.subject, at)
        _check_sender(proven.sender, row)
        content = _content_of(proven.root)
        slots = self._schemas.slots(row.schema, at=at)
        envelope.make_signed_view(proven.root, slots)  # what is there of signatures is not the schema's business
        _refuse_invalid(self._schemas.validate(row.schema, proven.root, size=len(proven.payload), at=at))
        weighed = consider(procedure, row, content, subject=proven.header.subject, sender=proven.sender.code)
        doubts = _check_person(proven, row, weighed.stated)
        _refuse_broken(weighed.broken)
        pack = self._schemas.pack(row.schema, at=at)
        return Judgement(
            document=_document(proven.payload, row.schema, slots),
            rule=row,
            keys=weighed.stated.keys,
            facts=weighed.stated.facts,
            opens_dossier=row.opens_dossier,
            dossier_from=row.dossier_from,
            dossier_state=row.dossier_to,
            routes=weighed.routes,
            judged=Judged(schema_pack=pack, rule_set=rules.stamp, procedure=procedure.stamp),
            warnings=(*doubts, *weighed.warnings),
        )


def rule_problem(rule: BusinessRule) -> Problem:
    """Say that a business rule is broken, in the rule's own words."""
    path = f"{CONTENT}/{rule.path}" if rule.path else CONTENT
    return Problem(text="routing.rule-broken", path=path, values={"rule": rule.name, "vi": rule.title.vi, "en": rule.title.en})


def _check_sender(sender: Party, row: MessageRule) -> None:
    """A ministry cannot send the portal's messages, nor the portal a ministry's."""
    if sender.code not in row.senders:
        values = {"sender": sender.code, "message": row.code, "senders": ", ".join(sorted(row.senders))}
        raise NotValid(Code.PARTY, Problem(text="routing.sender-wrong", path="/Envelope/Header/From/identity", values=values))


def _content_of(root: _Element) -> _Element:
    content = envelope.content(root)
    if content is None or envelope.business(content) is None:
        raise NotValid(Code.CONTENT_EMPTY, Problem(text="routing.content-empty", path=CONTENT))
    return content


def _refuse_invalid(problems: tuple[Problem, ...]) -> None:
    if problems:
        raise NotValid(Code.SCHEMA, *problems)


def _check_person(proven: Proven, row: MessageRule, stated: Stated) -> tuple[Problem, ...]:
    """A person signs where the procedure asks for it, and as whom the document names; what cannot be compared is a doubt."""
    person = next((signer for signer in proven.signers if signer.role == "person"), None)
    if person is None:
        if row.person_signature == "required":
            raise NotProven(Code.SIGNATURE, Problem(text="routing.person-missing", path="/Envelope/Body/Signature"))
        return NO_PROBLEMS
    if IDENTITY not in row.paths.labels:
        return NO_PROBLEMS
    if stated.identity is None:
        return (Problem(text="routing.identity-not-stated", path=CONTENT),)
    if person.tax_code is None:
        return (Problem(text="routing.identity-not-certified", path="/Envelope/Body/Signature"),)
    if person.tax_code != stated.identity:
        values = {"stated": stated.identity, "signed": person.tax_code}
        raise NotProven(Code.SIGNATURE, Problem(text="routing.identity-differs", path="/Envelope/Body/Signature", values=values))
    return NO_PROBLEMS


def _refuse_broken(broken: tuple[BusinessRule, ...]) -> None:
    if broken:
        raise NotValid(Code.SCHEMA, *(rule_problem(rule) for rule in broken))


def _document(payload: bytes, schema: str, slots: tuple[str, str]) -> Document:
    return Document(type=schema, content=payload, sha256=hashlib.sha256(payload).hexdigest(), slots=slots)
