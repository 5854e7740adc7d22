"""A page of what was found: the options that ask for it, and how it is printed."""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, TypeVar

import typer
from rich.table import Table
from rich.text import Text

from gateway.store.queries import MAX_PAGE, Page

from .output import people, say, show_table

T = TypeVar("T")

Cursor = Annotated[str | None, typer.Option(metavar="CURSOR", help="The page after this one: next_cursor of the page before.")]
Limit = Annotated[int, typer.Option(min=1, max=MAX_PAGE, help="Rows of a page.")]


def print_page(page: Page[T], *, none: str, columns: Sequence[str], cells: Callable[[T], Iterable[str | Text]]) -> None:
    """Print rows under their columns, or say that there are none, and how to get the next ones."""
    console = people()
    if not page.items:
        console.print(say(none))
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(say(f"column-{column}"), no_wrap=True)
    for row in page.items:
        table.add_row(*cells(row))
    show_table(console, table)
    if page.next_cursor:
        console.print(Text(say("messages-more", cursor=page.next_cursor), style="dim"))
