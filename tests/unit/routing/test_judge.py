import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from lxml import etree

from gateway.errors import Code, GatewayError, NotProven, NotValid, explain
from gateway.model import PartyCode, Signer
from gateway.ports import Proven
from gateway.routing.judge import Judge, Judgement
from gateway.routing.rules import RuleSet, load
from gateway.testing import builders
from gateway.xml.envelope import read_header
from gateway.xml.parse import parse
from gateway.xml.schemas import Schemas
from gateway.xml.shipped import shipped

NOW = datetime(2026, 11, 1, tzinfo=UTC)
CATALOG = '[[pack]]\nname = "t"\nversion = "1"\nowner = "t"\n[pack.schemas]\n"P&Q011001" = "any.xsd"\n'
ANY = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:element name="Envelope"/></xs:schema>'
Change = Callable[[bytes], bytes]


@cache
def judge() -> Judge:
    return Judge(Schemas.load([shipped("xsd")]))


@cache
def shipped_rules() -> RuleSet:
    return load([shipped("routing_rules")])


def proven(payload: bytes, *, sender: str | None = None, signers: tuple[Signer, ...] = ()) -> Proven:
    """Make what the prover would have made."""
    root = parse(payload)
    header = read_header(root, zone=shipped_rules().zone)
    party = shipped_rules().party(sender or header.sender.identity)
    assert party is not None
    return Proven(payload=payload, root=root, header=header, sender=party, signers=signers, proof="network")


def judged(payload: bytes, *, sender: str | None = None, signers: tuple[Signer, ...] = (), at: datetime = NOW) -> Judgement:
    return judge().judge(proven(payload, sender=sender, signers=signers), shipped_rules(), at=at)


def refused(payload: bytes, *, sender: str | None = None, signers: tuple[Signer, ...] = ()) -> GatewayError:
    with pytest.raises(GatewayError) as raised:
        judged(payload, sender=sender, signers=signers)
    return raised.value


def person(tax_code: str | None) -> Signer:
    return Signer(role="person", subject="CN=x", tax_code=tax_code, certificate_sha256="0" * 64, covers=("/Envelope/Body/Content",))


def replaced(old: bytes, new: bytes) -> Change:
    def change(payload: bytes) -> bytes:
        assert old in payload
        return payload.replace(old, new)

    return change


def test_application_opens_a_dossier_and_goes_to_the_ministry() -> None:
    payload = builders.message("10/01")

    judgement = judged(payload)

    assert judgement.document.type == "BNN&PTNT03000021001"
    assert judgement.document.content == payload
    assert judgement.document.sha256 == hashlib.sha256(payload).hexdigest()
    assert judgement.opens_dossier
    assert judgement.dossier_state == "1"
    assert [route.party.code for route in judgement.routes] == ["BNN"]
    assert judgement.warnings == ()


def test_judgement_names_the_versions_that_judged() -> None:
    judgement = judged(builders.message("10/01")).judged

    assert judgement.schema_pack.startswith("vnsw-plant-export@1.0+")
    assert judgement.rule_set == shipped_rules().stamp
    assert judgement.procedure == "BNN&PTNT0300002 1 2020-01-01/.."


def test_business_keys_and_facts_are_read_from_the_declared_paths() -> None:
    root = parse(builders.message("21/18"))
    number, kind = root.findtext(".//DispatchNo"), root.findtext(".//TypeCer")

    judgement = judged(builders.message("21/18"))

    assert ("certificate", number) in judgement.keys
    assert judgement.facts["certificate_kind"] == kind
    assert [route.party.code for route in judgement.routes] == ["NSW", "TCHQ", "IPPC"]


def test_repeated_key_is_kept_once() -> None:
    contracts = [value for name, value in judged(builders.message("10/01", builders.TWELVE_KB)).keys if name == "contract"]

    assert len(contracts) == 1


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        (replaced(b"<documentType>BNN&amp;PTNT0300002", b"<documentType>BNN&amp;PTNT0300009"), Code.PROCEDURE_UNKNOWN, "procedure-unknown"),
        (replaced(b"<type>10<", b"<type>99<"), Code.MESSAGE_UNKNOWN, "message-unknown"),
        (replaced(b"<function>01<", b"<function>99<"), Code.MESSAGE_UNKNOWN, "message-unknown"),
    ],
)
def test_message_nobody_declared_is_refused(change: Change, code: Code, text: str) -> None:
    refusal = refused(change(builders.message("10/01")))

    assert (refusal.code, [problem.text for problem in refusal.problems]) == (code, [f"routing.{text}"])
    assert explain(refusal.problems[0], "vi") != explain(refusal.problems[0], "en")


@pytest.mark.parametrize("content", [b"", b"<Content/>", b"<Content>  </Content>", b'<Content Id="a"></Content>'])
def test_empty_content_is_refused(content: bytes) -> None:
    payload = builders.message("10/01")
    start, end = payload.index(b"<Content"), payload.index(b"</Content>") + len(b"</Content>")

    refusal = refused(payload[:start] + content + payload[end:])

    assert isinstance(refusal, NotValid)
    assert refusal.code == Code.CONTENT_EMPTY


def test_document_that_fails_its_schema_is_refused_with_every_place() -> None:
    payload = builders.message("10/01").replace(b"<ImporterStateCode>NL<", b"<ImporterStateCode>NLD<")

    refusal = refused(payload)

    assert refusal.code == Code.SCHEMA
    assert any((problem.path or "").endswith("ImporterStateCode") for problem in refusal.problems)


@pytest.mark.parametrize(("kind", "sender"), [("10/01", "BNN"), ("21/18", "NSW"), ("21/18", "TCHQ")])
def test_party_may_not_send_anothers_message(kind: str, sender: str) -> None:
    refusal = refused(builders.message(kind), sender=sender)

    assert (refusal.code, refusal.problems[0].text) == (Code.PARTY, "routing.sender-wrong")


def test_wrong_sender_is_refused_before_the_content_is_looked_at() -> None:
    payload = builders.message("21/18").replace(b"<PhytosanitaryCer>", b"<Nothing>").replace(b"</PhytosanitaryCer>", b"</Nothing>")

    assert refused(payload, sender="NSW").code == Code.PARTY


def test_schema_judges_the_signed_view() -> None:
    signature = b'<Signature><ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"/></Signature>'
    payload = builders.message("10/01").replace(b"<Content>", b'<Content Id="c1">').replace(b"</Content>", b"</Content>" + signature)

    judgement = judged(payload)

    assert judgement.document.content == payload
    assert judgement.document.slots[0] == "optional"


def declared_number(payload: bytes) -> str:
    number = parse(payload).findtext(".//IdentityNumberOfRegistration")
    assert number
    return number


def test_declarants_signature_must_be_of_the_number_stated() -> None:
    payload = builders.message("10/01")

    assert judged(payload, signers=(person(declared_number(payload)),)).warnings == ()
    refusal = refused(payload, signers=(person("0999999999"),))
    assert isinstance(refusal, NotProven)
    assert (refusal.code, refusal.problems[0].text) == (Code.SIGNATURE, "routing.identity-differs")


def test_certificate_without_a_number_is_a_warning() -> None:
    judgement = judged(builders.message("10/01"), signers=(person(None),))

    assert [warning.text for warning in judgement.warnings] == ["routing.identity-not-certified"]


def test_systems_signature_is_not_the_declarants() -> None:
    assert judged(builders.message("10/01"), signers=(replace(person("0999999999"), role="system"),)).warnings == ()


def test_signature_that_cannot_be_compared_is_a_warning() -> None:
    payload = builders.message("10/01")
    root = parse(payload)
    element = root.find(".//IdentityNumberOfRegistration")
    assert element is not None
    element.text = None

    judgement = judged(etree.tostring(root), signers=(person("0312345678"),))

    assert [warning.text for warning in judgement.warnings] == ["routing.identity-not-stated"]


def test_signature_of_a_message_without_declared_identity_is_not_compared() -> None:
    assert judged(builders.message("18/14"), sender="BNN", signers=(person("1"),)).warnings == ()


def with_procedure(rules_: RuleSet, **changes: object) -> RuleSet:
    """The shipped rules, 10/01 of the export procedure changed."""
    versions = dict(rules_.catalogue)
    (procedure,) = versions[builders.PROCEDURE]
    row = replace(procedure.messages["10", "01"], **changes)  # type: ignore[arg-type]  # fields by name
    versions[builders.PROCEDURE] = (replace(procedure, messages={**procedure.messages, ("10", "01"): row}),)
    return replace(rules_, catalogue=versions)


def test_declarants_signature_is_demanded_where_the_procedure_asks() -> None:
    strict = with_procedure(shipped_rules(), person_signature="required")

    with pytest.raises(NotProven) as raised:
        judge().judge(proven(builders.message("10/01")), strict, at=NOW)

    assert (raised.value.code, raised.value.problems[0].text) == (Code.SIGNATURE, "routing.person-missing")


@pytest.fixture
def lenient(tmp_path: Path) -> Judge:
    """A judge whose schema of the small procedure's application takes any envelope."""
    (tmp_path / "catalog.toml").write_text(CATALOG, "utf-8")
    (tmp_path / "any.xsd").write_text(ANY, "utf-8")
    return Judge(Schemas.load([tmp_path]))


def weighed(judge_: Judge, rules: RuleSet, weight: str) -> Judgement:
    """Judge the small procedure's application by its business rules alone."""
    payload = (
        "<Envelope><Header><From><identity>PORTAL</identity></From><To/><Subject><documentType>P&amp;Q01</documentType><type>10</type>"
        f"<function>01</function></Subject></Header><Body><Content><Application>{weight}</Application></Content></Body></Envelope>"
    ).encode()
    root, sender = parse(payload), rules.party("PORTAL")
    assert sender is not None
    header = read_header(root, zone=rules.zone)
    message = Proven(payload=payload, root=root, header=header, sender=sender, signers=(), proof="network")
    return judge_.judge(message, rules, at=NOW)


def test_broken_business_rule_is_refused_in_its_own_words(lenient: Judge, rules: RuleSet) -> None:
    with pytest.raises(NotValid) as raised:
        weighed(lenient, rules, "<Weight>-3</Weight>")

    (problem,) = raised.value.problems
    assert (raised.value.code, problem.text, problem.path) == (
        Code.SCHEMA,
        "routing.rule-broken",
        "/Envelope/Body/Content/Application/Weight",
    )
    assert "khối lượng phải lớn hơn 0" in explain(problem, "vi")
    assert "the weight must be above 0" in explain(problem, "en")


@pytest.mark.parametrize("weight", ["<Weight>3.5</Weight>", ""])
def test_business_rule_that_holds_or_does_not_apply_lets_pass(lenient: Judge, rules: RuleSet, weight: str) -> None:
    assert weighed(lenient, rules, weight).warnings == ()


def test_business_rule_that_cannot_be_told_is_a_warning(lenient: Judge, rules: RuleSet) -> None:
    judgement = weighed(lenient, rules, "<Weight>heavy</Weight>")

    assert [(w.text, w.values["name"]) for w in judgement.warnings] == [("routing.condition-unknown", "weight-positive")]


def test_sender_is_judged_by_code_whatever_name_it_used() -> None:
    judgement = judged(builders.message("18/14"), sender="MARD")

    assert judgement.rule.senders == {PartyCode("BNN")}
