import threading

import pytest

from gateway.model import PartyCode, Subject
from gateway.routing.conditions import MAX_LENGTH, Condition, ConditionInvalid, Conditions, nesting
from gateway.routing.weighing import Stated, variables

VALUES = variables(
    "P",
    "21/18",
    subject=Subject(document_type="P", type="21", function="18", reference="R1", year="2026"),
    sender=PartyCode("BNN"),
    stated=Stated(facts={"country": "VN"}, keys=(("line", "1"), ("line", "2"))),
)


def compiled(text: str) -> Condition:
    return Conditions().compile(text, facts={"country", "weight"}, keys={"line"})


@pytest.mark.parametrize(
    "text",
    [
        "facts.country == 'VN'",
        "facts['country'] in ['VN', 'LA']",
        "sender == 'BNN' && message == '21/18' && procedure == 'P' && reference == 'R1' && year == '2026'",
        "keys.line.exists(v, v == '2')",
        "!has(facts.weight)",
        "facts.size() == 1",
        "true // a comment",
    ],
)
def test_condition_holds(text: str) -> None:
    assert compiled(text).holds(VALUES) is True


def test_condition_does_not_hold() -> None:
    assert compiled("facts.country == 'LA'").holds(VALUES) is False


@pytest.mark.parametrize("text", ["facts.weight == '1'", "int(facts.country) > 0", "1 / 0 == 1", "keys.line[7] == '1'"])
def test_condition_that_cannot_be_told_is_none(text: str) -> None:
    assert compiled(text).holds(VALUES) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("facts.country ==", "condition-syntax"),
        ("nothing == 'x'", "condition-syntax"),
        ("facts.country + 1 == 2", "condition-syntax"),
        ("facts.country", "condition-not-truth"),
        ("dyn(true)", "condition-not-truth"),
        ("facts.contry == 'VN'", "condition-undeclared"),
        ("facts['contry'] == 'VN'", "condition-undeclared"),
        ("has(keys.lines)", "condition-undeclared"),
        ("true" + " && true" * MAX_LENGTH, "condition-long"),
        ("[1].all(a, [1].all(b, [1].all(c, true)))", "condition-deep"),
        ("[1].exists (a, [1] . map(b, [1].filter(c, true)).size() > 0)", "condition-deep"),
    ],
)
def test_condition_that_may_not_be_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ConditionInvalid) as raised:
        compiled(text)

    assert [p.text for p in raised.value.problems] == [f"routing.{problem}"]


@pytest.mark.parametrize(
    ("text", "depth"),
    [
        ("true", 0),
        ("(1 + (2)) == 3", 0),
        ("[1].all(a, true) && [1].all(a, true)", 1),
        ("[1].all(a, [2].exists(b, (a < b)))", 2),
        ("'[1].all(a, [1].all(b, [1].all(c, true)))' == \"all(all(all(\"", 0),
        ("'it\\'s all(' == '' && [1].all(a, true)", 1),
        ("true // all(all(all(", 0),
        ('"""all("all(""" == r\'all(\\\'', 0),
    ],
)
def test_nesting_counts_macros_outside_texts_and_comments(text: str, depth: int) -> None:
    assert nesting(text) == depth


def test_syntax_problem_says_where_and_why() -> None:
    with pytest.raises(ConditionInvalid) as raised:
        compiled("facts.country ==")

    assert "1:17" in raised.value.problems[0].values["detail"]


def test_one_condition_serves_many_threads() -> None:
    condition = compiled("facts.country == 'VN'")
    answers: list[bool | None] = []
    threads = [threading.Thread(target=lambda: answers.extend(condition.holds(VALUES) for _ in range(500))) for _ in range(4)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [True] * 2_000
