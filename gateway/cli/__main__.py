"""python -m gateway.cli: the command line."""

from .main import run

run()
