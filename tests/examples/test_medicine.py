"""The new procedure of the rules' page: its schemas are installed as the how-to says, and judge its messages."""

import re
import shutil
from pathlib import Path

import pytest

from gateway.config import Settings
from gateway.installed import discover, load_rules, load_schemas
from gateway.routing.procedures import MessageRule
from gateway.routing.ruleset import RuleSet
from gateway.testing import builders
from gateway.xml.envelope import read_header
from gateway.xml.install import install
from gateway.xml.parse import parse
from gateway.xml.schemas import Schemas
from gateway.xml.shipped import shipped

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "medicine"
PAGE = (ROOT / "docs" / "reference" / "rules.md").read_text("utf-8")
BLOCK = re.compile(r"```toml\n# NSW_RULES/(?P<name>\S+)\n(?P<text>.*?)```", re.DOTALL)
GOOD = (EXAMPLE / "application.xml").read_bytes()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """An installation that did what the pages say: the schemas beside the envelope's, installed; the rules copied as they stand."""
    home: Path = tmp_path_factory.mktemp("medicine")
    folder = home / "medicine"
    shutil.copytree(EXAMPLE / "schemas", folder)
    for name in ("envelope.xsd", "common.xsd"):
        shutil.copy(shipped("xsd") / "vnsw" / "1.0" / name, folder)
    assert [file.file for file in install(folder, home / "schemas").files if file.state != "good"] == []
    for block in BLOCK.finditer(PAGE):
        path = home / "rules" / block["name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block["text"], "utf-8")
    return Settings(home=home, rules=home / "rules", schemas=home / "schemas")


@pytest.fixture(scope="module")
def schemas(settings: Settings) -> Schemas:
    return load_schemas(settings)


@pytest.fixture(scope="module")
def rules(settings: Settings, schemas: Schemas) -> RuleSet:
    """Raises RulesInvalid where an example of the page does not hold, or a schema or adapter is not there."""
    return load_rules(settings, schemas, discover()).current


def row(rules: RuleSet, document: bytes) -> MessageRule:
    header = read_header(parse(document), zone=builders.ZONE)
    return rules.find(header.subject, builders.RECEIVED_AT)[1]


def test_the_application_is_in_force_and_valid(rules: RuleSet, schemas: Schemas) -> None:
    judged_by = row(rules, GOOD)

    assert judged_by.schema == "BYTE010000110101"
    assert schemas.validate(judged_by.schema, parse(GOOD), size=len(GOOD)) == ()


@pytest.mark.parametrize(
    ("right", "wrong"), [(b"<TaxCode>0101234567</TaxCode>", b""), (b"<Quantity>20000<", b"<Quantity>many<"), (b"MedicineName", b"Name")]
)
def test_an_application_that_is_not_as_its_schema_asks_is_told_why(rules: RuleSet, schemas: Schemas, right: bytes, wrong: bytes) -> None:
    broken = GOOD.replace(right, wrong)
    assert broken != GOOD

    problems = schemas.validate(row(rules, broken).schema, parse(broken), size=len(broken))

    assert all("MedicineApplication" in str(problem.path) for problem in problems)
    assert problems


def test_the_ministry_gets_what_it_takes(rules: RuleSet) -> None:
    health = rules.party("BYT")

    assert health is not None
    assert (health.accepts.signature, health.sends.signature) == ("none", "none")
