"""nsw demo: one real journey, with simulated agencies, observed from outside."""

import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from gateway.config import Settings
from gateway.errors import Code, GatewayError, Problem, Unavailable
from gateway.testing.journey import Played, play
from gateway.testing.process import NotReadyError
from gateway.testing.world import World

from .output import GOOD, REFUSED, aside, emit, language, people, refuse, say, settings


def demo(
    *,
    stay: Annotated[bool, typer.Option("--stay", help="Use NSW_HOME and NSW_PORT, and keep serving until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output; the steps go to standard error.")] = False,
) -> None:
    """Play the journey; ends with 0 only if every step was seen from outside."""
    chosen, spoken = settings(), {"NSW_LANGUAGE": language()}
    os.umask(0o077)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C does: ends what was started, and leaves no folder behind
    home = chosen.home.absolute() if stay else Path(tempfile.mkdtemp(prefix="nsw-demo-"))
    try:
        world = World(home, port=_port(chosen), environment={**spoken, **_own(chosen)}) if stay else World(home, environment=spoken)
        raise typer.Exit(_play(world, stay=stay, as_json=as_json))
    except NotReadyError as error:
        for line in str(error).splitlines():
            aside().print(line, markup=False)
        refuse(Unavailable(Code.UNAVAILABLE, Problem(text="cli.demo-not-ready")), as_json=as_json)
    except GatewayError as error:
        refuse(error, as_json=as_json, ours=True)
    finally:
        if not stay:
            shutil.rmtree(home, ignore_errors=True)


def _own(chosen: Settings) -> Mapping[str, str]:
    """Give the folders of rules and schemas that a new agency is tried out with."""
    return {"NSW_RULES": str(chosen.rule_folder.absolute()), "NSW_SCHEMAS": str(chosen.schema_folder.absolute())}


def _play(world: World, *, stay: bool, as_json: bool) -> int:
    console = aside() if as_json else people()
    with world:
        _addresses(world, console)
        played = []
        for step in play(world, first=int(time.time()) % 10_000_000):
            played.append(step)
            console.print(_line(step))
        good = all(step.ok for step in played)
        if as_json:
            emit(_report(world, played, good=good))
        if stay:
            console.print()
            console.print(f"[bold]{world.gateway.url}[/]  {say('demo-stop')}")
            _wait_for_signal()
        return GOOD if good else REFUSED


def _report(world: World, played: list[Played], *, good: bool) -> dict[str, object]:
    steps = [{"name": s.name, "ok": s.ok, "ms": s.ms, "detail": s.detail} for s in played]
    counts = [len(world.gateway.get(f"/api/v1/{what}?limit=100")["items"]) for what in ("messages", "deliveries")] if good else [0, 0]
    return {"ok": good, "steps": steps, "messages": counts[0], "deliveries": counts[1]}


def _line(step: Played) -> str:
    sign = "[green]✓[/]" if step.ok else "[red]✗[/]"
    return f"{sign} {say(f'journey-{step.name}')}  [dim]{step.ms} ms · {escape(step.detail)}[/]"


def _addresses(world: World, console: Console) -> None:
    url = world.gateway.url
    rows = (
        ("VNSW SOAP", f"{url}/ws"),
        ("WSDL", f"{url}/ws/gateway.wsdl"),
        ("REST", f"{url}/api/v1"),
        ("OpenAPI", f"{url}/docs"),
        ("Health", f"{url}/health/ready"),
        ("Metrics", f"{url}/metrics"),
        *((f"⤷ {name}", agency.url) for name, agency in world.agencies.items()),
    )
    widest = max(len(name) for name, _ in rows)
    for name, address in rows:
        console.print(f"  {name:<{widest}} {address}")


def _port(chosen: Settings) -> int:
    """Take the port that was asked for; a free one where somebody else has it and none was asked for by name."""
    if "port" in chosen.model_fields_set:
        return chosen.port
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((chosen.host, chosen.port))
        except OSError:
            return 0
    return chosen.port


def _wait_for_signal() -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
