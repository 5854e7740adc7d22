"""docs/reference/rules.md: what it shows works, and it explains every key there is."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from gateway.routing import forms
from gateway.routing.forms import Form
from gateway.routing.rules import check
from gateway.xml.shipped import shipped

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "rules.md").read_text("utf-8")
BLOCK = re.compile(r"```toml\n# NSW_RULES/(?P<name>\S+)\n(?P<text>.*?)```", re.DOTALL)


def test_worked_example_passes_over_the_shipped_rules(tmp_path: Path) -> None:
    for block in BLOCK.finditer(PAGE):
        path = tmp_path / block["name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block["text"], "utf-8")

    report = check([tmp_path, shipped("routing_rules")])

    assert report.problems == ()
    assert report.rules is not None
    health = report.rules.party("MOH")
    assert health is not None
    assert health.endpoint == "https://nsw.health.example/ws"
    assert {"BYTE0100001"} < {procedure.code for procedure in report.rules.procedures}


def keys(form: type[Form]) -> Iterator[str]:
    for name, field in form.model_fields.items():
        yield field.alias or name
        for inner in _forms_in(field.annotation):
            yield from keys(inner)


def _forms_in(annotation: object) -> Iterator[type[Form]]:
    if isinstance(annotation, type) and issubclass(annotation, Form):
        yield annotation
    for inner in get_args(annotation):
        yield from _forms_in(inner)


@pytest.mark.parametrize(
    "key",
    sorted({key for form in (forms.RulesForm, forms.PartiesForm, forms.EndpointsForm, forms.ProcedureForm) for key in keys(form)}),
)
def test_page_explains_every_key(key: str) -> None:
    assert re.search(rf"\b{key}\b", PAGE)
