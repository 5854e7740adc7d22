from collections.abc import Callable
from dataclasses import FrozenInstanceError
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from gateway.errors import NotValid, Problem, explain, remedy
from gateway.model import Concession, PartyCode, Periods, SealProfile, Subject
from gateway.routing.procedures import Span
from gateway.routing.rules import RuleSet, RulesInvalid, load, route_named

Edit = Callable[[str, str, str], None]
Faults = Callable[..., list[Problem]]
PARTIES, PROCEDURE = "parties.toml", "procedures/M/p.toml"
COLLECTOR = 'code = "CUSTOMS"'  # a party that says nothing of signatures
NOW = datetime(2026, 10, 12, tzinfo=UTC)


def subject(procedure: str = "P&Q01", type_: str = "21", function: str = "18") -> Subject:
    return Subject(document_type=procedure, type=type_, function=function, reference="R", year="2026")


# --- what sound files mean ---------------------------------------------------------------------------------------------


def test_party_is_found_by_code_and_by_alias(rules: RuleSet) -> None:
    agency = rules.party("AGENCY")

    assert agency is not None
    assert rules.party(" A&B ") is agency
    assert rules.party("nobody") is None


def test_gateways_own_party_is_in_the_directory(rules: RuleSet) -> None:
    assert rules.own.code == "GW"
    assert rules.own.languages == ("vi", "en")
    assert rules.party("GW") is rules.own


def test_exception_ends_at_the_first_moment_of_its_day_in_the_gateways_zone(rules: RuleSet) -> None:
    agency = rules.party("AGENCY")

    assert agency is not None
    assert agency.sends.signature == "none"
    assert agency.sends.until == datetime(2027, 10, 14, 17, tzinfo=UTC)
    assert agency.sends.bound_to == ("network:127.0.0.0/8",)


def test_row_knows_schema_sender_dossier_and_routes(rules: RuleSet) -> None:
    procedure, row = rules.find(subject(), NOW)

    assert procedure.code == "P&Q01"
    assert row.schema == "P&Q012118"
    assert row.senders == {"AGENCY"}
    assert (row.opens_dossier, row.dossier_to) == (False, "2")
    assert row.dossier_from == {"1"}
    assert [rule.route.name for rule in row.routes] == ["P&Q01/portal", "P&Q01/customs"]


def test_route_takes_timeout_and_order_from_the_rule_else_from_the_party(rules: RuleSet, edit: Edit, folder: Path) -> None:
    assert rules.routes["P&Q01/customs"].timeout == timedelta(minutes=1)
    assert rules.routes["P&Q01/customs"].order == "none"
    assert rules.routes["P&Q01/portal"].order == "dossier"

    edit(PROCEDURE, 'timeout = "1m"\n', "")

    assert load([folder]).routes["P&Q01/customs"].timeout == timedelta(seconds=3)


def test_deadline_retention_and_personal_data_are_read(rules: RuleSet) -> None:
    procedure = rules.procedures[0]

    assert procedure.deadlines[0].within == Span(working_days=2)
    assert procedure.deadlines[0].after == {"10/01"}
    assert procedure.retention == Periods(content=timedelta(days=3660), record=timedelta(days=7320), archive=timedelta(days=90))
    assert procedure.personal_data == ("Application/TaxCode",)


def test_rules_cannot_be_changed_in_place(rules: RuleSet) -> None:
    with pytest.raises(FrozenInstanceError):
        rules.version = "x"  # type: ignore[misc]


def test_version_is_the_packs_own_and_a_digest_of_content(folder: Path, rules: RuleSet, edit: Edit) -> None:
    edit(PARTIES, 'name = "C"', 'name = "D"')
    changed = load([folder])

    assert rules.version.startswith("t+")
    assert changed.version.startswith("t+")
    assert changed.version != rules.version
    assert rules.stamp == f"{rules.version} 2020-01-01/.."


@pytest.mark.parametrize(
    ("written", "zone"),
    [("+07:00", timezone(timedelta(hours=7))), ("-03:30", timezone(-timedelta(hours=3, minutes=30)))],
)
def test_zone_may_be_a_fixed_offset(folder: Path, edit: Edit, written: str, zone: timezone) -> None:
    edit(PARTIES, "+07:00", written)

    assert load([folder]).zone == zone


# --- overrides ---------------------------------------------------------------------------------------------------------


def test_override_replaces_a_shipped_file_of_the_same_name_only(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "parties.toml").write_text((folder / PARTIES).read_text("utf-8").replace('code = "GW"', 'code = "GW2"'), "utf-8")

    rules = load([own, folder])

    assert rules.own.code == "GW2"
    assert [procedure.code for procedure in rules.procedures] == ["P&Q01"]


def test_installation_adds_a_party_in_a_file_of_its_own(folder: Path, tmp_path: Path) -> None:
    more = tmp_path / "own" / "parties"
    more.mkdir(parents=True)
    identity = '{ name = "N", identity = "NEW", country = "VN", ministry = "N", organization = "N" }'
    (more / "new.toml").write_text(f'[[party]]\ncode = "NEW"\nidentity = {identity}\n', "utf-8")

    assert load([tmp_path / "own", folder]).party("NEW") is not None


def test_endpoints_come_from_their_own_file(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "endpoints.toml").write_text('[endpoints]\nCUSTOMS = "https://customs.example/ws"\n', "utf-8")

    rules = load([own, folder])

    assert rules.routes["P&Q01/customs"].endpoint == "https://customs.example/ws"
    assert rules.routes["P&Q01/portal"].endpoint == ""


# --- versions of a procedure -------------------------------------------------------------------------------------------


def add_version(folder: Path, *, first: date, last_of_old: date) -> None:
    old = folder / PROCEDURE
    text = old.read_text("utf-8")
    old.write_text(text.replace("valid_from = 2020-01-01\n", f"valid_from = 2020-01-01\nvalid_to = {last_of_old}\n"), "utf-8")
    new = text.replace("valid_from = 2020-01-01", f"valid_from = {first}").replace('version = "1"', 'version = "2"')
    (folder / "procedures/M/p2.toml").write_text(new, "utf-8")


@pytest.mark.parametrize(
    ("at", "version"),
    [
        (datetime(2020, 1, 1, tzinfo=timezone(timedelta(hours=7))), "1"),
        (datetime(2026, 12, 31, 16, 59, 59, tzinfo=UTC), "1"),
        (datetime(2026, 12, 31, 17, 0, 0, tzinfo=UTC), "2"),
    ],
)
def test_version_in_force_at_receipt_judges(folder: Path, at: datetime, version: str) -> None:
    add_version(folder, first=date(2027, 1, 1), last_of_old=date(2026, 12, 31))

    procedure, _ = load([folder]).find(subject(), at)

    assert procedure.version == version


def test_versions_in_force_at_once_are_refused(folder: Path, faults: Faults) -> None:
    add_version(folder, first=date(2026, 12, 31), last_of_old=date(2026, 12, 31))

    (problem,) = faults()

    assert problem.text == "routing.versions-overlap"
    assert problem.path == f"{folder / 'procedures/M/p2.toml'}: valid_from"


def test_procedure_not_yet_in_force_is_unknown_and_says_when(rules: RuleSet) -> None:
    with pytest.raises(NotValid) as raised:
        rules.find(subject(), datetime(2019, 12, 31, 16, tzinfo=UTC))

    assert raised.value.code == "procedure-unknown"
    assert raised.value.problems[0].values == {"procedure": "P&Q01", "day": "2019-12-31", "periods": "2020-01-01/.."}


@pytest.mark.parametrize(
    ("asked", "code", "text"),
    [
        (subject("P&Q02"), "procedure-unknown", "routing.procedure-unknown"),
        (subject(type_="99"), "message-unknown", "routing.message-unknown"),
        (subject(function="01"), "message-unknown", "routing.message-unknown"),
    ],
)
def test_unknown_procedure_or_message_is_refused_with_what_is_known(rules: RuleSet, asked: Subject, code: str, text: str) -> None:
    with pytest.raises(NotValid) as raised:
        rules.find(asked, NOW)

    assert (raised.value.code, raised.value.problems[0].text) == (code, text)
    assert "P&Q01" in explain(raised.value.problems[0], "vi")


# --- stored deliveries -------------------------------------------------------------------------------------------------


def test_route_of_a_stored_delivery_is_rebuilt_by_name(rules: RuleSet) -> None:
    assert route_named(rules, PartyCode("CUSTOMS"), "P&Q01/customs") is rules.routes["P&Q01/customs"]


def test_stored_delivery_of_a_dropped_route_still_reaches_its_party(rules: RuleSet) -> None:
    rebuilt = route_named(rules, PartyCode("CUSTOMS"), "OLD/gone")

    assert (rebuilt.party.code, rebuilt.name, rebuilt.order, rebuilt.timeout) == ("CUSTOMS", "OLD/gone", "none", timedelta(seconds=3))


def test_stored_delivery_to_a_dropped_party_is_refused(rules: RuleSet) -> None:
    with pytest.raises(NotValid) as raised:
        route_named(rules, PartyCode("GONE"), "P&Q01/customs")

    assert raised.value.problems[0].text == "routing.party-gone"


# --- what is wrong with files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "old", "new", "text", "place"),
    [
        (PROCEDURE, 'portal = "PORTAL"', 'portal = "PORTALS"', "party-unknown", "portal"),
        (PROCEDURE, 'to = "CUSTOMS"', 'to = "A&B"', "party-unknown", "route#3.to"),
        (PROCEDURE, 'from = "PORTAL"', 'from = "X"', "party-unknown", "example#1.from"),
        (PROCEDURE, 'function = "18"', 'function = "1"', "want-type-number", "message#2.function"),
        (PROCEDURE, 'function = "18"', "function = 18", "want-text", "message#2.function"),
        (PROCEDURE, 'type = "21"\nfunction = "18"', 'type = "10"\nfunction = "01"', "message-twice", "message#2"),
        (PROCEDURE, 'name = "portal"', 'name = "agency"', "name-twice", "route#2"),
        (PROCEDURE, 'from = ["1"]', 'from = ["7"]', "state-unknown", "message#2.dossier.from"),
        (PROCEDURE, 'to = "1" }', 'to = "7" }', "state-unknown", "message#1.dossier.to"),
        (PROCEDURE, '"Certificate/Number"', '"Certificat/Number"', "path-nowhere", "keys.certificate"),
        (PROCEDURE, '"Certificate/Number"', '"Certificate//Number"', "want-path", "keys.certificate#1"),
        (PROCEDURE, "certificate = [", "Certificate = [", "want-fact-name", "keys.Certificate"),
        (PROCEDURE, "facts.country == 'VN'", "facts.contry == 'VN'", "condition-undeclared", "route#3.when"),
        (PROCEDURE, "facts.country == 'VN'", "facts.country", "condition-not-truth", "route#3.when"),
        (PROCEDURE, "> 0.0", "> 0", "condition-syntax", "rule#1.require"),
        (PROCEDURE, 'messages = ["21/18"]', 'messages = ["21/19"]', "message-undeclared", "route#3.messages"),
        (PROCEDURE, 'answered_by = ["21/18"]', 'answered_by = ["21/8"]', "want-message-code", "deadline#1.answered_by#1"),
        (PROCEDURE, 'within = "2wd"', 'within = "2 days"', "want-span", "deadline#1.within"),
        (PROCEDURE, 'timeout = "1m"', 'timeout = "1wd"', "want-duration", "route#3.timeout"),
        (PROCEDURE, 'timeout = "1m"', 'timeout = "61s"', "want-timeout", "route#3.timeout"),
        (PARTIES, 'timeout = "3s"', 'timeout = "0s"', "want-timeout", "party#3.limits.timeout"),
        (PROCEDURE, 'order = "none"', 'order = "strict"', "want-choice", "route#3.order"),
        (PROCEDURE, 'refused_by = "weight-positive"', 'refused_by = "weight"', "rule-unknown", "example#2.refused_by"),
        (PROCEDURE, 'refused_by = "weight-positive"', "", "example-undecided", "example#2"),
        (PROCEDURE, "valid_from = 2020-01-01", "valid_from = 2020-01-01\nvalid_to = 2019-01-01", "period-backwards", "valid_to"),
        (PROCEDURE, "valid_from = 2020-01-01", 'valid_from = "2020-01-01"', "want-date", "valid_from"),
        (PROCEDURE, "[retention]", "[retentions]", "key-missing", "retention"),
        (PROCEDURE, 'content = "10y"', 'content = "10wd"', "want-duration", "retention.content"),
        (PROCEDURE, 'record = "20y"', 'record = "9y"', "want-record", "retention.record"),
        (PARTIES, 'code = "CUSTOMS"', 'code = "CUSTOMS"\nadapter = "portal"\ncollects = "yes"', "want-truth", "party#3.collects"),
        (PARTIES, 'code = "CUSTOMS"', 'code = "CUSTOMS"\ncollects = true', "collects-unwritten", "party#3.collects"),
        (PARTIES, 'aliases = ["A&B"]', 'aliases = ["CUSTOMS"]', "party-name-taken", "party#3.code"),
        (PARTIES, 'code = "PORTAL"', 'code = "GW"', "party-name-taken", "party#1.code"),
        (PARTIES, "until = 2027-10-15\n", "", "exception-open", "party#2.sends"),
        (PARTIES, 'bound_to = ["network:127.0.0.0/8"]', "", "exception-open", "party#2.sends"),
        (PARTIES, "network:127.0.0.0/8", "network:127.0.0.1/8", "want-bound", "party#2.sends.bound_to#1"),
        (PARTIES, "network:127.0.0.0/8", "certificate:AB", "want-bound", "party#2.sends.bound_to#1"),
        (PARTIES, 'accepts = { signature = "none" }', 'accepts = { signature = "permissive" }', "want-choice", "party#2.accepts.signature"),
        (PARTIES, 'zone = "+07:00"', 'zone = "Asia/Nowhere"', "want-zone", "gateway.zone"),
        (PARTIES, 'identity = "CUSTOMS"', 'identity = "CUSTOMS-OFFICE"', "too-long", "party#3.identity.identity"),
        (PARTIES, 'country = "VN"', 'country = "Viet Nam"', "want-country", "gateway.identity.country"),
        (PARTIES, 'adapter = "portal"', 'adaptor = "portal"', "key-unknown", "party#1.adaptor"),
        (PARTIES, 'timeout = "3s"', "concurrency = 0", "too-small", "party#3.limits.concurrency"),
        (PARTIES, 'timeout = "3s"', "concurrency = 1000", "too-large", "party#3.limits.concurrency"),
        (PARTIES, 'languages = ["vi", "en"]', "languages = []", "too-short", "gateway.languages"),
        (PARTIES, COLLECTOR, f'{COLLECTOR}\nsends = {{ signature = "hmac" }}', "want-choice", "party#3.sends.signature"),
        (PARTIES, COLLECTOR, f'{COLLECTOR}\nsends = {{ algorithms = ["rsa-sha1"] }}', "want-choice", "party#3.sends.algorithms#1"),
        (PARTIES, COLLECTOR, f"{COLLECTOR}\nsends = {{ min_rsa_bits = 1024 }}", "too-small", "party#3.sends.min_rsa_bits"),
        (PARTIES, COLLECTOR, f'{COLLECTOR}\nsends = {{ clock_skew = "2h" }}', "want-skew", "party#3.sends.clock_skew"),
        (PARTIES, COLLECTOR, f'{COLLECTOR}\nsends = {{ replies_signed = "yes" }}', "want-truth", "party#3.sends.replies_signed"),
        (
            PARTIES,
            COLLECTOR,
            f'{COLLECTOR}\nsends = {{ concessions = [{{ allow = ["sha1"] }}] }}',
            "key-missing",
            "party#3.sends.concessions#1.until",
        ),
        (PARTIES, 'adapter = "agency"', 'adapter = "agency"\nsends_for = ["PORTALS"]', "party-unknown", "party#2.sends_for#1"),
        ("rules.toml", 'version = "t"', "version = 1", "want-text", "version"),
    ],
)
def test_wrong_value_is_named_with_its_place(
    faults: Faults, edit: Edit, folder: Path, *, file: str, old: str, new: str, text: str, place: str
) -> None:
    edit(file, old, new)

    problems = faults()

    found = [(problem.text, problem.path) for problem in problems]
    assert (f"routing.{text}", f"{folder / file}: {place}") in found
    assert all(problem.line or problem.text == "routing.key-missing" for problem in problems)


def test_message_without_example_is_a_fault(faults: Faults, folder: Path) -> None:
    path = folder / PROCEDURE
    path.write_text(path.read_text("utf-8").partition("[[example]]")[0], "utf-8")

    assert [problem.values for problem in faults()] == [{"message": "10/01"}, {"message": "21/18"}]


def test_message_without_route_is_a_fault(faults: Faults, edit: Edit) -> None:
    edit(PROCEDURE, 'to = "PORTAL"', 'to = "CUSTOMS"\nwhen = "false"\nmessages = []')
    edit(PROCEDURE, 'messages = ["21/18"]\nwhen', 'messages = ["10/01"]\nwhen')

    assert {problem.text for problem in faults()} == {"routing.message-without-route", "routing.route-idle"}


def test_route_only_back_to_the_sender_is_a_fault(faults: Faults, edit: Edit) -> None:
    edit(PROCEDURE, 'to = "CUSTOMS"', 'to = "AGENCY"')

    assert [problem.text for problem in faults()] == ["routing.route-idle"]


def test_unknown_key_suggests_the_one_meant(faults: Faults, edit: Edit) -> None:
    edit(PROCEDURE, 'element = "Application"', 'elemnt = "Application"')

    unknown = next(problem for problem in faults() if problem.text == "routing.key-unknown")

    assert unknown.values["near"] == "element"


def test_every_problem_of_every_file_is_given_at_once(faults: Faults, edit: Edit, folder: Path) -> None:
    edit("rules.toml", 'version = "t"', "")
    edit(PARTIES, 'country = "VN"', 'country = "vn"')
    edit(PROCEDURE, 'order = "none"', 'order = "x"')
    (folder / "procedures/M/other.toml").write_text("= 1", "utf-8")
    (folder / "partys.toml").write_text("", "utf-8")

    assert sorted(problem.text for problem in faults()) == [
        "routing.file-unknown",
        "routing.key-missing",
        "routing.not-toml",
        "routing.want-choice",
        "routing.want-country",
    ]


@pytest.mark.parametrize("name", ["rules.toml", "parties.toml"])
def test_file_that_must_be_there_is_missed(faults: Faults, folder: Path, name: str) -> None:
    (folder / name).unlink()

    assert [(problem.text, problem.path) for problem in faults()] == [("routing.file-missing", str(folder / name))]


def test_endpoint_of_nobody_and_address_of_nowhere_are_faults(faults: Faults, folder: Path) -> None:
    (folder / "endpoints.toml").write_text('[endpoints]\nCUSTOM = "http://x/y"\nPORTAL = "ftp://x"\n', "utf-8")
    assert [problem.text for problem in faults()] == ["routing.want-address"]

    (folder / "endpoints.toml").write_text('[endpoints]\nCUSTOM = "http://x/y"\n', "utf-8")
    (problem,) = faults()
    assert (problem.text, problem.values, problem.line) == ("routing.party-unknown", {"party": "CUSTOM", "near": "CUSTOMS"}, 2)


def test_schemas_and_adapters_are_judged_where_they_are_known(faults: Faults) -> None:
    problems = faults(schemas=frozenset({"P&Q011001"}), adapters=frozenset({"portal", "agencies"}))

    assert [(problem.text, problem.values.get("schema") or problem.values.get("adapter")) for problem in problems] == [
        ("routing.adapter-unknown", "agency"),
        ("routing.schema-unknown", "P&Q012118"),
    ]


def test_problems_read_well_in_both_languages(faults: Faults, edit: Edit) -> None:
    edit(PARTIES, "until = 2027-10-15\n", "")

    (problem,) = faults()

    assert explain(problem, "en") == "Party AGENCY sends without signature, but without an end or without a bond."
    assert explain(problem, "vi").startswith("Bên AGENCY gửi không ký số")
    assert "until = 2027-10-15" in remedy(problem, "vi")


def test_refusal_names_problems_but_no_content(folder: Path, edit: Edit) -> None:
    edit(PARTIES, 'country = "VN"', 'country = "secret"')

    with pytest.raises(RulesInvalid) as raised:
        load([folder])

    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("profile", ["xmldsig", "xades-b-lt", "wss-x509", "cms-detached"])
def test_each_profile_may_be_sent_and_accepted(folder: Path, edit: Edit, profile: str) -> None:
    edit(PARTIES, COLLECTOR, f'{COLLECTOR}\naccepts = {{ signature = "{profile}" }}\nsends = {{ signature = "{profile}" }}')

    party = load([folder]).party("CUSTOMS")

    assert party is not None
    assert (party.sends.signature, party.accepts.signature) == (profile, profile)


def test_what_a_party_signs_by_is_read_whole(folder: Path, edit: Edit) -> None:
    said = 'sends = { signature = "xades-b-t", algorithms = ["ecdsa-sha256"], min_rsa_bits = 3072, clock_skew = "10m",'
    weak = ' concessions = [{ allow = ["sha1", "rsa-1024"], until = 2027-06-30 }], replies_signed = true }'
    edit(PARTIES, COLLECTOR, f'{COLLECTOR}\naccepts = {{ signature = "wss-x509", algorithms = ["rsa-sha256"] }}\n{said}{weak}')

    party = load([folder]).party("CUSTOMS")

    assert party is not None
    assert party.accepts == SealProfile(signature="wss-x509", algorithms=("rsa-sha256",))
    assert party.sends == SealProfile(
        signature="xades-b-t", algorithms=("ecdsa-sha256",), min_rsa_bits=3072, clock_skew=timedelta(minutes=10),
        concessions=(Concession(allow=frozenset({"sha1", "rsa-1024"}), until=datetime(2027, 6, 29, 17, tzinfo=UTC)),), replies_signed=True,
    )  # fmt: skip
