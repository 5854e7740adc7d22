"""nsw deliveries: one delivery's history, each act on one or many, and jobs that a second person approves."""

import pwd
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.bootstrap import build, open_store
from gateway.cli import jobs
from gateway.config import Settings
from gateway.lifecycle import Failed, State, Step, next_step
from gateway.model import MessageId, PartyCode, Reply, Request, RetryPolicy, uuid7
from gateway.testing import builders
from gateway.testing.contents import Consignment

Run = Callable[..., Any]

DEAD = 3
REASON = "Đã xử lý bằng giấy"


@pytest.fixture(scope="session")
def stuck(tmp_path_factory: pytest.TempPathFactory, pki: Path) -> Path:
    """A home with three certificates, each dead on its way to customs after one attempt, and waiting for the others."""
    home = tmp_path_factory.mktemp("stuck")
    shutil.copytree(pki, home / "pki")
    hub = build(Settings(home=home, database_url="", rules=None, schemas=None))
    for number in range(DEAD):
        now = datetime.now(UTC)
        body = builders.soap(builders.message("21/18", Consignment(number=number)))
        arrival = replace(builders.arrival(body), id=MessageId(uuid7(now, bytes([number] * 10))), received_at=now)
        hub.intake.receive(arrival, hub.doors["vnsw"])
    outcome = Failed(code="timeout", final=True)
    for claim in hub.outbox.claim({PartyCode("TCHQ"): DEAD}):
        hub.outbox.note(claim, Request(endpoint="http://x", action="", body=b"<asked/>"))
        step = next_step(claim.state, outcome, attempt=claim.attempt, policy=RetryPolicy(), now=datetime.now(UTC))
        hub.outbox.settle(claim, step, outcome, Reply(status=504, body=b"<late/>"))
    hub.stop()
    return home


@pytest.fixture
def beside(run: Run, home: Path, stuck: Path) -> Run:
    """Run commands on a copy of that home."""
    shutil.rmtree(home)
    shutil.copytree(stuck, home)
    return run


@pytest.fixture
def ids(beside: Run) -> list[str]:
    """The ids of what is dead."""
    return [row["id"] for row in beside("deliveries", "list", "--state", "dead", "--json").json["items"]]


def state(run: Run, delivery: str) -> str:
    return str(run("deliveries", "show", delivery, "--json").json["state"])


# --- looking -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (("--state", "dead"), DEAD),
        (("--party", "TCHQ"), DEAD),
        (("--cause", "time"), DEAD),
        (("--cause", "http"), 0),
        (("--procedure", "BNN&PTNT0300002", "--party", "TCHQ"), DEAD),
        (("--party", "TCHQ", "--since", "1h"), DEAD),
        (("--until", "1h"), 0),
        (("--route", "no-such"), 0),
        (("--state", "dead", "--limit", "2"), 2),
    ],
)
def test_filters_choose(beside: Run, filters: tuple[str, ...], found: int) -> None:
    assert len(beside("deliveries", "list", *filters, "--json").json["items"]) == found


def test_people_see_a_table_with_whole_ids_and_the_next_page(beside: Run, ids: list[str]) -> None:
    out = beside("deliveries", "list", "--state", "dead", "--limit", "2").out

    assert all(each in out for each in ids[:2])
    assert "timeout" in out
    assert "--cursor" in out
    assert "no such deliveries" in beside("deliveries", "list", "--party", "NOBODY").out


def test_show_tells_attempts_and_what_happened(beside: Run, ids: list[str]) -> None:
    shown = beside("deliveries", "show", ids[0], "--json").json
    out = beside("deliveries", "show", ids[0]).out

    assert [(a["number"], a["outcome"], a["code"], a["status"]) for a in shown["attempts"]] == [(1, "failed", "timeout", 504)]
    assert [moment["kind"] for moment in shown["timeline"]] == ["delivery.routed", "delivery.sending", "delivery.settled"]
    assert "attempt 1: failed (timeout, HTTP 504)" in out


def test_show_says_that_the_party_may_have_it(beside: Run, home: Path, ids: list[str]) -> None:
    hub = build(Settings(home=home, database_url="", rules=None, schemas=None))
    (claim,) = hub.outbox.claim({PartyCode("NSW"): 1})
    hub.outbox.note(claim, Request(endpoint="http://x", action="", body=b"<asked/>"))
    silent = Failed(code="timeout", final=True)
    hub.outbox.settle(claim, next_step(claim.state, silent, attempt=1, policy=RetryPolicy(), now=datetime.now(UTC)), silent, None)
    hub.stop()

    words = "may have it: it left, and no clear answer came"
    assert beside("deliveries", "show", claim.delivery, "--json").json["perhaps_taken"] is True
    assert f"NSW {words}" in beside("deliveries", "show", claim.delivery).out
    assert beside("deliveries", "show", ids[0], "--json").json["perhaps_taken"] is False
    assert words not in beside("deliveries", "show", ids[0]).out


def test_content_is_written_as_kept_and_the_ledger_says_who_looked(beside: Run, ids: list[str]) -> None:
    given = [beside("deliveries", "show", ids[0], "--content", part).raw for part in ("request", "reply")]
    shown = beside("deliveries", "show", ids[0], "--json").json

    assert given == [b"<asked/>", b"<late/>"]
    looked = [moment["values"] for moment in shown["timeline"] if moment["kind"] == "staff.looked"]
    assert [(values["part"], values["by"].partition(":")[0]) for values in looked] == [("request", "cli"), ("reply", "cli")]


def test_people_are_told_of_which_attempt_the_content_is(beside: Run, ids: list[str]) -> None:
    ran = beside("deliveries", "show", ids[0], "--content", "request")

    assert ran.raw == b"<asked/>"
    assert "attempt 1, sent at 20" in ran.err


def asked_in_vain(home: Path, *codes: str) -> str:
    """Probe the first that waits for the portal, once a code; gives its id."""
    hub = build(Settings(home=home, database_url="", rules=None, schemas=None))
    for code in codes:
        (claim,) = hub.outbox.claim({}, probes=frozenset({PartyCode("NSW")}))
        hub.outbox.note(claim, Request(endpoint="http://x", action="", body=b"<asked/>"))
        step = Step(to=State.RETRYING, due_at=datetime(2000, 1, 1, tzinfo=UTC), counts=False, reason=code)
        hub.outbox.settle(claim, step, Failed(code=code), None)
    hub.stop()
    return claim.delivery


def test_requests_to_a_partner_that_is_away_are_one_line(beside: Run, home: Path) -> None:
    delivery = asked_in_vain(home, *["refused"] * 7, "timeout")

    out = beside("deliveries", "show", delivery).out

    assert out.count("sending begins, attempt 1") == 1
    assert "(8 times, the last at 20" in out
    assert (out.count("(refused)"), out.count("attempt 1: deferred (timeout)")) == (1, 1)


def test_cause_is_explained_with_advice(beside: Run, home: Path) -> None:
    delivery = asked_in_vain(home, "refused")

    out = beside("deliveries", "show", delivery).out.replace("\n", " ")

    assert "cause: refused" in out
    assert "No connection to NSW: it was refused or there is no way there (refused)." in out
    assert "→ Check that the partner's service runs" in out
    assert [row["id"] for row in beside("deliveries", "list", "--cause", "refused", "--json").json["items"]] == [delivery]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("show", "no"), 1),
        (("replay", "no"), 1),
        (("jobs", "no"), 1),
        (("approve", "no"), 1),
        (("replay",), 1),
        (("show", "no", "--attempt", "1"), 2),
        (("cancel", "no"), 2),
        (("return", "--party", "TCHQ"), 2),
        (("return", "--party", "TCHQ", "--reason", "x", "--accept-duplicate"), 1),
        (("replay", "no", "--accept-duplicate"), 2),
        (("list", "--state", "lost"), 2),
        (("list", "--since", "yesterday"), 2),
        (("replay", "--party", "TCHQ", "--since", "yesterday"), 2),
    ],
)
def test_what_cannot_be_meant_is_refused(beside: Run, arguments: tuple[str, ...], code: int) -> None:
    ran = beside("deliveries", *arguments)

    assert ran.code == code
    assert ran.err
    assert not ran.out


def test_refusal_is_json_where_json_was_asked_for(beside: Run) -> None:
    ran = beside("deliveries", "replay", "no", "--json")

    assert (ran.code, ran.json["errors"][0]["code"]) == (1, "outbox.no-delivery")


# --- mending one -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "to"),
    [
        (("replay",), "queued"),
        (("cancel", "--reason", REASON), "cancelled"),
        (("return", "--reason", REASON), "cancelled"),
        (("return", "--reason", REASON, "--accept-duplicate"), "cancelled"),
        (("redirect", "--to", "NSW", "--reason", REASON), "dead"),  # the portal gets every certificate anyway
        (("correct", "--receiver", "HQ", "--header-version", "2.0"), "dead"),
        (("correct", "--receiver", "NSW"), "dead"),
    ],
)
def test_act_on_one_is_done_at_once(beside: Run, ids: list[str], arguments: tuple[str, ...], to: str) -> None:
    act, *options = arguments

    ran = beside("deliveries", act, ids[0], *options)

    assert state(beside, ids[0]) == to
    assert ran.code == (1 if "NSW" in options else 0)


def test_redirect_creates_the_successor(beside: Run, ids: list[str]) -> None:
    ran = beside("deliveries", "redirect", ids[0], "--to", "BNN", "--reason", REASON, "--json")

    assert (ran.code, ran.json["state"], ran.json["cause"]) == (0, "cancelled", f"redirected: {REASON}")
    (successor,) = beside("deliveries", "list", "--message", ran.json["message"], "--party", "BNN", "--json").json["items"]
    assert (successor["state"], successor["route"]) == ("queued", "redirected")
    assert f"delivery {successor['id']}" in beside("deliveries", "show", ids[0]).out.replace("\n", " ")
    assert (ran.json["to"], ran.json["successor"]) == ("BNN", successor["id"])


def test_people_are_told_what_an_act_made(beside: Run, ids: list[str]) -> None:
    redirected = beside("deliveries", "redirect", ids[0], "--to", "BNN", "--reason", REASON).out
    returned = beside("deliveries", "return", ids[1], "--reason", REASON, "--accept-duplicate", "--json").json

    (successor,) = [r["id"] for r in beside("deliveries", "list", "--party", "BNN", "--json").json["items"] if r["route"] == "redirected"]
    assert f"its successor, to BNN: {successor}" in redirected
    assert beside("messages", "show", returned["notice"]).code == 0


# --- mending many ------------------------------------------------------------------------------------------------------


def test_dry_run_counts_and_does_nothing(beside: Run, ids: list[str]) -> None:
    ran = beside("deliveries", "replay", "--party", "TCHQ", "--dry-run", "--json")

    assert ran.json == {"act": "replay", "total": DEAD, "skips": {}}
    assert f"{DEAD} deliveries" in beside("deliveries", "cancel", "--party", "TCHQ", "--reason", "x", "--dry-run").out
    assert {state(beside, each) for each in ids} == {"dead"}
    assert beside("deliveries", "jobs", "--json").json["items"] == []


@pytest.mark.parametrize(("options", "skips"), [((), {"mending.perhaps-taken": 1}), (("--accept-duplicate",), {})])
def test_dry_run_tells_what_would_be_refused(beside: Run, home: Path, options: tuple[str, ...], skips: dict[str, int]) -> None:
    would = ("deliveries", "return", asked_in_vain(home, "timeout"), "--reason", REASON, *options, "--dry-run")

    told, out = beside(*would, "--json").json, beside(*would).out

    assert told == {"act": "return", "total": 1, "skips": skips}
    assert f"would be for {1 - len(skips)} deliveries" in out
    assert ("it was sent, and no clear answer came" in out) is bool(skips)


def test_dry_run_of_what_is_not_known_is_refused(beside: Run) -> None:
    assert beside("deliveries", "replay", "no", "--dry-run", "--json").json["errors"][0]["code"] == "outbox.no-delivery"


def test_filter_is_carried_out_by_the_command_itself_where_no_server_runs(beside: Run, ids: list[str]) -> None:
    ran = beside("deliveries", "replay", "--party", "TCHQ", "--cause", "timeout", "--json")

    assert (ran.code, ran.json["state"], ran.json["total"], ran.json["done"]) == (0, "done", DEAD, DEAD)
    assert {state(beside, each) for each in ids} == {"queued"}


def test_what_was_passed_over_is_said_in_words(beside: Run, ids: list[str]) -> None:
    beside("deliveries", "replay", ids[0])

    out = beside("deliveries", "replay", *ids).out

    assert f"done {DEAD - 1} of {DEAD}, passed over 1" in out
    assert "1: Delivery … is …" in out


def test_detached_job_is_left_to_a_server(beside: Run, ids: list[str], home: Path) -> None:
    ran = beside("deliveries", "replay", "--party", "TCHQ", "--detach", "--json")
    assert (ran.json["state"], ran.json["done"], state(beside, ids[0])) == ("running", 0, "dead")

    with open_store(Settings(home=home)) as store:
        jobs.carry_out(store, store.mending.job(ran.json["id"]), quiet=True)

    assert state(beside, ids[0]) == "queued"


def test_jobs_are_listed_paused_resumed_and_stopped(beside: Run) -> None:
    job = beside("deliveries", "replay", "--party", "TCHQ", "--detach", "--json").json["id"]

    states = [beside("deliveries", act, job, "--json").json["state"] for act in ("pause", "resume", "stop")]

    assert states == ["paused", "running", "cancelled"]
    assert beside("deliveries", "pause", job).code == 1
    assert job in beside("deliveries", "jobs").out
    assert beside("deliveries", "jobs", job, "--json").json["state"] == "cancelled"
    assert beside("deliveries", "jobs", "--state", "running", "--json").json["items"] == []
    assert "no jobs" in beside("deliveries", "jobs", "--state", "paused").out


# --- a second person ---------------------------------------------------------------------------------------------------


def test_proposal_is_approved_by_another_account_only(beside: Run, ids: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSW_FOUR_EYES", "bulk")
    _sit_down(monkeypatch, "lan")
    proposed = beside("deliveries", "replay", "--party", "TCHQ", "--json").json
    monkeypatch.setenv("LOGNAME", "hoa")  # a name that anybody can take
    own = beside("deliveries", "approve", proposed["id"], "--json")
    _sit_down(monkeypatch, "hoa")
    other = beside("deliveries", "approve", proposed["id"], "--json")

    assert (proposed["state"], own.code, own.json["errors"][0]["code"]) == ("proposed", 1, "mending.own-proposal")
    assert (other.json["state"], other.json["proposed_by"], other.json["approved_by"]) == ("running", "cli:lan", "cli:hoa")
    assert state(beside, ids[0]) == "dead"


def _sit_down(monkeypatch: pytest.MonkeyPatch, account: str) -> None:
    monkeypatch.setattr("pwd.getpwuid", lambda number: pwd.struct_passwd((account, "x", number, number, "", "/", "/bin/sh")))


def test_people_are_told_who_must_approve(beside: Run, ids: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSW_FOUR_EYES", "all")

    out = beside("deliveries", "replay", ids[0]).out

    assert "nsw deliveries approve " in out
    assert state(beside, ids[0]) == "dead"


def test_whoever_approves_is_shown_the_order_as_it_was_given(beside: Run, ids: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSW_FOUR_EYES", "all")
    redirected = ("redirect", ids[0], "--to", "BNN", "--reason", REASON, "--accept-duplicate")
    corrected = ("correct", "--party", "TCHQ", "--state", "dead", "--since", "2026-01-01", "--receiver", "TCHQ", "--header-version", "2.0")
    jobs = [beside("deliveries", *given, "--json").json for given in (redirected, corrected)]

    one, many = (beside("deliveries", "jobs", job["id"]).out for job in jobs)

    assert shlex.join(["nsw", "deliveries", *redirected]) in one
    assert [job["accept_duplicate"] for job in jobs] == [True, False]
    for option in ("correct", "--party TCHQ", "--state dead", "--since 2026-01-01T", "--receiver TCHQ", "--header-version 2.0"):
        assert option in many


def test_replay_of_a_message_is_no_way_around_it(beside: Run, ids: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSW_FOUR_EYES", "all")
    message = beside("deliveries", "show", ids[0], "--json").json["message"]

    ran = beside("messages", "replay", message, "--json")

    assert (ran.json["state"], ran.json["choice"]) == ("proposed", {"message": message, "state": "dead"})
    assert state(beside, ids[0]) == "dead"


def test_setting_that_is_not_known_is_refused(beside: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSW_FOUR_EYES", "three")

    ran = beside("deliveries", "list")

    assert (ran.code, "NSW_FOUR_EYES" in ran.err) == (2, True)
