"""nsw evidence: write everything that proves a message into one file, and verify such a file without gateway, database or network."""

from collections.abc import Sequence
from io import SEEK_END
from pathlib import Path
from typing import Annotated

import typer
from rich.cells import set_cell_size
from rich.console import Console
from rich.text import Text

from gateway.bootstrap import open_store
from gateway.errors import GatewayError, Problem, explain, remedy
from gateway.evidence.packing import MAX_BYTES
from gateway.evidence.verify import Check, Verdict, verify_container
from gateway.security import certificates
from gateway.security.certificates import Certificate

from .asking import asker
from .files import read_small, reading, writing
from .output import GOOD, REFUSED, AsJson, emit, language, misuse, paragraph, people, refuse, say, settings

app = typer.Typer(no_args_is_help=True, help="Evidence: one file that proves a message's whole history, to whoever has it.")
TITLE_CELLS = 24  # of a check's title; the longest in either language

Messages = Annotated[list[str], typer.Argument(metavar="ID...", help="The gateway's ids of messages, as 'nsw messages list' shows them.")]
Output = Annotated[Path, typer.Option("--output", metavar="FILE", help="Where the container goes, such as evidence.asice.")]
Attachments = Annotated[
    bool, typer.Option("--attachments/--no-attachments", help="With the attachments themselves, or with their digests alone.")
]
Container = Annotated[Path, typer.Argument(metavar="FILE", help="A container that 'nsw evidence export' wrote.")]
Trusted = Annotated[
    list[Path] | None,
    typer.Option("--trust", metavar="PEM", help="The gateway's certificate or its authority's: whoever leads to it may have sealed this."),
]
Also = Annotated[
    list[Path] | None,
    typer.Option("--also", metavar="PEM", help="A time-stamp authority's or a partner's: for stamps and answers, never for the seal."),
]


@app.command()
def export(messages: Messages, *, output: Output, attachments: Attachments = True, as_json: AsJson = False) -> None:
    """Write documents, attachments, receipts, what was exchanged, the ledger's proof and a report into one signed container."""
    try:
        with open_store(settings()) as store, writing(output) as file:
            store.evidence.export(messages, file, by=asker(), attachments=attachments)
            size = file.seek(0, SEEK_END)
    except GatewayError as error:
        refuse(error, as_json=as_json)
    if as_json:
        emit({"messages": list(dict.fromkeys(messages)), "file": str(output), "bytes": size})
    else:
        told = say("evidence-written", count=str(len(set(messages))), file=str(output), bytes=f"{size:,}")
        paragraph(people(), Text(f"✓ {told}", style="green"), indent=0, hanging=2)


@app.command()
def verify(file: Container, *, trust: Trusted = None, also: Also = None, as_json: AsJson = False) -> None:
    """Verify a container with nothing but the file and trust anchors. Ends with 1 where any check fails."""
    if not trust:
        misuse("evidence-trust")
    trusted, others = ([c for path in paths or () for c in _certificates(path)] for paths in (trust, also))
    with reading(file, MAX_BYTES) as container:
        verdict = verify_container(container, trusted, others)
    if as_json:
        emit(verdict.as_json(language()))
    else:
        _print(people(), str(file), verdict)
    raise typer.Exit(GOOD if verdict.valid else REFUSED)


def _certificates(path: Path) -> Sequence[Certificate]:
    data = read_small(path)
    try:
        return certificates.read_pem(data) if b"-----BEGIN" in data else (certificates.read(data),)
    except ValueError:
        misuse("certificate-not-read", path=path)


def _print(console: Console, name: str, verdict: Verdict) -> None:
    facts = {"files": str(len(verdict.files)), "messages": ", ".join(verdict.messages) or "-"}
    told = say("evidence-good", **facts) if verdict.valid else say("evidence-bad", **facts)
    sign, style = ("✓", "green") if verdict.valid else ("✗", "bold red")
    paragraph(console, Text(f"{sign} {name}: {told}", style=style), indent=0, hanging=2)
    for check in verdict.checks:
        _print_check(console, check)
    for file in (name for name, passed in verdict.files.items() if not passed):
        paragraph(console, Text.assemble(("✗ ", "red"), file), indent=2, hanging=2)


def _print_check(console: Console, check: Check) -> None:
    spoken = language()
    sign, style = (("✗", "red"), "bold") if not check.passed else (("!", "yellow"), "") if check.doubtful else (("✓", "green"), "dim")
    title = set_cell_size(explain(Problem(text=f"container.check-{check.number}"), spoken), TITLE_CELLS)
    paragraph(
        console, Text.assemble(sign, f" {check.number:>2} {title} ", (check.detail(spoken), style)), indent=2, hanging=TITLE_CELLS + 6
    )
    for advice in dict.fromkeys(filter(None, (remedy(problem, spoken) for problem in check.problems))):
        paragraph(console, Text.assemble(("→ ", "cyan"), (advice, "green")), indent=7, hanging=2)
