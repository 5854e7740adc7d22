"""Staff mend what a ministry that is down cannot take; partners tell what they saw."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from gateway.testing.client import ask
from gateway.testing.contents import Consignment
from gateway.testing.journey import Traveller
from gateway.testing.world import World, until
from gateway.xml.parse import parse

REASON = "Bộ tạm ngừng thủ tục này"


@pytest.fixture
def stuck(world: World, traveller: Traveller) -> Iterator[Consignment]:
    """An application that the ministry does not take, because it is down."""
    world.agencies["agriculture"].control(mode="down")
    consignment = traveller.application()
    assert traveller.send(consignment).function == "99"
    until(lambda: [d for d in traveller.deliveries(consignment.file_code) if d["state"] == "retrying"], "a failed attempt")
    yield consignment
    world.agencies["agriculture"].control(mode="up")


def order(world: World, path: str, body: Mapping[str, object]) -> Any:
    reply = world.gateway.ask("POST", path, body=json.dumps(body).encode(), headers={"content-type": "application/json"})
    assert reply.status in (200, 201), reply.body
    return json.loads(reply.body)


def act(world: World, traveller: Traveller, about: Consignment, name: str, **body: object) -> Any:
    """Do an act once the delivery is not just being tried; its connection was cut, so the ministry may have the message."""

    def refused() -> bool:
        status, reply = ask_for(world, traveller, about, name, body)
        return status == 409 and reply["errors"][0]["code"] == "mending.perhaps-taken"

    def done() -> Any:
        status, reply = ask_for(world, traveller, about, name, {**body, "accept_duplicate": True})
        return reply if status == 200 else None  # OK

    until(refused, f"{name} refused as long as nobody accepts a duplicate")
    return until(done, f"{name} done")


def ask_for(world: World, traveller: Traveller, about: Consignment, name: str, body: Mapping[str, object]) -> tuple[int, Any]:
    """Ask for an act, and give its status and answer."""
    (delivery,) = [d for d in traveller.deliveries(about.file_code) if d["party"] == "BNN"]
    path = f"/api/v1/deliveries/{delivery['id']}/{name}"
    reply = world.gateway.ask("POST", path, body=json.dumps(body).encode(), headers={"content-type": "application/json"})
    return reply.status, json.loads(reply.body)


def arrivals(world: World, agency: str, about: Consignment, kind: str) -> list[Any]:
    report: Any = world.agencies[agency].report()
    return [line for line in report["arrivals"] if str(line["about"]).split()[1:3] == [kind, f"{about.file_code}/2026"]]


def test_sender_learns_which_message_did_not_reach_whom_and_why(world: World, traveller: Traveller, stuck: Consignment) -> None:
    done = act(world, traveller, stuck, "return", reason=REASON)

    (line,) = until(lambda: arrivals(world, "portal", stuck, "10/00"), "the notice at the portal")
    envelope = parse(until(lambda: ask(f"{world.agencies['portal'].url}/_effects/{line['id']}").body, "the notice taken"))
    text = "".join(str(part) for part in envelope.itertext())
    assert (done["state"], done["cause"]) == ("cancelled", f"returned: {REASON}")
    assert REASON in text
    assert "VNSW-GW" in text
    assert "ERR00_CODE" in text


def test_redirected_message_reaches_the_other_party_under_its_own_id(world: World, traveller: Traveller, stuck: Consignment) -> None:
    act(world, traveller, stuck, "redirect", party="TCHQ", reason=REASON)

    (line,) = until(lambda: arrivals(world, "customs", stuck, "10/01"), "the application at customs")
    (message,) = traveller.messages(reference=stuck.file_code, state="accepted")
    assert line["id"] == message["message_id"]
    assert {d["party"]: d["state"] for d in traveller.deliveries(stuck.file_code) if d["party"] == "BNN"} == {"BNN": "cancelled"}


def test_server_carries_a_job_out_and_shows_its_progress(world: World, traveller: Traveller, stuck: Consignment) -> None:
    (delivery,) = traveller.deliveries(stuck.file_code)
    choice = {"message": delivery["message"], "state": "retrying"}

    job = order(world, "/api/v1/jobs", {"act": "cancel", "choice": choice, "reason": REASON})
    done = until(lambda: (found := world.gateway.get(f"/api/v1/jobs/{job['id']}"))["state"] == "done" and found, "the job done")

    (shown,) = traveller.deliveries(stuck.file_code)
    assert done["done"] + done["skipped"] == done["total"]
    assert (shown["state"] == "cancelled") == (done["done"] == 1)


def test_what_was_exchanged_is_shown_as_kept(world: World, traveller: Traveller, stuck: Consignment) -> None:
    (delivery,) = traveller.deliveries(stuck.file_code)

    shown = world.gateway.get(f"/api/v1/deliveries/{delivery['id']}")
    request = world.gateway.ask("GET", f"/api/v1/deliveries/{delivery['id']}/exchange?part=request")

    assert shown["attempts"][0]["number"] == 1
    assert request.status == 200  # OK
    assert stuck.file_code.encode() in request.body
