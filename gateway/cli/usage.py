"""What is wrong with how a command was called, in the language to speak: the library's own words are English."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import typer
from pydantic import ValidationError
from typer.core import TyperArgument, TyperOption
from typer.exceptions import TyperException

from gateway.config import wanted
from gateway.errors import Problem

from .files import reason_of
from .output import NOT_AVAILABLE, USAGE, aside, reject, say, tell

_NAMED = (  # what the library tells by its words only
    (re.compile(r"No such command '(.*)'"), "cli.usage-command"),
    (re.compile(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)"), "cli.usage-extra"),
    (re.compile(r"No such option: ([^ ]+)"), "cli.usage-option"),
    (re.compile(r"Option '(.+)' (?:requires|does not take)"), "cli.usage-bare"),
)


@contextmanager
def told() -> Iterator[None]:
    """End with 2 and what was wrong where the library finds the command called wrongly; its help passes.

    Ends with 3 where the system refuses what no command can do without, such as its output on a full disk.
    """
    try:
        yield
    except TyperException as error:
        if error.exit_code != USAGE or type(error).__name__ == "NoArgsIsHelpError":
            raise
        reject(_problem(error))
    except OSError as error:
        if error.errno == errno.EPIPE:  # whoever read the output has enough
            raise
        with suppress(OSError):  # its words may have nowhere to go either
            tell(aside(), [Problem(text="cli.system", path=error.filename, values={"reason": reason_of(error)})])
        raise typer.Exit(NOT_AVAILABLE) from error


def _problem(error: TyperException) -> Problem:
    param, context = getattr(error, "param", None), getattr(error, "ctx", None)
    see = f"{context.command_path if context else 'nsw'} --help"
    if isinstance(param, (TyperArgument, TyperOption)):
        return _of_parameter(error, param, see)
    for words, text in _NAMED:
        if found := words.match(error.message):
            return Problem(text=text, values={"found": found[1], "see": see})
    return Problem(text="cli.usage-other", values={"found": error.message, "see": see})


def _of_parameter(error: TyperException, param: TyperArgument | TyperOption, see: str) -> Problem:
    name = param.opts[0] if isinstance(param, TyperOption) else param.display_name_raw
    kind = param.type_descriptor
    if type(error).__name__ == "MissingParameter":
        return Problem(text="cli.usage-missing", values={"found": name, "see": see})
    if kind.choices:
        bound = ", ".join(str(getattr(choice, "value", choice)) for choice in kind.choices)
        return Problem(text="settings.choice", path=name, values={"bound": bound, "see": see})
    if isinstance(error.__cause__, ValidationError):
        found = error.__cause__.errors()[0]
        return wanted(found["type"], found.get("ctx", {}), path=name, see=see)
    if kind.is_path:  # the one thing that it looks at before we do
        return Problem(text="cli.file-not-read", path=name, values={"reason": say("reason-denied")})
    return Problem(text="cli.usage-other", path=name, values={"found": error.message, "see": see})
