"""The shipped rules, against the shipped schemas: nothing names what is not there."""

import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache

import pytest
from xmlschema import XMLSchema10

from gateway.model import Subject
from gateway.routing.procedures import MessageRule, Procedure
from gateway.routing.rules import RuleSet, check
from gateway.xml.shipped import shipped

XSD = shipped("xsd")
NOW = datetime(2026, 11, 1, tzinfo=UTC)
EXPORT, IMPORT = "BNN&PTNT0300002", "BNNPTNT0600009"


@cache
def catalog() -> dict[str, str]:
    packs = tomllib.loads((XSD / "catalog.toml").read_text("utf-8"))["pack"]
    return {name: file for pack in packs for name, file in pack["schemas"].items()}


@cache
def rules() -> RuleSet:
    report = check([shipped("routing_rules")], schemas=catalog(), adapters={"portal", "agriculture", "customs", "ephyto_hub"})
    assert report.problems == ()
    assert report.rules is not None
    return report.rules


@cache
def schema(name: str) -> XMLSchema10:
    return XMLSchema10(str(XSD / catalog()[name]))


def row(procedure: str, code: str) -> MessageRule:
    type_, function = code.split("/")
    return rules().find(Subject(document_type=procedure, type=type_, function=function, reference="R", year="2026"), NOW)[1]


def test_shipped_rules_pass_and_name_only_what_is_shipped() -> None:
    assert [procedure.code for procedure in rules().procedures] == [IMPORT, EXPORT]


def test_every_schema_of_the_procedures_has_its_row() -> None:
    rows = {row.schema for procedure in rules().procedures for row in procedure.messages.values()}

    assert {name for name in catalog() if name.startswith((EXPORT, IMPORT))} == rows


def paths() -> Iterator[tuple[str, str]]:
    folder = shipped("routing_rules") / "procedures"
    for file in sorted(folder.rglob("*.toml")):
        table = tomllib.loads(file.read_text("utf-8"))
        named = [path for kind in ("keys", "facts") for those in table.get(kind, {}).values() for path in those]
        for path in [*named, *table.get("identity", []), *table["personal_data"]["paths"]]:
            yield table["code"], path


@pytest.mark.parametrize(("code", "path"), list(paths()))
def test_every_declared_path_is_in_a_schema(code: str, path: str) -> None:
    procedure = next(p for p in rules().procedures if p.code == code)

    assert any(in_schema(message, path) for message in messages(procedure, path.split("/", maxsplit=1)[0]))


def messages(procedure: Procedure, element: str) -> Iterator[MessageRule]:
    for message in procedure.messages.values():
        if schema(message.schema).find(f"Envelope/Body/Content/{element}") is not None:
            yield message


def in_schema(message: MessageRule, path: str) -> bool:
    return schema(message.schema).find(f"Envelope/Body/Content/{path}") is not None


@pytest.mark.parametrize(
    ("procedure", "code", "sender", "to"),
    [
        (EXPORT, "10/01", "NSW", ["BNN"]),
        (EXPORT, "13/07", "BNN", ["NSW"]),
        (EXPORT, "18/14", "BNN", ["NSW"]),
        (EXPORT, "21/18", "BNN", ["NSW", "TCHQ", "IPPC"]),
        (IMPORT, "10/01", "NSW", ["BNN"]),
        (IMPORT, "17/14", "BNN", ["NSW", "TCHQ"]),
    ],
)
def test_journey_goes_where_the_procedure_says(procedure: str, code: str, sender: str, to: list[str]) -> None:
    found = row(procedure, code)

    assert found.senders == {sender}
    assert [rule.route.party.code for rule in found.routes] == to
    assert {rule.route.order for rule in found.routes} == {"dossier"}


def test_journey_moves_the_dossier_step_by_step() -> None:
    state = None
    for code in ("10/01", "13/07", "18/14", "21/18", "24/22", "21/21"):
        found = row(EXPORT, code)
        assert found.opens_dossier or state in found.dossier_from, code
        state = found.dossier_to

    assert state == "24"


@pytest.mark.parametrize("spelling", ["BNN", "BNN&PTNT", "MARD"])
def test_agriculture_ministry_is_known_by_all_its_names(spelling: str) -> None:
    party = rules().party(spelling)

    assert party is not None
    assert (party.code, party.adapter) == ("BNN", "agriculture")
    assert party.sends.signature == "none"
    assert party.sends.until is not None
    assert party.accepts.signature == "none"


def test_only_dated_exceptions_send_without_signature() -> None:
    unsigned = [party for party in rules().parties if party.sends.signature == "none"]

    assert all(party.sends.until and party.sends.bound_to for party in unsigned)


def test_shipped_parties_have_no_address() -> None:
    assert {party.endpoint for party in rules().parties} == {""}
