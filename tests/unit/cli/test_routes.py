"""nsw routes: rules checked, and the way of a document explained."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.testing import builders
from gateway.xml.shipped import shipped

Write = Callable[[str, bytes | str], Path]
Run = Callable[..., Any]
RULES = "procedures/BNN/phytosanitary-export.toml"


def override(folder: Path, old: str, new: str) -> None:
    """Put a changed copy of the shipped procedure into a folder."""
    text = (shipped("routing_rules") / RULES).read_text()
    assert old in text
    (folder / RULES).parent.mkdir(parents=True, exist_ok=True)
    (folder / RULES).write_text(text.replace(old, new))


def test_shipped_rules_pass(run: Run) -> None:
    ran = run("routes", "check", "--json")

    assert ran.code == 0
    assert ran.json.keys() == {"ok", "version", "procedures", "messages", "examples", "errors", "warnings"}
    assert ran.json["ok"] is True
    assert ran.json["examples"] >= ran.json["messages"] > 40
    assert "Rule set" in run("routes", "check").out


def test_every_fault_of_a_folder_is_told_with_its_place(run: Run, tmp_path: Path) -> None:
    override(tmp_path / "mine", 'portal = "NSW"', 'portal = "NSV"')

    ran = run("routes", "check", tmp_path / "mine", "--json")

    assert (ran.code, ran.json["ok"], ran.json["version"]) == (1, False, None)
    assert any(error["path"].endswith("phytosanitary-export.toml: portal") or "portal" in error["path"] for error in ran.json["errors"])
    people = run("routes", "check", tmp_path / "mine")
    assert "The rules do not pass" in people.out
    assert "phytosanitary-export.toml" in people.out


def test_folder_of_the_settings_is_checked_unless_one_is_named(run: Run, home: Path) -> None:
    override(home / "rules", 'portal = "NSW"', 'portal = "NSV"')

    assert run("routes", "check").code == 1


def test_an_exception_that_ended_is_a_warning_and_the_rules_pass(run: Run, tmp_path: Path) -> None:
    text = (shipped("routing_rules") / "parties.toml").read_text()
    assert text.count("until = 2027-10-15") == 1
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "parties.toml").write_text(text.replace("until = 2027-10-15", "until = 2025-10-15"))

    ran = run("routes", "check", tmp_path / "mine", "--json")

    assert (ran.code, ran.json["ok"]) == (0, True)
    assert [(warning["code"], warning["path"]) for warning in ran.json["warnings"]] == [("signature.exception-over", "BNN")]
    assert "! BNN: The exception (none) in parties.toml ended on 2025-10-15" in run("routes", "check", tmp_path / "mine").out


def test_missing_folder_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    assert run("routes", "check", tmp_path / "none").code == 2


def test_file_in_place_of_a_folder_is_wrong_usage(run: Run, write: Write) -> None:
    assert run("routes", "check", write("rules.toml", "")).code == 2


def test_explain_names_the_rule_and_what_the_document_states(run: Run, write: Write, pretty: bytes) -> None:
    ran = run("routes", "explain", write("good.xml", pretty), "--json")

    assert ran.code == 0
    assert ran.json["ok"] is True
    assert ran.json["document"] == {
        "procedure": "BNN&PTNT0300002", "type": "10", "function": "01", "schema": "BNN&PTNT03000021001",
    }  # fmt: skip
    assert ran.json["sender"] == "NSW"
    assert ran.json["facts"] == {"importing_country": "NL"}
    assert {"name": "tax_code", "value": "0101234567"} in ran.json["keys"]
    assert ran.json["routes"] == [{"name": "BNN&PTNT0300002/agency", "to": "BNN", "condition": None, "verdict": "chosen"}]
    assert (ran.json["broken_rules"], ran.json["warnings"]) == ([], [])


def test_people_read_where_it_goes_and_why(run: Run, write: Write) -> None:
    out = run("routes", "explain", write("soap.xml", builders.soap(builders.message("21/18")))).out

    assert "21/18 Certificate" in out
    assert "Sender: BNN" in out
    assert "✓ BNN&PTNT0300002/portal → NSW  goes here" in out


def test_document_that_goes_nowhere_ends_with_one(run: Run, write: Write, pretty: bytes) -> None:
    back = pretty.replace(b"<identity>NSW<", b"<identity>BNN<", 1)

    ran = run("routes", "explain", write("back.xml", back))

    assert ran.code == 1
    assert "no: BNN is the sender" in ran.out
    assert "No rule sends this message anywhere" in ran.out


@pytest.mark.parametrize(
    ("sender", "code"),
    [(b"<identity>XXX<", "cli.note-sender-unknown"), (b"<identity>TCHQ<", "cli.note-sender-wrong")],
)
def test_document_whose_sender_intake_refuses_ends_with_one(run: Run, write: Write, pretty: bytes, sender: bytes, code: str) -> None:
    before, _, after = pretty.partition(b"</From>")
    nobody = re.sub(rb">[^<>\s]+</", b">-</", before[before.index(b"<From>") :]).replace(b"<identity>-<", sender)
    file = write("nobody.xml", before[: before.index(b"<From>")] + nobody + b"</From>" + after)

    ran = run("routes", "explain", file, "--json")

    assert (ran.code, ran.json["ok"]) == (1, False)
    assert [error["code"] for error in ran.json["errors"]] == [code]
    assert "The gateway will refuse this message" in run("routes", "explain", file).out


def test_condition_is_shown_with_its_verdict(run: Run, write: Write, pretty: bytes, home: Path) -> None:
    override(home / "rules", "[[example]]", "[[example]]")
    text = (home / "rules" / RULES).read_text()
    extra = '[[route]]\nname = "nowhere"\nmessages = ["10/01"]\nto = "TCHQ"\nwhen = "reference == \'none\'"\n\n'
    (home / "rules" / RULES).write_text(text.replace("[[route]]", extra + "[[route]]", 1))

    ran = run("routes", "explain", write("good.xml", pretty))

    assert ran.code == 0, ran.out + ran.err
    assert "no: its condition does not hold" in ran.out
    assert "when reference == 'none'" in ran.out


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"<no", "not-xml"), (b"<Envelope/>", "procedure-unreadable"), (b"<SPSCertificate/>", "procedure-unreadable")],
)
def test_what_cannot_be_routed_is_refused(run: Run, write: Write, content: bytes, code: str) -> None:
    ran = run("routes", "explain", write("bad.xml", content), "--json")

    assert (ran.code, ran.json["code"]) == (1, code)


def test_missing_file_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    assert run("routes", "explain", tmp_path / "no.xml").code == 2
