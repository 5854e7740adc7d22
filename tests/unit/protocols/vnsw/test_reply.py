from collections.abc import Callable
from string import Formatter

import pytest

from gateway.errors import Code, Problem, _texts
from gateway.model import Identity, Receipt, Refusal, Wrapper
from gateway.protocols.vnsw.dialects import PLAIN, TRANSPORT, Answers
from gateway.protocols.vnsw.reply import accepted, language_of, refused, spoken, stand_in
from gateway.testing import builders
from gateway.xml.canonical import canonical
from gateway.xml.parse import parse

OURS = {name: entry for name, entry in _texts().items() if name.startswith("vnsw.")}
NOBODY = Identity(name="", identity="", country="", ministry="", organization="")


@pytest.mark.parametrize("answers", [PLAIN, TRANSPORT])
def test_a_reply_is_in_canonical_form_ready_to_be_signed(receipt: Receipt, refuse: Callable[..., Refusal], answers: Answers) -> None:
    problem = Problem(text="vnsw.field-twice", path="/a[1]", line=3, values={"field": 'ệ <&>"\r\n\t'})
    header = stand_in(Wrapper(protocol="vnsw", operation="x", document_type="BNN&PTNT"), sender=NOBODY, receiver=NOBODY)

    for written in (
        accepted(receipt, answers, zone=builders.ZONE),
        refused(refuse(Code.SCHEMA, problem, problem), header, answers, language="vi", zone=builders.ZONE),
    ):
        assert canonical(parse(written)) == written


def test_a_reply_begins_where_clients_search_for_it(receipt: Receipt) -> None:
    written = accepted(receipt, PLAIN, zone=builders.ZONE)

    assert written.startswith(b"<Envelope><Header>")
    assert written.endswith(b"</Body></Envelope>")


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (Problem(text="vnsw.unavailable"), "recorded. Send the very same message again in a few minutes."),
        (Problem(text="vnsw.unavailable", line=7), "in a few minutes. Place: line 7."),
        (Problem(text="vnsw.unavailable", path="/Envelope"), "in a few minutes. Place: /Envelope."),
        (Problem(text="vnsw.unavailable", path="/Envelope", line=7), "in a few minutes. Place: /Envelope, line 7."),
    ],
)
def test_a_place_is_told_as_far_as_it_is_known(problem: Problem, expected: str) -> None:
    assert spoken(problem, "en").endswith(expected)


def test_a_text_that_is_missing_is_named() -> None:
    assert spoken(Problem(text="no.such-text"), "vi") == "no.such-text"


@pytest.mark.parametrize(("languages", "expected"), [((), "vi"), (("th",), "vi"), (("th", "en"), "en"), (("vi", "en"), "vi")])
def test_the_first_language_there_are_texts_in_is_spoken(languages: tuple[str, ...], expected: str) -> None:
    assert language_of(languages) == expected


@pytest.mark.parametrize("name", OURS)
def test_both_languages_say_the_same_values(name: str) -> None:
    entry = OURS[name]
    values = {key: {field for _, field, _, _ in Formatter().parse(text) if field} for key, text in entry.items()}

    assert {"vi", "en"} <= entry.keys()
    assert values["vi"] == values["en"]
    assert ("vi_fix" in entry) is ("en_fix" in entry)
