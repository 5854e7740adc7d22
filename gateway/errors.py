"""What can go wrong: the codes, the problems that explain them, and the exceptions that carry both.

    GatewayError                 a refusal the other side can act on; has a Code and Problems
    ├── NotReadable              not SOAP, not XML, over a limit: nothing inside can be trusted
    ├── NotProven                a signature, a certificate or the right to send is missing or wrong
    ├── NotValid                 schema, procedure, message type or content
    ├── Conflict                 the same key with other content, or a state that has moved on
    │   └── StaleClaim           another worker holds this delivery now
    └── Unavailable              ours to mend: try again later (database, disk, partner)

Codes are public and never renamed. Wording lives in gateway/texts/*.toml, one entry a problem, one line a language.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib import resources

_NEAREST = re.compile(r"[;.] [^;.{]*\{near\}")  # the clause that names what is near


class Code(StrEnum):
    """Why something was refused, in words of the gateway; each protocol has its own table from these to its codes."""

    NOT_SOAP = "not-soap"
    NOT_XML = "not-xml"
    SCHEMA = "schema"
    PROCEDURE_UNKNOWN = "procedure-unknown"
    PROCEDURE_UNREADABLE = "procedure-unreadable"
    MESSAGE_UNKNOWN = "message-unknown"
    CONTENT_EMPTY = "content-empty"
    SIGNATURE = "signature"
    PARTY = "party"
    CONFLICT = "conflict"
    LIMIT = "limit"
    NO_ROUTE = "no-route"
    NOT_FOUND = "not-found"
    NOT_ALLOWED = "not-allowed"
    RULES = "rules"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong: which text explains it, where it is, and the values the text names.

    `text` is a key of gateway/texts ("signature.digest"); `path` an element path or file place; `line` counts from 1.
    `values` may quote the sender's own document: they go into answers, never into logs.
    """

    text: str
    path: str | None = None
    line: int | None = None
    values: Mapping[str, str] = field(default_factory=dict)


class GatewayError(Exception):
    """A refusal that the other side can act on; raises nothing itself and holds no document content in str()."""

    def __init__(self, code: Code, *problems: Problem) -> None:
        """Keep the code and what explains it; at least one problem."""
        super().__init__(f"{code}: {', '.join(p.text for p in problems)}")
        self.code = code
        self.problems = problems


class NotReadable(GatewayError):
    """The bytes could not be opened: not SOAP, not XML, a DOCTYPE, over a limit."""


class NotProven(GatewayError):
    """A signature, a certificate or the right to send is missing or wrong."""


class NotValid(GatewayError):
    """The document is not what its procedure asks for."""


class Conflict(GatewayError):
    """The same key with other content, or a state that has moved on."""


class StaleClaim(Conflict):
    """Another worker holds this delivery now; whatever this one did must not be written."""


class Unavailable(GatewayError):
    """Ours to mend; the caller may try again with the same message."""


@cache
def _texts() -> Mapping[str, Mapping[str, str]]:
    """Read every text once: key -> language -> template; a fix has the suffix `_fix`."""
    folder = resources.files("gateway") / "texts"
    tables = (tomllib.loads(f.read_text("utf-8")) for f in folder.iterdir() if f.name.endswith(".toml"))
    return {f"{area}.{name}": entry for table in tables for area, entries in table.items() for name, entry in entries.items()}


def explain(problem: Problem, language: str) -> str:
    """Say what is wrong in a language ("vi", "en"), the problem's values filled in."""
    return _fill(problem, language)


def remedy(problem: Problem, language: str) -> str:
    """Say what to do about it in a language; empty where the text has no advice."""
    return _fill(problem, f"{language}_fix")


def _fill(problem: Problem, variant: str) -> str:
    template = _texts().get(problem.text, {}).get(variant, "" if variant.endswith("_fix") else problem.text)
    if problem.values.get("near") == "-":
        template = _NEAREST.sub("", template)
    return template.format_map(_Blank(problem.values))


class _Blank(dict[str, str]):
    """A missing value reads as an ellipsis, so that a text never fails at refusal time."""

    def __missing__(self, key: str) -> str:
        return "…"
