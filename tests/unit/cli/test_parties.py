"""nsw parties: how each stands, and pausing one for a while, beside a running server."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.bootstrap import open_store
from gateway.config import Settings
from gateway.model import PartyCode
from gateway.store.migrate import upgrade

Run = Callable[..., Any]

PAUSE = ("--until", "2h", "--reason", "Bộ nâng cấp hệ thống")


@pytest.fixture
def beside(run: Run, home: Path) -> Run:
    """Run commands beside a database that is empty."""
    upgrade(Settings(home=home).database)
    return run


def away(home: Path, party: str) -> None:
    with open_store(Settings(home=home)) as store:
        store.destinations.exchange({PartyCode(party): True})


def listed(run: Run) -> dict[str, Any]:
    return {view["code"]: view for view in run("parties", "list", "--json").json["items"]}


def test_parties_are_listed_with_how_they_stand(beside: Run, home: Path) -> None:
    away(home, "BNN")

    views = listed(beside)

    assert {code: view["circuit"] for code, view in views.items()} == {"NSW": "closed", "BNN": "open", "TCHQ": "closed", "IPPC": "closed"}
    assert (views["IPPC"]["concurrency"], views["IPPC"]["waiting"], views["IPPC"]["paused_until"]) == (2, 0, None)


def test_people_read_it_in_a_table(beside: Run, home: Path) -> None:
    (home / "rules").mkdir()
    (home / "rules" / "endpoints.toml").write_text('[endpoints]\nNSW = "https://nsw"\nBNN = "https://bnn"\nTCHQ = "https://hq"\n', "utf-8")
    away(home, "BNN")
    beside("parties", "pause", "TCHQ", *PAUSE)

    lines = beside("parties", "list").out.splitlines()

    assert [line.split()[0] for line in lines] == ["Code", "NSW", "BNN", "TCHQ", "IPPC"]
    assert "served" in lines[1]
    assert "away since" in lines[2]
    assert "Bộ nâng cấp hệ thống" in lines[3]
    assert "no address yet" in lines[4]
    assert [view["addressed"] for view in listed(beside).values()] == [True, True, True, False]


@pytest.mark.parametrize("named", ["BNN", "MARD"])
def test_pause_is_known_with_its_end_its_author_and_its_reason(beside: Run, named: str) -> None:
    before = datetime.now(UTC)

    paused = beside("parties", "pause", named, *PAUSE, "--json").json

    end = datetime.fromisoformat(paused["paused_until"])
    assert timedelta(hours=2) <= end - before < timedelta(hours=2, minutes=1)
    assert (paused["code"], paused["paused_by"][:4], paused["reason"]) == ("BNN", "cli:", "Bộ nâng cấp hệ thống")
    assert listed(beside)["BNN"] == paused


def test_pause_until_a_moment(beside: Run) -> None:
    paused = beside("parties", "pause", "BNN", "--until", "2999-10-12T09:30+07:00", "--reason", "x", "--json").json

    assert paused["paused_until"] == "2999-10-12T02:30:00Z"


def test_resume_ends_a_pause(beside: Run) -> None:
    beside("parties", "pause", "BNN", *PAUSE)

    resumed = beside("parties", "resume", "BNN")

    assert (resumed.code, listed(beside)["BNN"]["paused_until"]) == (0, None)
    assert "BNN" in resumed.out


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("resume", "BNN"), 1, "outbox.not-paused"),
        (("pause", "XYZ", *PAUSE), 1, "web.no-party"),
        (("pause", "VNSW-GW", *PAUSE), 1, "web.no-party"),
        (("pause", "BNN", "--until", "2020-01-01", "--reason", "x"), 1, "outbox.pause-past"),
        (("pause", "BNN", "--until", "0m", "--reason", "x"), 1, "outbox.pause-past"),
    ],
)
def test_what_cannot_be_is_refused(beside: Run, arguments: tuple[str, ...], code: int, text: str) -> None:
    ran = beside("parties", *arguments, "--json")

    assert (ran.code, ran.json["errors"][0]["code"]) == (code, text)


@pytest.mark.parametrize("until", ["soon", "2026-13-01", "-1h", "h", "99999999999d"])
def test_time_that_is_none_is_wrong_usage(beside: Run, until: str) -> None:
    ran = beside("parties", "pause", "BNN", f"--until={until}", "--reason", "x")

    assert (ran.code, ran.out) == (2, "")
    assert "no time" in ran.err


@pytest.mark.parametrize("arguments", [("list",), ("pause", "BNN", *PAUSE), ("resume", "BNN")])
def test_without_a_database_it_is_not_available(run: Run, arguments: tuple[str, ...]) -> None:
    ran = run("parties", *arguments, "--json")

    assert (ran.code, ran.json["errors"][0]["code"]) == (3, "store.absent")
