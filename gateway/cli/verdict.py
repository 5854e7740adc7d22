"""Judges one file as intake would, all but its signatures: is it known, is it what its schema asks for, does it keep the rules."""

from dataclasses import dataclass, replace
from datetime import datetime

from lxml import etree

from gateway.errors import Code, GatewayError, NotReadable, NotValid, Problem
from gateway.model import Header
from gateway.protocols.vnsw.reply import RECEIVED, REFUSED
from gateway.routing.judge import CONTENT, rule_problem
from gateway.routing.procedures import MessageRule, Procedure
from gateway.routing.router import Explanation, explain
from gateway.routing.ruleset import RuleSet
from gateway.xml import envelope as envelopes
from gateway.xml.parse import line_of, parse
from gateway.xml.schemas import Schemas


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a document is, as far as that could be told, and what is wrong with it: valid where `problems` is empty.

    `notes` say what the gateway will ask for beside: it judges sender and signatures, and this does not.
    """

    header: Header | None = None
    procedure: Procedure | None = None
    row: MessageRule | None = None
    schema: str | None = None
    pack: str = ""
    code: Code | None = None
    problems: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def refused(self, error: GatewayError) -> "Verdict":
        """Give the same document with what is wrong with it."""
        return replace(self, code=error.code, problems=error.problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspector:
    """Judges by these schemas and rules, as of a moment; `schema` replaces the one that rules or root element name."""

    schemas: Schemas
    rules: RuleSet
    at: datetime
    schema: str | None = None

    def inspect(self, document: bytes) -> Verdict:
        """Judge an opened document; raises nothing."""
        try:
            root = parse(document)
        except NotReadable as error:
            return Verdict().refused(error)
        return self._envelope(root, len(document)) if root.tag == "Envelope" else self._bare(root, len(document))

    def _envelope(self, root: etree._Element, size: int) -> Verdict:
        verdict = self._identified(root)
        name = self.schema or verdict.schema
        if name is None:
            return verdict
        verdict = replace(verdict, schema=name, code=None, problems=())
        try:
            _check_content(root)
            return self._judged(verdict, name, root, size)
        except GatewayError as error:
            return verdict.refused(error)

    def _identified(self, root: etree._Element) -> Verdict:
        """Say which row of which procedure an envelope belongs to, as far as it can be told."""
        verdict = Verdict()
        try:
            header = envelopes.read_header(root, zone=self.rules.zone)
            verdict = Verdict(header=header)
            procedure = self.rules.procedure(header.subject.document_type, self.at)
            verdict = replace(verdict, procedure=procedure)
            row = self.rules.find(header.subject, self.at)[1]
            return replace(verdict, row=row, schema=row.schema)
        except GatewayError as error:
            reply = verdict.header is not None and verdict.header.subject.function in (RECEIVED, REFUSED)
            return replace(verdict, notes=(Problem(text="cli.note-reply"),) if reply else ()).refused(error)

    def _judged(self, verdict: Verdict, name: str, root: etree._Element, size: int) -> Verdict:
        """Judge the signed view by a schema, and where that holds by the procedure's business rules."""
        envelopes.make_signed_view(root, self.schemas.slots(name, at=self.at))
        judged = self._validated(verdict, name, root, size)
        if not judged.valid or verdict.row is None or name != verdict.row.schema:
            return judged
        explained = explain(root, self.rules, at=self.at)
        problems = tuple(rule_problem(rule) for rule in verdict.row.rules if rule.name in explained.broken)
        return replace(judged, code=Code.SCHEMA if problems else None, problems=problems, notes=objections(explained))

    def _validated(self, verdict: Verdict, name: str, root: etree._Element, size: int) -> Verdict:
        problems = self.schemas.validate(name, root, size=size, at=self.at)
        pack = self.schemas.pack(name, at=self.at)
        return replace(verdict, schema=name, pack=pack, code=Code.SCHEMA if problems else None, problems=problems)

    def _bare(self, root: etree._Element, size: int) -> Verdict:
        name = self.schema or self.schemas.name_for(root)
        if name is None:
            return Verdict(code=Code.MESSAGE_UNKNOWN, problems=(_unknown_root(root),))
        try:
            return self._validated(Verdict(), name, root, size)
        except NotValid as error:
            return Verdict(schema=name).refused(error)


def objections(explained: Explanation) -> tuple[Problem, ...]:
    """Say what intake has against the sender of a valid document."""
    sender, row = explained.sender, explained.row
    if sender is None:
        return (Problem(text="cli.note-sender-unknown", values={"found": explained.header.sender.identity}),)
    if sender.code not in row.senders:
        return (Problem(text="cli.note-sender-wrong", values={"sender": sender.code, "senders": ", ".join(sorted(row.senders))}),)
    return ()


def _check_content(root: etree._Element) -> None:
    content = envelopes.content(root)
    if content is None or envelopes.business(content) is None:
        raise NotValid(Code.CONTENT_EMPTY, Problem(text="routing.content-empty", path=CONTENT))


def _unknown_root(root: etree._Element) -> Problem:
    """Say of a bare document that no schema has its root element; an envelope in a namespace gets its own advice."""
    name = etree.QName(root)
    text = "cli.envelope-namespace" if name.localname == "Envelope" else "cli.root-unknown"
    values = {"name": name.localname, "namespace": name.namespace or ""}
    return Problem(text=text, path=f"/{name.localname}", line=line_of(root), values=values)
