"""What can be wrong with an installation: each examination looks at one thing and tells what it saw."""

import os
import platform
import re
import shutil
import socket
import sqlite3
import ssl
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from lxml import etree

from gateway.bootstrap import open_store
from gateway.config import Settings, unknown
from gateway.errors import GatewayError, Problem
from gateway.evidence.copies import last_of
from gateway.evidence.heads import SignedHead
from gateway.installed import discover, load_schemas, own_key
from gateway.routing.rules import RuleSet, check
from gateway.routing.suggest import nearest
from gateway.security.exemptions import exemptions
from gateway.security.expiry import notices
from gateway.security.holdings import Holding, holdings
from gateway.transport.http import library
from gateway.web.keys import read_file
from gateway.xml.shipped import shipped

from .listeners import listener

OLDEST_PYTHON = (3, 11)
OLDEST_SQLITE = (3, 35)  # the first that gives back what an UPDATE changed
NEEDED_DISK, LITTLE_DISK = 256 * 2**20, 2 * 2**30  # bytes: a day of a small gateway; a week of a busy one
AHEAD = timedelta(minutes=5)  # what the clocks of one network may differ by
EARLIEST = datetime.fromisoformat("2026-01-01T00:00:00+00:00")  # before this release: a clock that shows less was never set
REACH_SECONDS = 1.0
KIBI = 1024
MAX_REASON = 200  # characters of a foreign error

_OWN = re.compile(r"\bnsw\b|\bgateway\.cli\b")

State = Literal["good", "warning", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one examination saw: `name` is documented and never renamed, `told` says it in words."""

    name: str
    state: State
    told: Problem


def examine(settings: Settings, *, at: datetime) -> Iterator[Finding]:
    """Examine one thing after another; what cannot be examined is a finding too, so nothing is raised."""
    yield _python()
    yield _libraries()
    yield from _settings()
    yield _home(settings)
    yield _disk(settings)
    yield _clock(at)
    yield from _database(settings, at)
    yield from _certificates(settings, at)
    yield from _keys(settings)
    yield _heads(settings, at)
    yield from _data(settings, at)
    yield _port(settings)


# --- programs ----------------------------------------------------------------------------------------------------------


def _python() -> Finding:
    values = {"version": platform.python_version(), "program": sys.executable}
    good = sys.version_info >= OLDEST_PYTHON
    return _good("python", "version", **values) if good else _failed("python", "python-old", **values)


def _libraries() -> Finding:
    """Name the C libraries that do the work, and the versions in use."""
    openssl = ssl.OPENSSL_VERSION.removeprefix("OpenSSL ").partition(" ")[0]
    versions = (
        f"libxml2 {'.'.join(map(str, etree.LIBXML_VERSION))}",
        library(),
        f"OpenSSL {openssl}",
        f"cryptography {version('cryptography')}",
        f"SQLite {sqlite3.sqlite_version}",
    )
    listed = ", ".join(versions)
    good = sqlite3.sqlite_version_info >= OLDEST_SQLITE
    return _good("libraries", "list", listed=listed) if good else _failed("libraries", "sqlite-old", listed=listed)


def _settings() -> Iterator[Finding]:
    """Tell of settings that set nothing; without any there is nothing to say."""
    names = [f"NSW_{name.upper()}" for name in Settings.model_fields]
    for found in unknown():
        yield _warning("settings", "setting-unknown", path=found, near=nearest(found, names))


# --- the machine -------------------------------------------------------------------------------------------------------


def _home(settings: Settings) -> Finding:
    home = settings.home.absolute()
    if not home.exists() and os.access(_existing(home), os.W_OK | os.X_OK):
        return _good("home", "home-new", folder=str(home))
    if not home.is_dir() or not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        return _failed("home", "home-closed", path=str(home))
    exposed = [folder for folder in (settings.home / "keys", settings.pki) if _is_open(home) and _is_open(folder)]
    if exposed:
        return _warning("home", "home-open", path=str(exposed[0]))
    return _good("home", "home-good", folder=str(home))


def _is_open(folder: Path) -> bool:
    """Say whether accounts other than the owner and his group may enter a folder."""
    return folder.is_dir() and bool(folder.stat().st_mode & stat.S_IXOTH)


def _disk(settings: Settings) -> Finding:
    free = shutil.disk_usage(_existing(settings.home.absolute())).free
    values = {"free": _size(free)}
    if free < NEEDED_DISK:
        return _failed("disk", "disk-full", **values)
    return _warning("disk", "disk-low", **values) if free < LITTLE_DISK else _good("disk", "disk-good", **values)


def _clock(at: datetime) -> Finding:
    values = {"at": at.astimezone().isoformat(sep=" ", timespec="seconds")}
    return _good("clock", "clock-good", **values) if at >= EARLIEST else _failed("clock", "clock-early", **values)


def _port(settings: Settings) -> Finding:
    """Say whether the port is free, or who has it; a gateway of this very installation is good news."""
    address = f"{settings.host}:{settings.port}"
    if settings.port == 0:
        return _good("port", "port-any")
    if not _taken(settings):
        return _good("port", "port-free", address=address)
    program = listener(settings.port)
    values = {"address": address, "program": f"{program.command} (pid {program.pid})" if program else "?"}
    ours = program is not None and _OWN.search(program.command)
    return _good("port", "port-ours", **values) if ours else _warning("port", "port-taken", **values)


def _taken(settings: Settings) -> bool:
    try:
        with socket.create_connection((settings.host, settings.port), timeout=REACH_SECONDS):
            return True
    except OSError:
        return False


# --- what is kept ------------------------------------------------------------------------------------------------------


def _database(settings: Settings, at: datetime) -> Iterator[Finding]:
    try:
        with open_store(settings) as store:
            newest = store.queries.messages(limit=1).items
            counts = store.queries.counts()
    except GatewayError as error:
        problem = error.problems[0]
        yield Finding(name="database", state="warning" if problem.text == "store.absent" else "failed", told=problem)
        return
    dead = sum(number for (_, state), number in counts.deliveries.items() if state == "dead")
    values = {"messages": str(sum(counts.messages.values())), "dead": str(dead)}
    if newest and newest[0].received_at > at + AHEAD:
        yield _failed("database", "clock-behind", at=newest[0].received_at.isoformat(sep=" ", timespec="seconds"))
    elif dead:
        yield _warning("database", "database-dead", **values)
    else:
        yield _good("database", "database-good", **values)


def _certificates(settings: Settings, at: datetime) -> Iterator[Finding]:
    found = holdings(settings.pki, at=at, own_key=own_key(settings))
    for problem in found.problems:
        yield Finding(name="certificates", state="failed", told=problem)
    for held in found.certificates:
        if held.state != "good":
            yield _ending(held)
    if found.good and all(held.state == "good" for held in found.certificates):
        days = min((held.days for held in found.certificates), default=0)
        yield _good("certificates", "certificates-good", count=str(len(found.certificates)), days=str(days))


def _ending(held: Holding) -> Finding:
    values = {"subject": held.certificate.subject, "days": str(held.days), "until": f"{held.certificate.not_after:%Y-%m-%d}"}
    if held.valid:
        return _warning("certificates", "certificate-soon", **values)
    return _failed("certificates", "certificate-out", **values)


def _keys(settings: Settings) -> Iterator[Finding]:
    """Read the file of API keys as a server does at its start; without one there is nothing to say."""
    if settings.api_keys is None:
        return
    try:
        count = len(read_file(settings.api_keys))
    except GatewayError as error:
        yield from (Finding(name="keys", state="failed", told=problem) for problem in error.problems)
    else:
        yield _good("keys", "api-keys-good", path=str(settings.api_keys), count=str(count))


def _heads(settings: Settings, at: datetime) -> Finding:
    """Say whether the ledger's heads leave the house: as long as none do, whoever owns database and key may write history anew."""
    kept = settings.heads_kept
    if not kept:
        return _warning("heads", "heads-off")
    try:
        with open_store(settings) as store:
            newest = store.ledger.newest()
        last = {name: last_of(path) for name, path in kept.items()}
    except GatewayError as error:
        return Finding(name="heads", state="warning", told=error.problems[0])
    behind = [
        name for name, copy in last.items() if newest and _is_behind(copy.signed if copy else None, newest, _patience(settings, name), at)
    ]
    if behind:
        return _warning("heads", "heads-behind", places=", ".join(behind))
    return _good("heads", "heads-good", places=", ".join(kept))


def _patience(settings: Settings, place: str) -> timedelta:
    return timedelta(seconds=2 * (settings.heads_mail_every if place == "mail" else settings.heads_every))


def _is_behind(last: SignedHead | None, newest: SignedHead, patience: timedelta, at: datetime) -> bool:
    """Say whether a head should have gone out long ago: since the last one did, or since there is one at all."""
    if last is None:
        return at - newest.head.at > patience
    return last.head.size < newest.head.size and at - last.head.at > patience


def _data(settings: Settings, at: datetime) -> Iterator[Finding]:
    """Examine adapters, schemas and rules, each of which the next one needs."""
    try:
        adapters = frozenset(discover())
    except Exception as error:  # noqa: BLE001  # an adapter is somebody else's program, and may fail in any way
        yield _failed("adapters", "adapters-broken", reason=f"{type(error).__name__}: {error}"[:MAX_REASON])
        return
    yield _good("adapters", "adapters-good", names=", ".join(sorted(adapters)))
    try:
        schemas = load_schemas(settings)
    except GatewayError as error:
        yield from (Finding(name="schemas", state="failed", told=problem) for problem in error.problems)
        return
    yield _good("schemas", "schemas-good", count=str(len(schemas.names())), version=schemas.version)
    report = check((settings.rule_folder, shipped("routing_rules")), schemas=schemas.names(), adapters=adapters)
    yield from (Finding(name="rules", state="failed", told=problem) for problem in report.problems)
    if report.passed and report.rules:
        yield _good("rules", "rules-good", version=report.rules.version, count=str(report.procedures))
        yield _parties(settings, report.rules)
        ending = notices(exemptions(report.rules.parties, at=at))
        yield from (Finding(name="parties", state="warning", told=problem) for problem in ending)


def _parties(settings: Settings, rules: RuleSet) -> Finding:
    """Say which parties cannot be reached."""
    silent = [party.code for party in rules.parties if party.adapter and not party.endpoint and not party.collects]
    if silent:
        path = settings.rule_folder / "endpoints.toml"
        return _warning("parties", "parties-silent", path=str(path), parties=", ".join(silent))
    return _good("parties", "parties-good", count=str(len(rules.parties)))


# --- findings ----------------------------------------------------------------------------------------------------------


def _good(name: str, text: str, *, path: str = "", **values: str) -> Finding:
    return Finding(name=name, state="good", told=Problem(text=f"cli.doctor-{text}", path=path or None, values=values))


def _warning(name: str, text: str, *, path: str = "", **values: str) -> Finding:
    return replace(_good(name, text, path=path, **values), state="warning")


def _failed(name: str, text: str, *, path: str = "", **values: str) -> Finding:
    return replace(_good(name, text, path=path, **values), state="failed")


def _existing(path: Path) -> Path:
    """Give the nearest folder above that is there."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _size(number: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < KIBI:
            return f"{number:.0f} {unit}"
        number /= KIBI
    return f"{number:.1f} TiB"
