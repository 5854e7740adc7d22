"""nsw validate: verdicts, places, words, and how it ends."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.testing import builders
from gateway.xml.shipped import shipped

Write = Callable[[str, bytes | str], Path]
Run = Callable[..., Any]
PROCEDURE = {"procedure": "BNN&PTNT0300002", "type": "10", "function": "01", "schema": "BNN&PTNT03000021001"}
NOTHING = {"procedure": None, "type": None, "function": None, "schema": None}


def line_of(document: bytes) -> int:
    """Give the line of the first quantity."""
    return document.decode().split("\n").index("            <Quantity>960</Quantity>") + 1


def test_valid_envelope_is_named(run: Run, write: Write, pretty: bytes) -> None:
    ran = run("validate", write("good.xml", pretty))

    assert ran.code == 0
    assert re.search(r"✓ .*good\.xml: Phytosanitary certificate .*BNN&PTNT0300002\) · 10/01 New application · schema ", ran.out)
    assert ran.err == ""


def test_vietnamese_is_spoken_unless_asked_otherwise(run: Run, write: Write, pretty: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NSW_LANGUAGE")

    assert "10/01 Nộp hồ sơ mới · lược đồ" in run("validate", write("good.xml", pretty)).out


def test_lang_option_speaks_the_other_language(run: Run, write: Write, pretty: bytes) -> None:
    assert "lược đồ" in run("--lang", "vi", "validate", write("good.xml", pretty)).out


def test_json_of_a_valid_envelope_has_exactly_the_contract(run: Run, write: Write, pretty: bytes) -> None:
    ran = run("validate", write("good.xml", pretty), "--json")

    assert ran.code == 0
    assert ran.json == {"valid": True, "document": PROCEDURE, "errors": []}
    assert ran.err == ""


def test_json_of_a_wrong_value_names_place_words_and_remedy(run: Run, write: Write, pretty: bytes) -> None:
    ran = run("validate", write("bad.xml", pretty.replace(b"<Quantity>960<", "<Quantity>chín trăm<".encode(), 1)), "--json")

    assert ran.code == 1
    assert ran.json["document"] == PROCEDURE
    (error,) = ran.json["errors"]
    assert error.keys() == {"code", "path", "line", "message_vi", "message_en", "fix"}
    assert error["code"] == "ERR02_CODE"
    assert error["path"] == "/Envelope/Body/Content/Phytosanitary/GoodsList/Goods[1]/Quantity"
    assert pretty.decode().split("\n")[error["line"] - 1].strip() == "<Quantity>960</Quantity>"
    assert "chín trăm" in error["message_vi"]
    assert "chín trăm" in error["message_en"]
    assert error["fix"].startswith("Change <Quantity>")


def test_people_see_place_line_marker_and_remedy(run: Run, write: Write, pretty: bytes) -> None:
    file = write("bad.xml", pretty.replace(b"<Quantity>960<", b"<Quantity>many<", 1))

    out = run("validate", file).out

    assert re.search(r"✗ .*NOT valid, problems: 1 · ", out)
    line = line_of(pretty)
    assert re.search(rf"┌─ .*bad\.xml:{line}:23  ERR02_CODE\n", out)
    assert re.search(rf"{line} │ +<Quantity>many</Quantity>\n +│ +\^\^\^\^\n", out)
    assert re.search(r"└─ Change <Quantity> to: ", out)


def test_problems_stand_in_the_order_of_the_document(run: Run, write: Write) -> None:
    flat = builders.message("10/01").replace(b"<Email>", b"<Emial>").replace(b"</Email>", b"</Emial>")
    file = write("flat.xml", flat.replace(b"<Quantity>960<", b"<Quantity>x<", 1).replace(b"<countryCode>VN<", b"<countryCode>VNM<", 1))

    paths = [error["path"].rpartition("/")[2] for error in run("validate", file, "--json").json["errors"]]

    assert paths == ["countryCode", "Emial", "Quantity"]


def test_a_signed_document_is_valid_and_its_signatures_are_left_to_verify(run: Run, write: Write, pretty: bytes, home: Path) -> None:
    signed = run("sign", write("good.xml", pretty), "--key", home / "pki/keys/NSW.key.pem", "--cert", home / "pki/parties/NSW.pem").raw

    ran = run("validate", write("signed.xml", signed))

    assert ran.code == 0
    assert "run: nsw verify" in ran.out


# --- wrapped in SOAP ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", builders.CLIENTS)
def test_envelope_inside_soap_is_judged(run: Run, write: Write, client: str) -> None:
    ran = run("validate", write("soap.xml", builders.soap(builders.message("10/01"), client=client)), "--json")

    assert ran.code == 0
    assert ran.json["document"] == PROCEDURE


def test_people_are_told_of_the_soap_wrapper(run: Run, write: Write) -> None:
    wrapped = builders.soap(builders.message("10/01"), version="1.2")

    assert "envelope inside SOAP 1.2" in run("validate", write("soap.xml", wrapped)).out


def test_lines_count_in_the_file_where_the_envelope_stands_as_it_is(run: Run, write: Write, pretty: bytes) -> None:
    bad = pretty.replace(b"<Quantity>960<", b"<Quantity>many<", 1).partition(b"?>\n")[2]
    file = write("soap.xml", builders.soap(bad, client="dotnet"))

    (error,) = run("validate", file, "--json").json["errors"]

    assert file.read_text().split("\n")[error["line"] - 1].strip() == "<Quantity>many</Quantity>"


def test_lines_count_in_the_envelope_where_it_is_escaped(run: Run, write: Write, pretty: bytes) -> None:
    bad = pretty.replace(b"<Quantity>960<", b"<Quantity>many<", 1).partition(b"?>\n")[2]

    out = run("validate", write("soap.xml", builders.soap(bad))).out

    line = line_of(pretty) - 1  # without the XML declaration's line
    assert f":{line}:23 (lines of the envelope taken out of SOAP)" in out
    assert f"{line} │             <Quantity>many</Quantity>" in out


def test_soap_without_an_operation_of_ours_is_refused(run: Run, write: Write) -> None:
    soap = b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><other/></s:Body></s:Envelope>'

    ran = run("validate", write("soap.xml", soap), "--json")

    assert ran.code == 1
    assert ran.json["document"] == NOTHING
    assert ran.json["errors"][0]["code"] == "ERR00_CODE"


def test_broken_envelope_inside_soap_is_shown_itself(run: Run, write: Write) -> None:
    out = run("validate", write("soap.xml", builders.soap(b"<Envelope>\n<Header>\n</Envelope>"))).out

    assert "3 │ </Envelope>" in out


# --- what it is --------------------------------------------------------------------------------------------------------


def test_bare_document_is_found_by_its_root_element(run: Run, write: Write) -> None:
    ns = 'xmlns="urn:un:unece:uncefact:data:standard:SPSCertificate:17"'

    ran = run("validate", write("bare.xml", f"<SPSCertificate {ns}/>"), "--json")

    assert ran.code == 1
    assert ran.json["document"] == {**NOTHING, "schema": "SPSCertificate-17"}
    assert ran.json["errors"][0]["code"] == "ERR02_CODE"


def test_unknown_root_element_is_told_what_to_do(run: Run, write: Write) -> None:
    ran = run("validate", write("bare.xml", "<Phytosanitary/>"), "--json")

    assert ran.code == 1
    assert ran.json["document"] == NOTHING
    assert ran.json["errors"][0]["code"] == "ERR04_CODE"
    assert "Content" in ran.json["errors"][0]["fix"]


def test_envelope_in_a_namespace_gets_its_own_advice(run: Run, write: Write) -> None:
    ran = run("validate", write("ns.xml", '<Envelope xmlns="urn:x"/>'))

    assert ran.code == 1
    assert "in no namespace" in ran.out


def test_schema_option_judges_by_that_schema(run: Run, write: Write, pretty: bytes) -> None:
    ran = run("validate", write("good.xml", pretty), "--schema", "BNN&PTNT03000022118", "--json")

    assert ran.code == 1
    assert ran.json["document"] == {**PROCEDURE, "schema": "BNN&PTNT03000022118"}


def test_schema_option_judges_an_envelope_that_no_rule_knows(run: Run, write: Write, pretty: bytes) -> None:
    file = write("foreign.xml", pretty.replace(b"BNN&amp;PTNT0300002", b"BNN&amp;PTNT9999999"))

    ran = run("validate", file, "--schema", "BNN&PTNT03000021001", "--json")

    assert ran.code == 0
    assert ran.json["document"]["procedure"] == "BNN&PTNT9999999"


def test_unknown_schema_is_wrong_usage_with_the_nearest_name(run: Run, write: Write, pretty: bytes) -> None:
    ran = run("validate", write("good.xml", pretty), "--schema", "BNN&PTNT0300002100", "--json")

    assert ran.code == 2
    assert ran.out == ""
    assert "the nearest is BNN&PTNT030000210" in ran.err


@pytest.mark.parametrize(
    ("old", "new", "code", "document"),
    [
        (b"BNN&amp;PTNT0300002", b"BNN&amp;PTNT0300003", "ERR01_CODE", {"procedure": "BNN&PTNT0300003", "schema": None}),
        (b"<documentType>BNN&amp;PTNT0300002</documentType>", b"", "ERR03_CODE", NOTHING),
        (b"<function>01<", b"<function>09<", "ERR04_CODE", {"function": "09", "schema": None}),
        (b"Phytosanitary>", b"Wrong>", "ERR02_CODE", PROCEDURE),
    ],
)
def test_each_refusal_has_the_code_of_the_field(  # what was changed, and what follows
    run: Run, write: Write, pretty: bytes, old: bytes, new: bytes, code: str, document: dict[str, str | None]
) -> None:
    ran = run("validate", write("bad.xml", pretty.replace(old, new)), "--json")

    assert ran.code == 1
    assert ran.json["errors"][0]["code"] == code
    assert document.items() <= ran.json["document"].items()


def test_empty_content_is_err05(run: Run, write: Write, pretty: bytes) -> None:
    empty = re.sub(rb"<Content>.*</Content>", b"<Content/>", pretty, flags=re.DOTALL)

    ran = run("validate", write("empty.xml", empty), "--json")

    assert (ran.code, ran.json["errors"][0]["code"]) == (1, "ERR05_CODE")


def test_synchronous_reply_is_recognised(run: Run, write: Write, pretty: bytes) -> None:
    assert "synchronous reply" in run("validate", write("reply.xml", pretty.replace(b"<function>01<", b"<function>99<"))).out


def test_sender_that_may_not_send_it_is_warned_of(run: Run, write: Write, pretty: bytes) -> None:
    swapped = pretty.replace(b"<identity>NSW<", b"<identity>TCHQ<")

    ran = run("validate", write("swapped.xml", swapped))

    assert ran.code == 0
    assert "! The gateway will refuse this message: TCHQ may not send it" in ran.out


def test_unknown_sender_is_warned_of(run: Run, write: Write, pretty: bytes) -> None:
    unknown = re.sub(rb"<From>.*?</From>", lambda found: re.sub(rb">[A-Z]+<", b">ZZ<", found[0]), pretty, flags=re.DOTALL)

    assert "no party is called “ZZ”" in run("validate", write("unknown.xml", unknown)).out


def test_broken_business_rule_is_an_error(run: Run, write: Write, pretty: bytes, home: Path) -> None:
    name = "procedures/BNN/phytosanitary-export.toml"
    rules = (shipped("routing_rules") / name).read_text()
    rule = """[[rule]]
name = "not-to-nl"
messages = ["10/01"]
when = "has(facts.importing_country) && facts.importing_country == 'NL'"
require = "reference.startsWith('X')"
title = { vi = "số hồ sơ phải bắt đầu bằng X", en = "the reference has to begin with X" }

"""
    (home / "rules" / name).parent.mkdir(parents=True)
    (home / "rules" / name).write_text(rules.replace("[[route]]", rule + "[[route]]", 1))

    ran = run("validate", write("good.xml", pretty), "--json")

    assert ran.code == 1, ran.out
    assert ran.json["errors"][0]["code"] == "ERR02_CODE"
    assert "the reference has to begin with X" in ran.json["errors"][0]["message_en"]


# --- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "ERR02_CODE"),
        (b"   \n", "ERR02_CODE"),
        (bytes(range(256)) * 40, "ERR02_CODE"),
        (b"\x89PNG\r\n\x1a\n" + bytes(1000), "ERR02_CODE"),
        (b"plain words", "ERR02_CODE"),
        (b"<a><b></a>", "ERR02_CODE"),
        (b"<a>", "ERR02_CODE"),
        (b"<!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><a>&e;</a>", "ERR02_CODE"),
        (b"<?xml version='1.0' encoding='windows-1258'?><a/>", "ERR02_CODE"),
        ("<a>" + "x" * 10_000_001, "ERR00_CODE"),
        ("<a>" * 100, "ERR02_CODE"),
        ("<a>" * 300 + "</a>" * 300, "ERR00_CODE"),
    ],
    ids=["empty", "blank", "binary", "png", "words", "mismatch", "cut", "doctype", "encoding", "too-large", "deep-cut", "deep"],
)
def test_what_is_no_document_is_refused_in_clear_words(run: Run, write: Write, content: bytes | str, code: str) -> None:
    file = write("file.xml", content)

    ran = run("validate", file, "--json")

    assert (ran.code, ran.json["valid"], ran.json["document"]) == (1, False, NOTHING)
    assert [error["code"] for error in ran.json["errors"]] == [code]
    assert "NOT valid" in run("validate", file).out


def test_missing_file_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    ran = run("validate", tmp_path / "no.xml", "--json")

    assert (ran.code, ran.out) == (2, "")
    assert "There is no such file" in ran.err


def test_folder_in_place_of_a_file_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    ran = run("validate", tmp_path)

    assert ran.code == 2
    assert "a folder, not a file" in ran.err


@pytest.mark.parametrize("arguments", [(), ("a.xml", "b.xml"), ("a.xml", "--nonsense")])
def test_wrong_arguments_are_wrong_usage(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("validate", *arguments).code == 2


def test_standard_input_is_read(run: Run, pretty: bytes) -> None:
    assert run("validate", "-", "--json", stdin=pretty).json["valid"] is True


def test_rules_that_do_not_load_end_with_not_available(run: Run, write: Write, pretty: bytes, home: Path) -> None:
    (home / "rules").mkdir()
    (home / "rules" / "parties.toml").write_text("[gateway]\ncode = 1\n")

    ran = run("validate", write("good.xml", pretty), "--json")

    assert ran.code == 3
    assert ran.json["ok"] is False


def test_twenty_problems_are_told_and_that_there_may_be_more(run: Run, write: Write, pretty: bytes) -> None:
    goods = re.search(rb"<Goods>.*?</Goods>", pretty, re.DOTALL)
    assert goods
    many = pretty.replace(goods[0], goods[0].replace(b">960<", b">x<") * 25, 1)

    ran = run("validate", write("many.xml", many))

    assert "problems: 20" in ran.out
    assert "Only the first 20 problems" in ran.out
