"""Makes a procedure of its form, and finds what no single table can show: names of nothing, rows used twice, gaps."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta, tzinfo

from gateway.model import Party, PartyCode, Route

from .conditions import Condition, ConditionInvalid, Conditions
from .forms import DossierForm, ExampleForm, MessageForm, ProcedureForm, RouteForm, RuleForm, TitleForm, midnight, read_span
from .parties import make_periods
from .paths import Paths, compile_paths
from .procedures import BusinessRule, Deadline, Direction, Example, MessageRule, PathLabel, Procedure, RouteRule, Title
from .sources import Fault, Place, Source, line_of, spell
from .suggest import nearest

TRANSPORT = "http"  # the only one there is


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a procedure's file may name: parties, schemas (None: not known here, not judged), the gateway's zone."""

    parties: Mapping[str, Party]
    schemas: Collection[str] | None
    zone: tzinfo
    conditions: Conditions


def code_of(message: MessageForm) -> str:
    """Write a row's key the way people say it: "21/18"."""
    return f"{message.type}/{message.function}"


# --- what is wrong ----------------------------------------------------------------------------------------------------


def procedure_faults(form: ProcedureForm, around: Surroundings) -> Iterator[Fault]:
    """Find everything that is wrong with a procedure whose form is sound."""
    yield from _period_faults(form)
    yield from _party_faults(form, around.parties)
    yield from _row_faults(form, around.schemas)
    yield from _message_faults(form)
    yield from _path_faults(form)
    yield from _condition_faults(form, around.conditions)
    yield from _coverage_faults(form)


def _period_faults(form: ProcedureForm) -> Iterator[Fault]:
    if form.valid_to is not None and form.valid_to < form.valid_from:
        yield Fault(place=("valid_to",), text="period-backwards", values={"from": str(form.valid_from), "to": str(form.valid_to)})


def _party_faults(form: ProcedureForm, parties: Mapping[str, Party]) -> Iterator[Fault]:
    named: list[tuple[Place, str]] = [(("portal",), form.portal), (("agency",), form.agency)]
    named += [(("route", n, "to"), route.to) for n, route in enumerate(form.route)]
    named += [(("example", n, "from"), example.from_) for n, example in enumerate(form.example)]
    named += [(("example", n, "to", k), to) for n, example in enumerate(form.example) for k, to in enumerate(example.to)]
    for place, code in named:
        if code not in parties:
            yield Fault(place=place, text="party-unknown", values={"party": code, "near": nearest(code, parties)})


def _row_faults(form: ProcedureForm, schemas: Collection[str] | None) -> Iterator[Fault]:
    yield from _twice("message", [code_of(m) for m in form.message], "message-twice")
    for table, rows in (("route", form.route), ("rule", form.rule), ("deadline", form.deadline)):
        yield from _twice(table, [row.name for row in rows], "name-twice")
    for n, message in enumerate(form.message):
        schema = schema_of(form, message)
        if schemas is not None and schema not in schemas:
            yield Fault(place=("message", n, "schema"), text="schema-unknown", values={"schema": schema, "near": nearest(schema, schemas)})
        for key, state in _states_named(message.dossier):
            if state not in form.states:
                values = {"state": state, "known": ", ".join(form.states) or "-"}
                yield Fault(place=("message", n, "dossier", key), text="state-unknown", values=values)


def _states_named(dossier: DossierForm) -> Iterator[tuple[str, str]]:
    yield from (("from", state) for state in dossier.from_)
    if dossier.to is not None:
        yield "to", dossier.to


def _twice(table: str, names: Sequence[str], text: str) -> Iterator[Fault]:
    seen: Counter[str] = Counter()
    for n, name in enumerate(names):
        seen[name] += 1
        if seen[name] > 1:
            yield Fault(place=(table, n), text=text, values={"name": name, "table": table})


def _message_faults(form: ProcedureForm) -> Iterator[Fault]:
    """Names of messages and of rules that nothing declares."""
    known = [code_of(m) for m in form.message]
    named: list[tuple[Place, str]] = [(("example", n, "message"), example.message) for n, example in enumerate(form.example)]
    for table, key, lists in (
        ("route", "messages", [route.messages or [] for route in form.route]),
        ("rule", "messages", [rule.messages for rule in form.rule]),
        ("deadline", "after", [deadline.after for deadline in form.deadline]),
        ("deadline", "answered_by", [deadline.answered_by for deadline in form.deadline]),
    ):
        named += [((table, n, key), code) for n, codes in enumerate(lists) for code in codes]
    for place, code in named:
        if code not in known:
            yield Fault(place=place, text="message-undeclared", values={"message": code, "near": nearest(code, known)})
    rules = [rule.name for rule in form.rule]
    for n, example in enumerate(form.example):
        if example.refused_by is not None and example.refused_by not in rules:
            values = {"rule": example.refused_by, "near": nearest(example.refused_by, rules)}
            yield Fault(place=("example", n, "refused_by"), text="rule-unknown", values=values)


def _path_faults(form: ProcedureForm) -> Iterator[Fault]:
    """Paths must begin at an element that some message has as its content."""
    elements = sorted({message.element for message in form.message})
    for place, path in _paths(form):
        if (root := path.split("/")[0]) not in elements:
            values = {"path": path, "element": root, "near": nearest(root, elements), "known": ", ".join(elements)}
            yield Fault(place=place, text="path-nowhere", values=values)


def _paths(form: ProcedureForm) -> Iterator[tuple[Place, str]]:
    for table, named in (("keys", form.keys), ("facts", form.facts)):
        yield from (((table, name), path) for name, paths in named.items() for path in paths)
    yield from ((("identity",), path) for path in form.identity)
    yield from ((("personal_data", "paths"), path) for path in form.personal_data.paths)
    yield from ((("rule", n, "path"), rule.path) for n, rule in enumerate(form.rule) if rule.path)


def _condition_faults(form: ProcedureForm, conditions: Conditions) -> Iterator[Fault]:
    for place, text in _expressions(form):
        try:
            conditions.compile(text, facts=form.facts, keys=form.keys)
        except ConditionInvalid as error:
            problem = error.problems[0]
            yield Fault(place=place, text=problem.text.removeprefix("routing."), values=dict(problem.values))


def _expressions(form: ProcedureForm) -> Iterator[tuple[Place, str]]:
    for n, route in enumerate(form.route):
        if route.when is not None:
            yield ("route", n, "when"), route.when
    for n, rule in enumerate(form.rule):
        yield ("rule", n, "require"), rule.require
        if rule.when is not None:
            yield ("rule", n, "when"), rule.when


def _coverage_faults(form: ProcedureForm) -> Iterator[Fault]:
    """Each message has a way out and an example; no route leads back to whoever sends."""
    shown = {example.message for example in form.example}
    for n, message in enumerate(form.message):
        code, sender = code_of(message), _sender(form, message.direction)
        if not any(_covers(route, message) and route.to != sender for route in form.route):
            yield Fault(place=("message", n), text="message-without-route", values={"message": code})
        if code not in shown:
            yield Fault(place=("message", n), text="message-without-example", values={"message": code})
    for n, route in enumerate(form.route):
        covered = [message for message in form.message if _covers(route, message)]
        if all(_sender(form, message.direction) == route.to for message in covered):
            yield Fault(place=("route", n), text="route-idle", values={"name": route.name, "to": route.to})
    for n, example in enumerate(form.example):
        if bool(example.to) == (example.refused_by is not None):
            yield Fault(place=("example", n), text="example-undecided", values={"message": example.message})


def _covers(route: RouteForm, message: MessageForm) -> bool:
    return route.direction in {None, message.direction} and (route.messages is None or code_of(message) in route.messages)


def _sender(form: ProcedureForm, direction: Direction) -> str:
    return form.portal if direction == "to-agency" else form.agency


# --- what it means ----------------------------------------------------------------------------------------------------


def schema_of(form: ProcedureForm, message: MessageForm) -> str:
    """Name a row's schema: its own, or the field's way, {procedure}{type}{function}."""
    return message.schema_ or f"{form.code}{message.type}{message.function}"


def make_procedure(form: ProcedureForm, source: Source, around: Surroundings) -> Procedure:
    """Make the procedure that a sound form describes."""
    until = midnight(form.valid_to, around.zone) + timedelta(days=1) if form.valid_to else None
    return Procedure(
        code=form.code,
        version=form.version,
        since=midnight(form.valid_from, around.zone),
        until=until,
        stamp=f"{form.code} {form.version} {form.valid_from}/{form.valid_to or '..'}",
        title=_title(form.title),
        portal=PartyCode(form.portal),
        agency=PartyCode(form.agency),
        states={state: _title(title) for state, title in form.states.items()},
        messages={(m.type, m.function): _message(form, m, around) for m in form.message},
        deadlines=tuple(
            Deadline(
                name=d.name,
                title=_title(d.title),
                after=frozenset(d.after),
                answered_by=frozenset(d.answered_by),
                within=read_span(d.within),
            )
            for d in form.deadline
        ),
        retention=make_periods(form.retention),
        personal_data=tuple(form.personal_data.paths),
        examples=tuple(_example(example, source, ("example", n)) for n, example in enumerate(form.example)),
    )


def _message(form: ProcedureForm, message: MessageForm, around: Surroundings) -> MessageRule:
    code = code_of(message)
    return MessageRule(
        type=message.type,
        function=message.function,
        title=_title(message.title),
        direction=message.direction,
        senders=frozenset({PartyCode(_sender(form, message.direction))}),
        schema=schema_of(form, message),
        person_signature=message.person_signature,
        opens_dossier=message.dossier.opens,
        dossier_from=frozenset(message.dossier.from_),
        dossier_to=message.dossier.to,
        paths=_paths_of(form, message.element),
        rules=tuple(_rule(form, rule, around.conditions) for rule in form.rule if code in rule.messages),
        routes=tuple(_route(form, route, around) for route in form.route if _covers(route, message)),
    )


def _paths_of(form: ProcedureForm, element: str) -> Paths[PathLabel]:
    """Only the paths that begin at this message's element: the walk then costs nothing for the others."""
    labelled = [(PathLabel(use="key", name=name), path) for name, paths in form.keys.items() for path in paths]
    labelled += [(PathLabel(use="fact", name=name), path) for name, paths in form.facts.items() for path in paths]
    labelled += [(PathLabel(use="identity", name="identity"), path) for path in form.identity]
    return compile_paths((label, path) for label, path in labelled if path.split("/")[0] == element)


def _rule(form: ProcedureForm, rule: RuleForm, conditions: Conditions) -> BusinessRule:
    return BusinessRule(
        name=rule.name,
        when=_condition(form, rule.when, conditions),
        require=conditions.compile(rule.require, facts=form.facts, keys=form.keys),
        title=_title(rule.title),
        path=rule.path,
    )


def _route(form: ProcedureForm, route: RouteForm, around: Surroundings) -> RouteRule:
    party = around.parties[route.to]
    made = Route(
        name=f"{form.code}/{route.name}",
        party=party,
        transport=TRANSPORT,
        endpoint=party.endpoint,
        timeout=read_span(route.timeout).calendar if route.timeout else party.limits.timeout,
        order=route.order,
    )
    return RouteRule(route=made, when=_condition(form, route.when, around.conditions))


def _condition(form: ProcedureForm, text: str | None, conditions: Conditions) -> Condition | None:
    return None if text is None else conditions.compile(text, facts=form.facts, keys=form.keys)


def _example(form: ExampleForm, source: Source, place: Place) -> Example:
    return Example(
        message=form.message,
        sender=PartyCode(form.from_),
        facts=dict(form.facts),
        keys={name: tuple(values) for name, values in form.keys.items()},
        to=tuple(PartyCode(code) for code in form.to),
        refused_by=form.refused_by,
        place=f"{source.path}: {spell(place)}",
        line=line_of(source.text, place),
    )


def _title(form: TitleForm) -> Title:
    return Title(vi=form.vi, en=form.en)
