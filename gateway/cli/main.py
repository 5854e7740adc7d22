"""nsw: the command line. Exit codes: 0 good, 1 refused or not valid, 2 wrong usage, 3 not available."""

import typer

from . import certs, demo, serve

app = typer.Typer(name="nsw", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.command()(serve.serve)
app.command()(serve.work)
app.command()(demo.demo)
app.add_typer(certs.app, name="certs")


def run() -> None:
    """Run the command line."""
    app()
