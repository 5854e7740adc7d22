"""Each way of not being well-formed has its own words, in both languages, with nothing left blank."""

import pytest

from gateway.errors import Code, NotReadable, Problem, explain, remedy
from gateway.xml.parse import parse

BROKEN = {
    "xml.no-element": [b"", b"   ", b"hello", b"{}"],
    "xml.after-end": [b"<a/>x", b"<a/><b/>"],
    "xml.character": [b"<a>\x01</a>", b"<a>&#0;</a>", b"<a>\0</a>"],
    "xml.ampersand": [b"<a>a & b</a>", b"<a>a &b</a>", b"<a>&lt</a>"],
    "xml.entity": [b"<a>&nbsp;</a>"],
    "xml.less-than": [b"<a>a < b</a>", b"<a b='<'/>", b"<1a/>", b"</a>"],
    "xml.unquoted": [b"<a b=1/>"],
    "xml.no-value": [b"<a b/>"],
    "xml.attribute-twice": [b"<a b='1' b='2'/>"],
    "xml.cdata-end": [b"<a>]]></a>"],
    "xml.cdata-open": [b"<a><![CDATA[ </a>"],
    "xml.declaration": [b" <?xml version='1.0'?><a/>", b"<?xml?><a/>"],
    "xml.tag-open": [b"<a", b"<a></a"],
    "xml.tag-mismatch": [b"<a>\n<b></a>", b"<Envelope></envelope>", b"<p><br></p>"],
    "xml.cut-off": [b"<a>", b"<a><b/>"],
    "xml.comment": [b"<!-- a -- b --><a/>"],
    "xml.bytes": [b"<a>\xff</a>"],
    "xml.prefix": [b"<p:a/>", b"<a p:b='1'/>"],
    "xml.syntax": [b"<?xml version='2.0'?><a/>", b"<a b='1'c='2'/>", b"<a:b:c xmlns:a='urn:a'/>"],
    "xml.name-too-long": [b"<" + b"a" * 60_000 + b"/>"],
    "xml.limit-depth": [b"<a>" * 300],
}


def problem_of(data: bytes) -> tuple[Code, Problem]:
    with pytest.raises(NotReadable) as caught:
        parse(data)
    return caught.value.code, caught.value.problems[0]


@pytest.mark.parametrize(("text", "data"), [(text, data) for text, broken in BROKEN.items() for data in broken])
def test_says_what_is_wrong_in_words_of_its_own(text: str, data: bytes) -> None:
    code, problem = problem_of(data)

    assert problem.text == text
    assert code is (Code.LIMIT if text in ("xml.name-too-long", "xml.limit-depth") else Code.NOT_XML)


@pytest.mark.parametrize("data", [data for broken in BROKEN.values() for data in broken])
@pytest.mark.parametrize("language", ["vi", "en"])
def test_leaves_no_blank_in_the_words(data: bytes, language: str) -> None:
    _, problem = problem_of(data)
    said = explain(problem, language)

    assert said != problem.text
    assert "…" not in said + remedy(problem, language)


def test_names_both_tags_and_the_line_where_the_first_was_opened() -> None:
    _, problem = problem_of(b"<a>\n<Goods>\n\n</goods></a>")

    assert problem.line == 4
    assert explain(problem, "en") == "The tag <Goods> was opened in line 2, but line 4 closes </goods>."


def test_quotes_only_so_much_of_the_document() -> None:
    _, problem = problem_of(b"<" + b"a" * 5000 + b"></b>")

    assert max(map(len, problem.values.values())) <= 120
