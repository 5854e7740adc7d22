"""What commands about messages and deliveries ask for alike: a time, and who is asking."""

import os
import pwd
from datetime import datetime, timedelta

from gateway.installed import now

from .output import misuse

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def moment(text: str | None) -> datetime | None:
    """Read a time, or how long ago; one without a zone is the terminal's. Ends with 2 where it is neither."""
    if text is None:
        return None
    if text[:-1].isdecimal() and text[-1:] in _UNITS and len(text) <= len("99999d"):
        return now() - timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        misuse("messages-time", found=text)


def asker() -> str:
    """Name the account that runs the command, as the ledger knows it; never by the environment, which says whatever one likes."""
    try:
        return f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:  # an account without a name, as in containers
        return "cli:-"
