"""Small rule folders to break: one portal, one agency, one customs; a procedure with three messages."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from gateway.errors import Problem
from gateway.routing.rules import RuleSet, RulesInvalid, load

RULES = 'version = "t"\nvalid_from = 2020-01-01\n'
PARTIES = """\
[gateway]
code = "GW"
zone = "+07:00"
languages = ["vi", "en"]
identity = { name = "G", identity = "GW", country = "VN", ministry = "M", organization = "O" }

[[party]]
code = "PORTAL"
adapter = "portal"
identity = { name = "P", identity = "PORTAL", country = "VN", ministry = "M", organization = "O" }

[[party]]
code = "AGENCY"
aliases = ["A&B"]
adapter = "agency"
identity = { name = "A", identity = "AGENCY", country = "VN", ministry = "M", organization = "O" }
accepts = { signature = "none" }
[party.sends]
signature = "none"
until = 2027-10-15
bound_to = ["network:127.0.0.0/8"]

[[party]]
code = "CUSTOMS"
identity = { name = "C", identity = "CUSTOMS", country = "VN", ministry = "M", organization = "O" }
limits = { timeout = "3s" }
"""
PROCEDURE = """\
code = "P&Q01"
version = "1"
valid_from = 2020-01-01
portal = "PORTAL"
agency = "AGENCY"
title = { vi = "Thủ tục", en = "Procedure" }
identity = ["Application/TaxCode"]

[keys]
certificate = ["Certificate/Number"]
line = ["Certificate/Lines/Line/Number"]

[facts]
country = ["Certificate/Country"]
weight = ["Application/Weight"]

[states]
1 = { vi = "Chờ", en = "waiting" }
2 = { vi = "Xong", en = "done" }

[[message]]
type = "10"
function = "01"
direction = "to-agency"
element = "Application"
title = { vi = "Đơn", en = "Application" }
dossier = { opens = true, to = "1" }

[[message]]
type = "21"
function = "18"
direction = "to-portal"
element = "Certificate"
title = { vi = "Chứng nhận", en = "Certificate" }
dossier = { from = ["1"], to = "2" }

[[rule]]
name = "weight-positive"
messages = ["10/01"]
when = "has(facts.weight)"
require = "double(facts.weight) > 0.0"
path = "Application/Weight"
title = { vi = "khối lượng phải lớn hơn 0", en = "the weight must be above 0" }

[[route]]
name = "agency"
to = "AGENCY"
direction = "to-agency"

[[route]]
name = "portal"
to = "PORTAL"
direction = "to-portal"

[[route]]
name = "customs"
to = "CUSTOMS"
messages = ["21/18"]
when = "facts.country == 'VN'"
order = "none"
timeout = "1m"

[[deadline]]
name = "answer"
title = { vi = "Trả lời", en = "Answer" }
after = ["10/01"]
answered_by = ["21/18"]
within = "2wd"

[retention]
content = "10y"
record = "20y"

[personal_data]
paths = ["Application/TaxCode"]

[[example]]
message = "10/01"
from = "PORTAL"
to = ["AGENCY"]

[[example]]
message = "10/01"
from = "PORTAL"
facts = { weight = "0" }
refused_by = "weight-positive"

[[example]]
message = "21/18"
from = "AGENCY"
facts = { country = "VN" }
to = ["PORTAL", "CUSTOMS"]

[[example]]
message = "21/18"
from = "AGENCY"
facts = { country = "LA" }
to = ["PORTAL"]
"""


Edit = Callable[[str, str, str], None]
Faults = Callable[..., list[Problem]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of sound rules."""
    base = tmp_path / "shipped"
    (base / "procedures" / "M").mkdir(parents=True)
    (base / "rules.toml").write_text(RULES, "utf-8")
    (base / "parties.toml").write_text(PARTIES, "utf-8")
    (base / "procedures" / "M" / "p.toml").write_text(PROCEDURE, "utf-8")
    return base


@pytest.fixture
def edit(folder: Path) -> Edit:
    """Replace a text in a file of the folder; the text must stand there."""

    def replace(name: str, old: str, new: str) -> None:
        path = folder / name
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), "utf-8")

    return replace


@pytest.fixture
def faults(folder: Path) -> Faults:
    """Load the folder, which must fail, and give its problems."""

    def load_broken(extra: Sequence[Path] = (), **known: frozenset[str]) -> list[Problem]:
        with pytest.raises(RulesInvalid) as raised:
            load([*extra, folder], **known)
        return list(raised.value.problems)

    return load_broken


@pytest.fixture
def rules(folder: Path) -> RuleSet:
    """The sound rules, loaded."""
    return load([folder])
