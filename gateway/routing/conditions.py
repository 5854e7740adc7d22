"""Conditions in CEL: compiled and type-checked when rules are loaded, evaluated in microseconds when a message passes.

The variables: `procedure`, `message` ("21/18"), `sender` (a party's code), `reference` and `year` of the dossier, `facts`
(map of text to text: the first value of each declared fact that the message holds) and `keys` (map of text to list of text).
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from cel_expr_python import cel  # type: ignore[import-untyped]  # has stubs, lacks py.typed

from gateway.errors import Code, GatewayError, Problem

MAX_LENGTH = 500  # characters: longer is a table that wants to be several rules
MAX_NESTING = 2  # macros inside one another: each level multiplies the cost by the length of a list
MACROS = frozenset({"all", "exists", "exists_one", "existsOne", "filter", "map", "has"})

_MEMBERS = MACROS | {"size"}  # what may follow `facts.` and is no fact
_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*)
      | (?P<raw>[bB]?[rR][bB]?(?:\"\"\"[\s\S]*?\"\"\"|\'\'\'[\s\S]*?\'\'\'|"[^"\n]*"|'[^'\n]*'))
      | (?P<text>[bB]?(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|\'\'\'(?:\\.|[^\\])*?\'\'\'|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'))
      | (?P<name>[A-Za-z_]\w*)
      | (?P<mark>[^\s\w])""",
    re.VERBOSE,
)


class ConditionInvalid(GatewayError):
    """A condition that does not compile, does not give a truth value, or goes over a limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A compiled condition; `text` as written."""

    text: str
    program: cel.Expression

    def holds(self, values: Mapping[str, object]) -> bool | None:
        """Say whether it holds; None where it cannot be told, for example because a fact it names is not in the message."""
        answer = self.program.eval(data=values).value()
        return answer if isinstance(answer, bool) else None


class Conditions:
    """The language of conditions: its variables and their types."""

    def __init__(self) -> None:
        """Declare the variables."""
        text = cel.Type.STRING
        self._env = cel.NewEnv(
            variables={
                **dict.fromkeys(("procedure", "message", "sender", "reference", "year"), text),
                "facts": cel.Type.Map(text, text),
                "keys": cel.Type.Map(text, cel.Type.List(text)),
            },
        )

    def compile(self, text: str, *, facts: Collection[str], keys: Collection[str]) -> Condition:
        """Compile a condition that may name these facts and keys; raises ConditionInvalid."""
        _refuse_excess(text)
        try:
            program = self._env.compile(text)
        except RuntimeError as error:
            raise _invalid("condition-syntax", detail=_first_line(str(error))) from error
        if program.return_type() != cel.Type.BOOL:
            raise _invalid("condition-not-truth", found=program.return_type().name())
        _refuse_undeclared(text, {"facts": facts, "keys": keys})
        return Condition(text=text, program=program)


def _refuse_excess(text: str) -> None:
    if len(text) > MAX_LENGTH:
        raise _invalid("condition-long", length=str(len(text)), limit=str(MAX_LENGTH))
    if (depth := nesting(text)) > MAX_NESTING:
        raise _invalid("condition-deep", depth=str(depth), limit=str(MAX_NESTING))


def nesting(text: str) -> int:
    """Count how deep macros stand inside one another."""
    deepest, open_macros, previous = 0, [False], ""
    for mark in _tokens(text):
        if mark == "(":
            open_macros.append(previous in MACROS)
            deepest = max(deepest, sum(open_macros))
        elif mark == ")" and len(open_macros) > 1:
            open_macros.pop()
        previous = mark
    return deepest


def _refuse_undeclared(text: str, declared: Mapping[str, Collection[str]]) -> None:
    tokens = _tokens(text)
    for table, mark, name in zip(tokens, tokens[1:], tokens[2:], strict=False):
        named = name.strip("'\"") if mark == "[" and name[0] in "'\"" else name if mark == "." else None
        if table in declared and named is not None and named not in declared[table] and named not in _MEMBERS:
            raise _invalid("condition-undeclared", table=table, name=named, known=", ".join(sorted(declared[table])) or "-")


def _tokens(text: str) -> list[str]:
    return [m.group() for m in _TOKEN.finditer(text) if m.lastgroup != "comment"]


def _first_line(message: str) -> str:
    """Take CEL's own words without its preamble: 'ERROR: <input>:1:10: Syntax error: ...'."""
    line = next((part for part in message.splitlines() if "<input>" in part), message)
    return line.partition("<input>:")[2] or line


def _invalid(name: str, /, **values: str) -> ConditionInvalid:
    return ConditionInvalid(Code.RULES, Problem(text=f"routing.{name}", values=values))
