"""Whatever people write into the files, it is loaded or refused with problems that read; nothing else escapes."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import explain, remedy
from gateway.routing.rules import check
from gateway.xml.shipped import shipped

FILES = ("rules.toml", "parties.toml", "procedures/BNN/phytosanitary-export.toml")
TEXTS = {name: (shipped("routing_rules") / name).read_text("utf-8") for name in FILES}
VALUES = st.sampled_from(
    ['""', '"x"', "0", "-1", "1.5", "true", "[]", "{}", '["x"]', "[[1]]", "2020-01-01", "2020-01-01T00:00:00Z", "inf", "nan"]
)
Mutation = Callable[[list[str], int, str], list[str]]


def drop(lines: list[str], at: int, value: str) -> list[str]:
    del value
    return lines[:at] + lines[at + 1 :]


def double(lines: list[str], at: int, value: str) -> list[str]:
    del value
    return lines[: at + 1] + lines[at:]


def set_value(lines: list[str], at: int, value: str) -> list[str]:
    key = lines[at].partition("=")[0]
    return [*lines[:at], f"{key}= {value}", *lines[at + 1 :]]


def misspell(lines: list[str], at: int, value: str) -> list[str]:
    del value
    return [*lines[:at], lines[at].replace("e", "ee", 1), *lines[at + 1 :]]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(FILES),
    mutation=st.sampled_from([drop, double, set_value, misspell]),
    place=st.floats(0, 0.999),
    value=VALUES,
)
def test_broken_file_is_refused_in_words(name: str, mutation: Mutation, place: float, value: str) -> None:
    lines = TEXTS[name].splitlines()
    changed = "\n".join(mutation(lines, int(place * len(lines)), value))

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(changed, "utf-8")
        report = check([Path(folder), shipped("routing_rules")])

    assert report.passed or report.problems
    for problem in report.problems:
        for language in ("vi", "en"):
            assert explain(problem, language) not in ("", problem.text)
            assert "…" not in explain(problem, language)
            assert isinstance(remedy(problem, language), str)


@pytest.mark.parametrize("text", ["", "[", "a = " + "[" * 100_000, "\ufeffversion = 1", "version = 1\r\n", "a" * 10_000])
def test_text_that_is_no_rules_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "rules.toml").write_text(text, "utf-8")

    assert not check([tmp_path, shipped("routing_rules")]).passed
