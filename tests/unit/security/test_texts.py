"""The wording of signature problems and the numbers of its checks: complete, and one number in code, page and tests."""

import re
import tomllib
from pathlib import Path

import pytest

from gateway.errors import Problem, explain, remedy
from gateway.security.report import NAMES

ROOT = Path(__file__).parents[3]
TEXTS = tomllib.loads((ROOT / "gateway" / "texts" / "signature.toml").read_text("utf-8"))["signature"]
CODE = {p.name: p.read_text("utf-8") for p in (ROOT / "gateway" / "security").glob("*.py")}
PAGE = (ROOT / "docs" / "protocol" / "SIG.md").read_text("utf-8")
TESTS = "\n".join(p.read_text("utf-8") for p in Path(__file__).parent.glob("test_*.py"))
ADVISED = {name: entry for name, entry in TEXTS.items() if not re.match(r"(check|passed)-\d", name)}
NUMBERED = re.compile(r'refusal\(\s*(\d+),\s*"([a-z0-9-]+)"')


@pytest.mark.parametrize("name", ADVISED)
def test_problem_says_what_to_do_about_it(name: str) -> None:
    entry = ADVISED[name]

    assert entry["vi_fix"]
    assert entry["en_fix"]


def test_every_text_that_code_names_exists() -> None:
    named = {name for text in CODE.values() for name in re.findall(r'"signature\.([a-z0-9-]+)"', text)}
    refused = {name for text in CODE.values() for _, name in NUMBERED.findall(text)}
    obstacles = set(re.findall(r'"(issuer-[a-z-]+|no-issuer)"', CODE["path.py"]))

    assert named | refused | obstacles <= set(TEXTS)


def test_no_text_is_left_over() -> None:
    everything = "\n".join(CODE.values())

    assert [name for name in ADVISED if f'"{name}"' not in everything and f"signature.{name}" not in everything] == []


@pytest.mark.parametrize("number", NAMES)
def test_check_has_one_number_in_code_page_and_tests(number: int) -> None:
    code = "\n".join(CODE.values())

    assert re.search(rf"#[^\n]*\({number}\)", code), "code comment"
    assert re.search(rf"^\| {number} \| `{NAMES[number]}` \|", PAGE, re.MULTILINE), "page"
    assert re.search(rf'sig_{number}_|\("{number}", "', TESTS), "test name"


@pytest.mark.parametrize("number", NAMES)
def test_check_has_a_title(number: int) -> None:
    assert TEXTS[f"check-{number}"]["vi"]


def test_problem_is_told_with_its_number_and_values() -> None:
    problem = Problem(text="signature.key-weak", values={"check": "12", "key": "RSA 1024", "minimum": "2048"})

    assert explain(problem, "en").startswith("SIG-12: The key RSA 1024 is not allowed")
    assert explain(problem, "vi").startswith("SIG-12: Khóa RSA 1024 không đạt yêu cầu")
    assert "2048 bit" in remedy(problem, "vi")
