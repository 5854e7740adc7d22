from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from gateway.errors import Code, NotReadable, NotValid
from gateway.model import Attachment, Document, Envelope, Header, Identity, Judged, MessageId, PartyCode, Route, Subject
from gateway.routing.judge import Judgement
from gateway.routing.router import Explanation, explain, route
from gateway.routing.rules import RuleSet, load
from gateway.routing.weighing import Stated, variables, weigh
from gateway.testing import builders
from gateway.xml.parse import parse
from gateway.xml.shipped import shipped

Edit = Callable[[str, str, str], None]
NOW = datetime(2026, 11, 1, tzinfo=UTC)
PROCEDURE = "procedures/M/p.toml"
NOBODY = Identity(name="", identity="", country="", ministry="", organization="")


def envelope(sender: str, type_: str = "21", function: str = "18") -> Envelope:
    subject = Subject(document_type="P&Q01", type=type_, function=function, reference="R", year="2026")
    return Envelope(
        id=MessageId("m"),
        header=Header(id="i", sender=NOBODY, receiver=NOBODY, subject=subject, sent_at=None),
        sender=PartyCode(sender),
        document=Document(type="t", content=b"", sha256=""),
        signers=(),
        received_at=NOW,
    )


def judgement(rules: RuleSet, about: Envelope, **facts: str) -> Judgement:
    subject = about.header.subject
    _, row = rules.find(subject, NOW)
    stated = Stated(keys=(), facts=facts)
    weighed = weigh(row, stated, variables("P&Q01", row.code, subject=subject, sender=about.sender, stated=stated))
    return Judgement(
        document=about.document,
        rule=row,
        keys=(),
        facts=facts,
        opens_dossier=False,
        dossier_from=frozenset(),
        dossier_state=None,
        routes=weighed.routes,
        judged=Judged(schema_pack="", rule_set="", procedure=""),
        warnings=weighed.warnings,
    )


def chosen(rules: RuleSet, about: Envelope, *, deaf: str = "", **facts: str) -> tuple[Route, ...]:
    """Route a message; every party but one is given attachments."""
    return route(about, judgement(rules, about, **facts), rules, carries=lambda party: party.code != deaf)


def parties(rules: RuleSet, about: Envelope, **facts: str) -> list[str]:
    return [found.party.code for found in chosen(rules, about, **facts)]


def test_message_goes_where_its_conditions_hold(rules: RuleSet) -> None:
    assert parties(rules, envelope("AGENCY"), country="VN") == ["PORTAL", "CUSTOMS"]
    assert parties(rules, envelope("AGENCY"), country="LA") == ["PORTAL"]


def test_condition_that_cannot_be_told_does_not_match_and_warns(rules: RuleSet) -> None:
    about = envelope("AGENCY")

    assert parties(rules, about) == ["PORTAL"]
    warnings = judgement(rules, about).warnings
    assert [(w.text, dict(w.values)) for w in warnings] == [("routing.condition-unknown", {"name": "P&Q01/customs"})]


def test_message_never_goes_back_to_its_sender(rules: RuleSet) -> None:
    assert parties(rules, envelope("PORTAL"), country="VN") == ["CUSTOMS"]


def test_party_named_by_two_routes_gets_the_message_once(folder: Path, edit: Edit) -> None:
    again = '[[route]]\nname = "again"\nto = "PORTAL"\nmessages = ["21/18"]\n\n'
    edit(PROCEDURE, '[[route]]\nname = "customs"', again + '[[route]]\nname = "customs"')
    rules = load([folder])

    found = chosen(rules, envelope("AGENCY"), country="VN")

    assert [one.name for one in found] == ["P&Q01/portal", "P&Q01/customs"]


def test_message_without_destination_is_refused(folder: Path, edit: Edit) -> None:
    edit(PROCEDURE, 'direction = "to-portal"\n\n[[route]]', 'direction = "to-portal"\nwhen = "facts.country == \'VN\'"\n\n[[route]]')
    rules = load([folder])

    with pytest.raises(NotValid) as raised:
        chosen(rules, envelope("AGENCY"), country="LA")

    assert raised.value.code == Code.NO_ROUTE
    assert raised.value.problems[0].values == {"procedure": "P&Q01", "message": "21/18", "rules": rules.version}


def test_attachments_go_only_where_every_receiver_is_given_them(rules: RuleSet) -> None:
    attachment = Attachment(name="a.pdf", media_type="application/pdf", size=1, sha256="ab" * 32, id="cd" * 32)
    beside = replace(envelope("AGENCY"), attachments=(attachment,))

    assert [found.party.code for found in chosen(rules, beside, country="VN")] == ["PORTAL", "CUSTOMS"]
    assert parties(rules, envelope("AGENCY"), deaf="CUSTOMS", country="VN") == ["PORTAL", "CUSTOMS"]
    with pytest.raises(NotValid) as raised:
        chosen(rules, beside, deaf="CUSTOMS", country="VN")
    assert [(p.text, dict(p.values)) for p in raised.value.problems] == [("attachments.not-carried", {"party": "CUSTOMS"})]


# --- explain -----------------------------------------------------------------------------------------------------------


@cache
def shipped_rules() -> RuleSet:
    return load([shipped("routing_rules")])


def explained(rules: RuleSet, xml: str) -> Explanation:
    header = (
        "<Envelope><Header><Reference/><From><name>A</name><identity>{0}</identity></From><To/><Subject>"
        "<documentType>P&amp;Q01</documentType><type>21</type><function>18</function><reference>R</reference>"
        "<documentYear>2026</documentYear></Subject></Header><Body><Content>{1}</Content></Body></Envelope>"
    )
    return explain(parse(header.format("A&amp;B", xml).encode()), rules, at=NOW)


def verdicts(explanation: Explanation) -> dict[str, str]:
    return {considered.name: considered.verdict for considered in explanation.considered}


@pytest.mark.parametrize(
    ("country", "verdict"),
    [("<Country>VN</Country>", "chosen"), ("<Country>LA</Country>", "condition-false"), ("", "condition-unknown")],
)
def test_explain_tells_of_each_route_what_became_of_it(rules: RuleSet, country: str, verdict: str) -> None:
    explanation = explained(rules, f"<Certificate><Number>7</Number>{country}</Certificate>")

    assert verdicts(explanation) == {"P&Q01/portal": "chosen", "P&Q01/customs": verdict}
    assert explanation.stated.keys == (("certificate", "7"),)
    assert explanation.sender is rules.party("AGENCY")
    assert explanation.considered[1].condition == "facts.country == 'VN'"


def test_explain_tells_of_a_party_served_by_an_earlier_route(folder: Path, edit: Edit) -> None:
    edit(PROCEDURE, 'to = "CUSTOMS"', 'to = "PORTAL"')
    edit(PROCEDURE, 'to = ["PORTAL", "CUSTOMS"]', 'to = ["PORTAL"]')

    explanation = explained(load([folder]), "<Certificate><Country>VN</Country></Certificate>")

    assert verdicts(explanation) == {"P&Q01/portal": "chosen", "P&Q01/customs": "party-served"}


def test_explain_tells_of_a_route_back_to_the_sender() -> None:
    text = builders.message("10/01").replace(b"<identity>NSW<", b"<identity>BNN<")

    explanation = explain(parse(text), shipped_rules(), at=NOW)

    assert verdicts(explanation) == {"BNN&PTNT0300002/agency": "back-to-sender"}


def test_explain_names_broken_business_rules(rules: RuleSet) -> None:
    root = parse(
        b"<Envelope><Header><From><identity>PORTAL</identity></From><To/><Subject><documentType>P&amp;Q01</documentType>"
        b"<type>10</type><function>01</function></Subject></Header><Body><Content><Application><Weight>0</Weight></Application>"
        b"</Content></Body></Envelope>"
    )

    assert explain(root, rules, at=NOW).broken == ("weight-positive",)


def test_wrong_ministry_code_does_not_matter_where_the_identity_is_right() -> None:
    text = builders.message("10/01").replace(b"<ministryCode>BTC<", b"<ministryCode>NHNN<")

    explanation = explain(parse(text), shipped_rules(), at=NOW)

    assert explanation.sender is shipped_rules().party("NSW")


def test_explain_refuses_what_is_no_envelope(rules: RuleSet) -> None:
    with pytest.raises(NotReadable):
        explain(parse(b"<Invoice/>"), rules, at=NOW)


def test_explain_refuses_an_envelope_without_content(rules: RuleSet) -> None:
    with pytest.raises(NotValid) as raised:
        explain(
            parse(
                b"<Envelope><Header><From/><To/><Subject><documentType>P&amp;Q01</documentType><type>10</type>"
                b"<function>01</function></Subject></Header><Body/></Envelope>"
            ),
            rules,
            at=NOW,
        )

    assert raised.value.code == Code.CONTENT_EMPTY
