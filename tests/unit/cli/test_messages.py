"""nsw messages: search, the whole story of one, and a new life for dead deliveries, beside a running server."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.bootstrap import build, open_store
from gateway.config import Settings
from gateway.lifecycle import Accepted, Delivered, Failed, Outcome, next_step
from gateway.model import MessageId, PartyCode, RetryPolicy, uuid7
from gateway.security.signer import sign_system
from gateway.store.engine import open_database
from gateway.testing import builders
from gateway.testing.applicant import party_key
from gateway.testing.contents import Consignment

Run = Callable[..., Any]

OUTCOMES: dict[str, Outcome] = {
    "IPPC": Failed(code="http-503", final=True),
    "TCHQ": Failed(code="refused", final=True),
    "NSW": Delivered(reference="77"),
    "BNN": Accepted(reference="88", ask_again_in=timedelta(hours=1)),
}


@pytest.fixture(scope="session")
def traded(tmp_path_factory: pytest.TempPathFactory, pki: Path) -> Path:
    """A home with an application under way, a certificate with two dead deliveries, and two refused arrivals."""
    home = tmp_path_factory.mktemp("traded")
    shutil.copytree(pki, home / "pki")
    hub = build(Settings(home=home, database_url="", rules=None, schemas=None))
    application = sign_system(builders.message("10/01"), party_key(home / "pki"))
    bodies = [builders.soap(payload) for payload in (application, builders.message("21/18"), b"<Envelope/>", b"<no")]
    for number, body in enumerate(bodies):
        now = datetime.now(UTC)
        arrival = replace(builders.arrival(body), id=MessageId(uuid7(now, bytes([number] * 10))), received_at=now)
        hub.intake.receive(arrival, hub.doors["vnsw"])
    for claim in hub.outbox.claim({PartyCode(code): 10 for code in OUTCOMES}):
        outcome = OUTCOMES[claim.party]
        step = next_step(claim.state, outcome, attempt=claim.attempt, policy=RetryPolicy(), now=datetime.now(UTC))
        hub.outbox.settle(claim, step, outcome, None)
    hub.stop()
    return home


@pytest.fixture
def beside(run: Run, home: Path, traded: Path) -> Run:
    """Run commands on a copy of that home."""
    shutil.rmtree(home)
    shutil.copytree(traded, home)
    return run


def find(run: Run, **wanted: str) -> str:
    """Give the id of the one message that is as wanted."""
    (row,) = [row for row in run("messages", "list", "--json").json["items"] if wanted.items() <= row.items()]
    return str(row["id"])


# --- list --------------------------------------------------------------------------------------------------------------


def test_list_shows_newest_first_in_the_shape_of_the_rest_interface(beside: Run) -> None:
    ran = beside("messages", "list", "--json")

    assert ran.code == 0
    assert ran.json.keys() == {"items", "next_cursor"}
    assert [(row["state"], row["code"], row["type"]) for row in ran.json["items"]] == [
        ("refused", "not-xml", None),
        ("refused", "procedure-unreadable", None),
        ("accepted", None, "21"),
        ("accepted", None, "10"),
    ]


def test_people_see_a_table_with_whole_ids_and_what_waits(beside: Run) -> None:
    out = beside("messages", "list").out

    assert find(beside, type="21") in out
    assert "BNN&PTNT0300002 21/18" in out
    assert "✓1 ✗2" in out
    assert "✗ not-xml" in out


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (("--state", "refused"), 2),
        (("--state", "accepted"), 2),
        (("--party", "TCHQ"), 1),
        (("--party", "BNN"), 2),
        (("--procedure", "BNN&PTNT0300002"), 2),
        (("--reference", Consignment().file_code), 2),
        (("--key", Consignment().tax_code), 1),
        (("--message-id", builders.message_id("10/01", Consignment())), 1),
        (("--since", "1h"), 4),
        (("--until", "1h"), 0),
        (("--since", "2020-01-01", "--until", "2020-01-02T03:04:05+07:00"), 0),
        (("--limit", "3"), 3),
    ],
)
def test_filters_choose(beside: Run, filters: tuple[str, ...], found: int) -> None:
    assert len(beside("messages", "list", *filters, "--json").json["items"]) == found


def test_cursor_gives_the_next_page(beside: Run) -> None:
    first = beside("messages", "list", "--limit", "3", "--json").json
    second = beside("messages", "list", "--limit", "3", "--cursor", first["next_cursor"], "--json").json

    assert (len(second["items"]), second["next_cursor"]) == (1, None)
    assert "--cursor" in beside("messages", "list", "--limit", "3").out


def test_nothing_found_is_said(beside: Run) -> None:
    ran = beside("messages", "list", "--reference", "none")

    assert (ran.code, ran.out) == (0, "There are no such messages.\n")


@pytest.mark.parametrize(
    "filters",
    [("--since", "soon"), ("--since", "9999999999d"), ("--state", "lost"), ("--limit", "0"), ("--limit", "501"), ("--limit", "x")],
)
def test_wrong_filters_are_wrong_usage(beside: Run, filters: tuple[str, ...]) -> None:
    assert beside("messages", "list", *filters).code == 2


def test_made_up_cursor_is_refused(beside: Run) -> None:
    ran = beside("messages", "list", "--cursor", "nonsense", "--json")

    assert (ran.code, ran.json["code"]) == (1, "not-found")


# --- show --------------------------------------------------------------------------------------------------------------


def test_show_tells_timeline_and_deliveries(beside: Run) -> None:
    ran = beside("messages", "show", find(beside, type="21"), "--json")

    assert ran.code == 0
    assert [moment["kind"] for moment in ran.json["timeline"]] == ["message.accepted", *["delivery.routed"] * 3, *["delivery.settled"] * 3]
    assert sorted((row["party"], row["state"]) for row in ran.json["deliveries"]) == [
        ("IPPC", "dead"),
        ("NSW", "delivered"),
        ("TCHQ", "dead"),
    ]


def test_people_read_the_story_in_words(beside: Run) -> None:
    out = beside("messages", "show", find(beside, type="21")).out

    assert "✓ accepted  BNN&PTNT0300002 21/18" in out
    assert "Accepted from BNN, deliveries made: 3" in out
    assert "IPPC, attempt 1: dead, set aside for staff (http-503)" in out
    assert "✗ TCHQ  dead, set aside for staff" in out
    assert "cause: refused" in out
    assert "partner's number: 77" in out
    assert "nsw deliveries replay " in out


def test_story_of_what_waits_says_when_it_goes_on(beside: Run) -> None:
    out = beside("messages", "show", find(beside, type="10")).out

    assert "… BNN  taken, its result is asked for later" in out
    assert "next: 2" in out


def test_refused_message_says_why_and_what_to_do(beside: Run) -> None:
    out = beside("messages", "show", find(beside, code="procedure-unreadable")).out

    assert "✗ refused" in out
    assert "Refused (procedure-unreadable)" in out
    assert "/Envelope/Header" in out


def test_story_is_told_in_vietnamese_too(beside: Run) -> None:
    out = beside("--lang", "vi", "messages", "show", find(beside, type="21")).out

    assert "Đã nhận từ BNN, tạo 3 lượt giao" in out
    assert "bị gác lại (http-503)" in out


def test_unknown_message_is_refused(beside: Run) -> None:
    ran = beside("messages", "show", "nothing", "--json")

    assert (ran.code, ran.json["code"]) == (1, "not-found")


def test_id_of_a_delivery_leads_to_its_message(beside: Run) -> None:
    message = find(beside, type="21")
    delivery = beside("messages", "show", message, "--json").json["deliveries"][0]["id"]

    ran = beside("messages", "show", delivery)

    assert ran.code == 1
    assert f"Use the id of its message: {message}" in ran.err


# --- replay ------------------------------------------------------------------------------------------------------------


def test_replay_gives_every_dead_delivery_a_new_life(beside: Run) -> None:
    message = find(beside, type="21")

    ran = beside("messages", "replay", message, "--json")

    assert ran.code == 0
    assert (ran.json["message"], ran.json["replayed"]) == (message, 2)
    assert sorted((row["party"], row["state"], row["attempt"]) for row in ran.json["deliveries"]) == [
        ("IPPC", "queued", 0),
        ("TCHQ", "queued", 0),
    ]
    last = beside("messages", "show", message, "--json").json["timeline"][-1]
    assert (last["kind"], last["values"]["by"].partition(":")[0]) == ("staff.replayed", "cli")


def test_second_replay_finds_nothing_dead(beside: Run) -> None:
    message = find(beside, type="21")

    assert "Dead deliveries given a new life: 2." in beside("messages", "replay", message).out
    again = beside("messages", "replay", message)

    assert (again.code, again.out) == (0, "! No delivery of this message is dead.\n")


def test_replay_of_an_unknown_message_is_refused(beside: Run) -> None:
    assert beside("messages", "replay", "nothing").code == 1


def test_replay_works_while_a_server_holds_the_database(beside: Run, home: Path) -> None:
    database = open_database(Settings(home=home).database)

    ran = beside("messages", "replay", find(beside, type="21"), "--json")

    database.close()
    assert ran.json["replayed"] == 2


# --- the database ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("list",), ("show", "x"), ("replay", "x")])
def test_no_database_is_not_available_and_none_is_made(run: Run, home: Path, command: tuple[str, ...]) -> None:
    ran = run("messages", *command, "--json")

    assert ran.code == 3
    assert ran.json["errors"][0]["code"] == "store.absent"
    assert not (home / "gateway.db").exists()


def test_file_that_is_no_database_is_not_available(run: Run, home: Path) -> None:
    (home / "gateway.db").write_bytes(b"nothing of the kind" * 100)

    assert run("messages", "list").code == 3


def test_database_of_another_version_is_not_available(run: Run, home: Path) -> None:
    (home / "gateway.db").touch()

    ran = run("messages", "list")

    assert ran.code == 3
    assert "older release" in ran.err


@pytest.mark.parametrize(("address", "code"), [("oracle://somewhere/db", 2), ("sqlite://", 2), ("nonsense", 2), ("postgresql://x/y", 3)])
def test_other_kind_of_database_is_refused(run: Run, address: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSW_DATABASE_URL", address)

    assert run("messages", "list").code == code


def test_store_is_closed_after_use(traded: Path, tmp_path: Path) -> None:
    home = tmp_path / "copied"
    shutil.copytree(traded, home)

    with open_store(Settings(home=home)) as store:
        counted: Callable[[], object] = store.queries.counts
        assert counted()

    shutil.rmtree(home)
    assert not home.exists()
