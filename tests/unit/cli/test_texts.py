"""Everything the command line says has its text, and every text is said."""

import re
import tomllib
from importlib import resources
from pathlib import Path

import gateway.cli
import gateway.testing
from gateway.cli.messages import MessageState
from gateway.cli.story import EVENTS
from gateway.lifecycle import State
from gateway.outbox.holds import KINDS
from gateway.outbox.orders import JobState
from gateway.store.migrate import Level

TEXTS = tomllib.loads((resources.files("gateway") / "texts" / "cli.toml").read_text("utf-8"))["cli"]
SOURCES = "\n".join(path.read_text("utf-8") for path in sorted(Path(str(resources.files(gateway.cli))).glob("*.py")))
PLAYED = "\n".join(path.read_text("utf-8") for path in sorted(Path(str(resources.files(gateway.testing))).glob("*.py")))


def used() -> set[str]:
    """Names in the sources: whole ones, and those made of a kind."""
    whole = re.findall(r'"cli\.([a-z0-9-]+)"', SOURCES) + re.findall(r"(?:say|misuse)\(\s*[\"']([a-z0-9-]*[a-z0-9])[\"']", SOURCES)
    chosen = re.findall(r'"((?:certs|deliveries|retention|schemas|verify|routes|sign|crl|keys|reason|usage)-[a-z-]+)"', SOURCES)
    examined = re.findall(r'_(?:good|warning|failed)\("([a-z]+)", "([a-z-]+)"', SOURCES)
    doctor = {f"doctor-{part}" for pair in examined for part in pair} | {"doctor-certificates", "doctor-schemas", "doctor-rules"}
    chosen += ["certificate-not-read"]
    chosen += [f"journey-{step}" for step in re.findall(r'Step\(name="([a-z]+)"', PLAYED)] + re.findall(r'"cli\.([a-z0-9-]+)"', PLAYED)
    columns = re.findall(r"(?:for column in |columns ?= ?)\(([^)]*)\)", SOURCES)
    chosen += re.findall(r'none="([a-z-]+)"', SOURCES)
    headers = {f"column-{name}" for group in columns for name in re.findall(r'"([a-z]+)"', group)}
    facts = {f"story-{name}" for name in re.findall(r'yield "([a-z-]+)",', SOURCES)} | {"story-timeline", "story-deliveries"}
    acts = {"deliveries-redirect", "deliveries-return"}
    states = {f"state-{state}" for state in (*State, *MessageState)} | {f"job-{state}" for state in JobState}
    verdicts = {f"routes-{v}" for v in ("chosen", "condition-false", "condition-unknown", "back-to-sender", "party-served")}
    kinds = {f"retention-{kind}" for kind in (*KINDS, "content", "record")} | {f"db-{level}" for level in Level}
    events = {f"event-{kind.replace('.', '-')}" for kind in EVENTS}
    return {*whole, *chosen, *doctor, *headers, *facts, *states, *verdicts, *kinds, *events, *acts, "verify-valid", "verify-invalid"}


def test_everything_that_is_said_has_its_text() -> None:
    assert used() - TEXTS.keys() == set()


def test_every_text_is_said() -> None:
    assert TEXTS.keys() - used() == set()
