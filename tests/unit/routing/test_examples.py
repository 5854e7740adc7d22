from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.routing.examples import run_examples
from gateway.routing.rules import RuleSet, load

Edit = Callable[[str, str, str], None]
PROCEDURE = "procedures/M/p.toml"


def test_sound_examples_pass(rules: RuleSet) -> None:
    assert run_examples(rules) == ()


@pytest.mark.parametrize(
    ("old", "new", "text", "values"),
    [
        ('to = ["PORTAL", "CUSTOMS"]', 'to = ["CUSTOMS"]', "example-route", {"wanted": "CUSTOMS", "found": "CUSTOMS, PORTAL"}),
        ('facts = { country = "LA" }', 'facts = { country = "VN" }', "example-route", {"wanted": "PORTAL", "found": "CUSTOMS, PORTAL"}),
        ('facts = { country = "LA" }', "", "example-unknown", {"name": "P&Q01/customs"}),
        ('to = "AGENCY"\n', 'to = "AGENCY"\nwhen = "false"\n', "example-nowhere", {"wanted": "AGENCY"}),
        ('from = "PORTAL"', 'from = "CUSTOMS"', "example-sender", {"sender": "CUSTOMS", "senders": "PORTAL"}),
        ('facts = { weight = "0" }', 'facts = { weight = "1" }', "example-taken", {"rule": "weight-positive"}),
        ('from = "PORTAL"\nto', 'from = "PORTAL"\nfacts = { weight = "-1" }\nto', "example-refused", {"found": "weight-positive"}),
    ],
)  # fmt: skip
def test_example_that_fails_says_what_was_found(folder: Path, edit: Edit, old: str, new: str, text: str, values: dict[str, str]) -> None:
    edit(PROCEDURE, old, new)

    (problem,) = run_examples(load([folder]))

    assert problem.text == f"routing.{text}"
    assert values.items() <= problem.values.items()
    assert problem.path is not None
    assert problem.path.startswith(f"{folder / PROCEDURE}: example#")
    assert problem.line
