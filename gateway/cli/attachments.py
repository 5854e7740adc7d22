"""nsw attachments: the store of attachments; works beside a running server."""

from datetime import timedelta
from typing import Annotated

import typer
from rich.text import Text

from gateway.bootstrap import open_attachments
from gateway.errors import GatewayError
from gateway.outbox.attachments.collecting import GRACE, Collected, collect

from .output import GOOD, REFUSED, AsJson, emit, paragraph, people, refuse, say, settings

app = typer.Typer(no_args_is_help=True, help="Attachments: collect what no message refers to.")

Hours = Annotated[float, typer.Option("--older-than", metavar="HOURS", min=1, help="Only what nobody has touched for so long.")]


@app.callback()
def attachments() -> None:
    """Take what concerns every command of the group."""


@app.command("collect")
def collected(*, older_than: Hours = GRACE / timedelta(hours=1), as_json: AsJson = False) -> None:
    """Remove what no message refers to: broken uploads, and content whose last message was purged. A server does so by itself.

    Ends with 1 where something could not be removed; the next run tries again.
    """
    removed = 0
    try:
        with open_attachments(settings()) as keeping:
            found = Collected(removed=1)
            while found.removed and not found.failed:
                found = collect(keeping, older_than=timedelta(hours=older_than))
                removed += found.removed
    except GatewayError as error:
        refuse(error, as_json=as_json)
    if as_json:
        emit({"ok": not found.failed, "removed": removed, "failed": found.failed})
    else:
        told = say("attachments-collected", removed=f"{removed:,}", failed=f"{found.failed:,}")
        paragraph(
            people(), Text(f"{'!' if found.failed else '✓'} {told}", style="yellow" if found.failed else "green"), indent=0, hanging=2
        )
    raise typer.Exit(REFUSED if found.failed else GOOD)
