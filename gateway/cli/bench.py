"""nsw bench: the figures, as ratios in one run; benchmarks/NAME.py of the source tree."""

import importlib.util
from pathlib import Path
from typing import Annotated, Any

import typer

import gateway
from gateway.errors import Code, Problem, Unavailable

from .output import GOOD, NOT_AVAILABLE, REFUSED, emit, people, refuse


def bench(
    name: Annotated[str, typer.Argument(help="Which benchmark: intake, end-to-end, outbox, attachments, outage, trust, ledger.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Measure; ends with 0 only if every target is met, 3 where the benchmark is not here."""
    path = Path(gateway.__file__).parents[1] / "benchmarks" / f"{name.replace('-', '_')}.py"
    if not path.is_file():
        refuse(Unavailable(Code.UNAVAILABLE, Problem(text="cli.bench-missing", path=str(path))), as_json=as_json)
    result = {"name": name, **_load(path).measure()}
    good = all(target["ok"] for target in result["targets"])
    if as_json:
        emit(result)
    else:
        _print(result)
    raise typer.Exit(GOOD if good else REFUSED)


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"benchmarks.{path.stem}", path)
    if spec is None or spec.loader is None:
        raise typer.Exit(NOT_AVAILABLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _print(result: dict[str, Any]) -> None:
    console = people()
    for figure, value in result["figures"].items():
        console.print(f"  {figure:<44} {value}")
    for target in result["targets"]:
        sign = "[green]✓[/]" if target["ok"] else "[red]✗[/]"
        console.print(f"{sign} {target['name']:<44} {target['value']} ({'≥' if target['at_least'] else '≤'} {target['bound']})")
