"""Writes the reference pages that code knows best: settings.md from gateway/config.py, errors.md from the codes and texts.

Also puts the examples into the pages that show them. Run by `make docs`; a test fails where a page is not what this script would write.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from itertools import chain
from pathlib import Path

from pydantic.fields import FieldInfo

from gateway.config import Settings
from gateway.errors import Code
from gateway.protocols.vnsw.codes import FAULTS, field_code
from gateway.web.problems import STATUS, STATUS_OF_TEXT

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
TEXTS = ROOT / "gateway" / "texts"
WRITTEN = "<!-- Written by docs/generate.py (make docs). Change the source, not this page. -->\n"

# What each code means, for people; a code without a meaning stops the build.
MEANINGS: Mapping[Code, str] = {
    Code.NOT_SOAP: "what arrived at the SOAP door is not a SOAP call that it knows",
    Code.NOT_XML: "not XML, a DOCTYPE, an encoding that cannot be read",
    Code.SCHEMA: "the document is not what its schema or a business rule asks for; over HTTP also a parameter that is not as documented",
    Code.PROCEDURE_UNKNOWN: "no rule file declares this procedure, or none is in force on this day",
    Code.PROCEDURE_UNREADABLE: "the header does not say which procedure the message belongs to",
    Code.MESSAGE_UNKNOWN: "the procedure has no message of this type and function, or not from this sender",
    Code.CONTENT_EMPTY: "there is no business element in Content, or more than one",
    Code.SIGNATURE: "a signature is missing, malformed, wrong, or not by the one it must be by",
    Code.PARTY: "the sender is not registered, or may not send this",
    Code.CONFLICT: "the same message id or key was used for other content, or a state has moved on",
    Code.LIMIT: "larger, deeper or longer than the gateway takes",
    Code.NO_ROUTE: "the message is valid, but no route takes it",
    Code.NOT_FOUND: "there is no such message, delivery or document, or it is another party's",
    Code.NOT_ALLOWED: "the caller's key or certificate does not have the role",
    Code.RULES: "rule files or schemas do not pass their checks",
    Code.UNAVAILABLE: "ours to mend: database, disk, key, partner; send the same message again later",
}

FIELD_CODES: Mapping[str, str] = {
    "ERR00_CODE": "message invalid",
    "ERR01_CODE": "procedure not defined",
    "ERR02_CODE": "XML cannot be read, or fails its schema",
    "ERR03_CODE": "procedure cannot be read from the XML",
    "ERR04_CODE": "message type does not exist",
    "ERR05_CODE": "content empty or invalid",
}

AREAS: Mapping[str, str] = {
    "xml": "reading XML and SOAP",
    "schema": "schemas, and documents judged by them",
    "signature": "signatures, certificates, and who may send",
    "certificates": "the registry of certificates, requests and renewal",
    "routing": "rule files, procedures and routes",
    "vnsw": "the VNSW door",
    "wsdl": "typed SOAP calls to agencies",
    "ledger": "the ledger and its heads",
    "stamping": "time-stamps",
    "container": "evidence containers",
    "printed": "the report inside them",
    "outbox": "messages and deliveries",
    "cause": "why a delivery failed or waits",
    "mending": "repairs by staff",
    "store": "the database",
    "retention": "holds, purging and archives",
    "cipher": "encryption at rest",
    "attachments": "what comes beside documents",
    "transport": "calls to partners",
    "adapters": "adapters that are installed",
    "web": "the HTTP interface",
    "cli": "the command line",
}


def settings_page() -> str:
    """Write the page of settings."""
    rows = (_setting(name, field) for name, field in Settings.model_fields.items())
    return "".join(
        chain(
            [
                "# Settings\n\n",
                WRITTEN,
                "\n",
                _SETTINGS_INTRODUCTION,
                "| variable | accepted | default | what it is |\n|---|---|---|---|\n",
            ],
            rows,
            [_SETTINGS_END],
        )
    )


def errors_page() -> str:
    """Write the page of codes and texts."""
    return "".join(chain(["# Codes and messages\n\n", WRITTEN, "\n", _ERRORS_INTRODUCTION], _codes(), _field_codes(), _texts()))


def with_examples(page: str) -> str:
    """Fill every block that begins with `<!-- include: PATH -->` with that file."""
    return _INCLUDE.sub(lambda found: f"{found[1]}{(ROOT / found[2]).read_text('utf-8').rstrip()}\n```", page)


def pages() -> Iterator[Path]:
    """Find every page of the documentation."""
    yield from sorted(ROOT.glob("*.md"))
    yield from sorted((ROOT / "docs").rglob("*.md"))


def main() -> None:
    """Write what is to be written."""
    (REFERENCE / "settings.md").write_text(settings_page(), "utf-8")
    (REFERENCE / "errors.md").write_text(errors_page(), "utf-8")
    for page in pages():
        page.write_text(with_examples(page.read_text("utf-8")), "utf-8")


def _setting(name: str, field: FieldInfo) -> str:
    default = "" if field.default in (None, "") else f"`{str(field.default).lower() if field.annotation is bool else field.default}`"
    return f"| `NSW_{name.upper()}` | {_accepted(field)} | {default} | {_cell(field.description or '')} |\n"


def _accepted(field: FieldInfo) -> str:
    """Say in words what a setting takes."""
    if field.annotation is int:
        low = next(m.ge for m in field.metadata if hasattr(m, "ge"))
        high = next(m.le for m in field.metadata if hasattr(m, "le"))
        return f"{low} to {high}"
    if isinstance(field.annotation, type) and issubclass(field.annotation, StrEnum):
        return ", ".join(f"`{member}`" for member in field.annotation)
    if field.annotation is bool:
        return "true, false"
    return "text" if field.annotation is str else "path"


def _codes() -> Iterator[str]:
    yield "## Codes\n\n" + _table("code", "means", "VNSW", "HTTP")
    for code in Code:
        vnsw = "SOAP fault" if code in FAULTS else f"`{field_code(code)}`"
        yield f"| `{code}` | {MEANINGS[code]} | {vnsw} | {STATUS[code]} |\n"
    yield "\nSome problems with a request itself have an HTTP status of their own: "
    yield ", ".join(f"`{text}` {status}" for text, status in sorted(STATUS_OF_TEXT.items())) + ".\n"


def _field_codes() -> Iterator[str]:
    yield "\n## Codes of the field\n\nThe suffix `_CODE` is part of the code.\n\n" + _table("code", "the field says", "the gateway's codes")
    for name, meaning in FIELD_CODES.items():
        ours = ", ".join(f"`{code}`" for code in Code if code not in FAULTS and field_code(code) == name)
        yield f"| `{name}` | {meaning} | {ours} |\n"


def _texts() -> Iterator[str]:
    tables = [tomllib.loads(file.read_text("utf-8")) for file in TEXTS.glob("*.toml")]
    areas = {area: entries for table in tables for area, entries in table.items()}
    for area in (*AREAS, *sorted(areas.keys() - AREAS.keys())):
        if area in areas:
            yield f"\n## {area}{': ' * (area in AREAS)}{AREAS.get(area, '')}\n\n" + _table("code", "what it says", "what to do")
            for name, entry in areas[area].items():
                fix = f"{_cell(entry['vi_fix'])}<br>{_cell(entry['en_fix'])}" if "vi_fix" in entry else ""
                yield f"| `{area}.{name}` | {_cell(entry['vi'])}<br>{_cell(entry['en'])} | {fix} |\n"


def _table(*columns: str) -> str:
    return "".join(f"| {column} " for column in columns) + "|\n" + "|---" * len(columns) + "|\n"


def _cell(text: str) -> str:
    """Write text so that a table cell shows it as it is."""
    shown = text.strip().replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("|", "\\|")
    return shown.replace("*", "\\*").replace("\n", "<br>")


_INCLUDE = re.compile(r"(<!-- include: (\S+) -->\n```\w*\n).*?\n?^```$", re.DOTALL | re.MULTILINE)

_SETTINGS_INTRODUCTION = """\
Every setting is an environment variable. They are read once, at start; all mistakes are reported together, each with its variable and
the accepted form, and the command ends with exit code 2. No secret has a default. What a procedure, a party or a route is, is not a
setting: see [rules](rules.md).

"""

_SETTINGS_END = """
## What lies under NSW_HOME

| path | what it is |
|---|---|
| `gateway.db`, `gateway.db-wal`, `gateway.db-shm` | the database; back the three up together, or with SQLite's own `.backup` |
| `gateway.db.lock` | held by the one process that serves or works |
| `gateway.db.world`, `agencies/`, `logs/` | of a trial with `nsw demo --stay`; an installation has none |
| `keys/` | the keys of encryption at rest; without them neither database nor attachments can be read: back them up apart from both |
| `attachments/` | attachments on SQLite, encrypted; they belong to the database: back the two up together, the database first |
| `pki/` | the gateway's key and certificate, registered certificates, anchors; see [certs](../../certs/README.md) |
| `rules/` | files that override the shipped rules one by one, and `endpoints.toml` with the partners' addresses |
| `schemas/` | schemas that override the shipped ones |
| `heads/` | which heads of the ledger were mailed and witnessed; see [have heads witnessed](../howto/witness-heads.md) |
| `witness/` | heads of other gateways that this one witnessed or refused: evidence against them; nothing here is ever overwritten |
| `cache/` | revocation lists and OCSP answers that were fetched; what is lost is fetched again |
| `archive/` | archives of purged content, unless `NSW_ARCHIVE` says where; see [keep and purge](../howto/keep-and-purge.md) |

Everything there belongs to the user who runs the gateway, mode 0600 for files that hold keys.

## For tests only

| variable | what it is |
|---|---|
| `NSW_TEST_DATABASE_URL` | a database that tests may empty |
| `NSW_OUTSIDE_DATA` | samples from outside this project; without them the tests that need them are skipped, or fail where `CI=true` |
"""

_ERRORS_INTRODUCTION = """\
Why something was refused. A *code* is one of a few words; each protocol has its own table from them. A *problem* has a finer code, such
as `schema.missing`, a place, and a text in two languages that says what is wrong and what to do. Codes are public and are never renamed
or given another meaning; wording may improve any day. In the texts below, `{name}` stands for a value of the message at hand.

Where to meet them: in `ErrorList` of a VNSW reply ([VNSW](../protocol/VNSW.md)), in `errors` of a problem document
([REST](rest.md)), in the output of `nsw` ([commands](cli.md)), and in the state of a message or delivery.

"""

if __name__ == "__main__":
    main()
