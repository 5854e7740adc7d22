"""Partners that are down, slow, wrong or refuse, against a running gateway with a short retry policy; seen from outside."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from adapters.ephyto_hub.simulator import SIMULATOR as HUB
from adapters.ephyto_hub.simulator import Pace, hub
from gateway.outbox.circuit import OPEN_AFTER
from gateway.security.signer import sign_person, sign_system
from gateway.testing import builders
from gateway.testing.applicant import declarant_key, party_key
from gateway.testing.client import post
from gateway.testing.contents import Consignment
from gateway.testing.journey import DECISIONS, Traveller
from gateway.testing.simulator import RunningSimulator
from gateway.testing.vnsw import SOAP_REQUEST, read_answer
from gateway.testing.world import World, until
from gateway.xml.shipped import shipped

pytestmark = pytest.mark.slow

ATTEMPTS, CONCURRENCY = 3, 4
PATIENT = f"""
retry = {{ first = "1s", longest = "2s", attempts = {ATTEMPTS} }}
limits = {{ concurrency = {CONCURRENCY}, timeout = "2s" }}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A world of its own, whose ministry is given up after three attempts and after two seconds each."""

    world: World
    traveller: Traveller

    def agency(self, name: str) -> RunningSimulator:
        return self.world.agencies[name]

    def apply(self) -> Consignment:
        """Send an application that is accepted."""
        consignment = self.traveller.application()
        assert self.traveller.send(consignment).function == "99"
        return consignment

    def say(self, envelope: bytes) -> None:
        """Bring a message of the ministry or of the portal in."""
        reply = post(f"{self.world.gateway.url}/ws", builders.soap(envelope), SOAP_REQUEST)
        answer = read_answer(reply.body)
        assert answer.function == "99", answer

    def certificate(self, about: Consignment, *changes: tuple[bytes, bytes]) -> None:
        """Let the ministry issue a certificate about a dossier of nobody else's."""
        envelope = builders.message("21/18", about, under=replace(builders.header("21/18", about), id=str(uuid4())))
        for old, new in changes:
            assert old in envelope
            envelope = envelope.replace(old, new)
        self.say(envelope)

    def deliveries(self, about: Consignment, party: str) -> list[Mapping[str, Any]]:
        return [d for d in self.traveller.deliveries(about.file_code) if d["party"] == party]

    def states(self, abouts: Sequence[Consignment], party: str) -> list[str]:
        return [d["state"] for about in abouts for d in self.deliveries(about, party)]

    def wait(self, state: str, about: Consignment, party: str) -> Mapping[str, Any]:
        """Wait for the newest delivery about a dossier to come into a state."""
        return until(lambda: next((d for d in self.deliveries(about, party) if d["state"] == state), None), f"{party} {state}")

    def effects(self, agency: str, about: Consignment) -> list[str]:
        """The kinds of the messages about a dossier that took effect at an agency, in their order."""
        report: Any = self.agency(agency).report()
        seen: dict[str, str] = {str(line["id"]): str(line["about"]) for line in report["arrivals"]}
        abouts = (seen[i].split() for i in report["effects"])
        return [found[1] for found in abouts if len(found) > 2 and found[2].startswith(about.file_code + "/")]

    def order(self, path: str, order: object = None) -> tuple[int, Any]:
        body = b"" if order is None else json.dumps(order).encode()
        reply = post(self.world.gateway.url + path, body, {"content-type": "application/json"})
        return reply.status, json.loads(reply.body)


@pytest.fixture(scope="module")
def running_scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    home = tmp_path_factory.mktemp("delivery")
    (home / "rules").mkdir()
    parties = (shipped("routing_rules") / "parties.toml").read_text("utf-8")
    patient = re.sub(r'(code = "BNN"\n)', lambda found: found[1] + PATIENT, parties, count=1)
    (home / "rules" / "parties.toml").write_text(patient, "utf-8")
    with World(home) as world:
        yield Scene(world=world, traveller=Traveller(world=world, first=1))


@pytest.fixture
def scene(running_scene: Scene) -> Iterator[Scene]:
    """Lend the scene; afterwards every agency is as it was."""
    yield running_scene
    running_scene.agency("ephyto_hub").simulator = HUB
    for agency in running_scene.world.agencies.values():
        agency.control(mode="up", delay_ms=0)


def nsw(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8", "NSW_HOME": str(home)}
    command = [sys.executable, "-m", "gateway.cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)


# --- away and back ---------------------------------------------------------------------------------------------------


def test_a_partner_that_is_away_or_hangs_delays_nobody_else(scene: Scene) -> None:
    scene.agency("agriculture").control(mode="slow", delay_ms=1_800)
    scene.agency("customs").control(mode="down")
    waiting = [scene.apply() for _ in range(12)]
    about = scene.traveller.application()

    scene.certificate(about)

    until(lambda: scene.effects("portal", about) == ["21/18"], "the certificate at the portal")
    assert "queued" in scene.states(waiting, "BNN")  # the ministry still has its own behind it
    assert scene.states([about], "TCHQ") != ["delivered"]


def test_an_outage_longer_than_every_retry_burns_no_attempts_and_ends_by_itself(scene: Scene, record_property: Any) -> None:
    ministry = scene.agency("agriculture")
    scene.wait("delivered", scene.apply(), "BNN")  # so that no failure of before counts
    ministry.control(mode="down")
    waiting = [scene.apply() for _ in range(10)]
    until(lambda: sum(d["attempt"] for w in waiting for d in scene.deliveries(w, "BNN")) >= OPEN_AFTER, "the circuit open")
    time.sleep(6)  # longer than three attempts take

    attempts = [d["attempt"] for w in waiting for d in scene.deliveries(w, "BNN")]
    back = time.monotonic()
    ministry.control(mode="up")

    assert set(scene.states(waiting, "BNN")) <= {"queued", "retrying", "sending"}
    assert sum(attempts) <= OPEN_AFTER + CONCURRENCY + 1  # those that opened it, those under way then, and one probe at this moment
    until(lambda: any(scene.effects("agriculture", w) for w in waiting), "the first delivery", seconds=15)
    record_property("first_delivery_after_seconds", round(time.monotonic() - back, 1))
    until(lambda: scene.states(waiting, "BNN") == ["delivered"] * 10, "all deliveries")
    assert [scene.effects("agriculture", w) for w in waiting] == [["10/01"]] * 10


def test_a_partner_that_answers_garbage_is_tried_again_and_then_set_aside(scene: Scene) -> None:
    scene.agency("agriculture").control(mode="wrong")
    about = scene.apply()

    dead = scene.wait("dead", about, "BNN")

    assert (dead["attempt"], dead["cause"]) == (ATTEMPTS, "reply-unreadable")


def test_garbage_after_an_outage_ends_the_outage_and_is_tried_again_by_policy(scene: Scene) -> None:
    ministry = scene.agency("agriculture")
    ministry.control(mode="down")
    waiting = [scene.apply() for _ in range(OPEN_AFTER + 1)]
    until(lambda: "retrying" in scene.states(waiting, "BNN"), "a delivery that nobody took")
    ministry.control(mode="wrong")

    until(lambda: set(scene.states(waiting, "BNN")) == {"dead"}, "all set aside after their attempts")

    about = [str(arrival["about"]) for arrival in ministry.context.journal.arrivals()]
    arrivals = sum(any(w.file_code in named for w in waiting) for named in about)  # and nobody else's that still come
    assert 0 < arrivals <= ATTEMPTS * len(waiting)  # and not as fast as the network carries them


def test_a_partner_slower_than_its_time_out_gets_the_message_once(scene: Scene) -> None:
    ministry = scene.agency("agriculture")
    ministry.control(mode="slow", delay_ms=3_000)
    about = scene.apply()
    until(lambda: [d for d in scene.deliveries(about, "BNN") if d["cause"] == "timeout"], "the time-out")

    ministry.control(mode="up", delay_ms=0)

    scene.wait("delivered", about, "BNN")
    assert scene.effects("agriculture", about) == ["10/01"]
    assert ministry.report()["second_ids"] == []


# --- set aside, and given a new life ---------------------------------------------------------------------------------


def dead_application(scene: Scene) -> tuple[Consignment, Mapping[str, Any]]:
    ministry = scene.agency("agriculture")
    ministry.control(mode="wrong")
    about = scene.apply()
    dead = scene.wait("dead", about, "BNN")
    ministry.control(mode="up")
    return about, dead


def test_staff_replay_a_dead_delivery_over_http(scene: Scene) -> None:
    about, dead = dead_application(scene)
    assert dead["id"] in [d["id"] for d in scene.world.gateway.get("/api/v1/dead-letters")["items"]]

    status, replayed = scene.order(f"/api/v1/deliveries/{dead['id']}/replay")

    assert (status, replayed["id"]) == (200, dead["id"])
    scene.wait("delivered", about, "BNN")
    assert scene.order(f"/api/v1/deliveries/{dead['id']}/replay")[0] == 409
    kinds = [moment["kind"] for moment in scene.world.gateway.get(f"/api/v1/messages/{dead['message']}")["timeline"]]
    assert kinds.count("staff.replayed") == 1


def test_staff_replay_a_message_from_the_command_line_and_the_server_notices(scene: Scene) -> None:
    about, dead = dead_application(scene)

    replayed = json.loads(nsw(scene.world.home, "messages", "replay", str(dead["message"]), "--json").stdout)

    assert replayed["replayed"] == 1
    scene.wait("delivered", about, "BNN")


def test_staff_cancel_what_was_not_made_yet(scene: Scene) -> None:
    scene.agency("agriculture").control(mode="down")
    about = scene.apply()
    waiting = scene.wait("retrying", about, "BNN")

    status, cancelled = scene.order(f"/api/v1/deliveries/{waiting['id']}/cancel", {"reason": "gửi bằng giấy"})

    assert (status, cancelled["state"]) == (200, "cancelled")
    scene.agency("agriculture").control(mode="up")
    assert scene.effects("agriculture", about) == []


def test_a_message_that_an_agency_could_not_use_is_set_aside_at_once_and_delays_nobody(scene: Scene) -> None:
    about, other = scene.traveller.application(), scene.traveller.application()

    scene.certificate(about, *NOWHERE)
    scene.certificate(other)

    dead = scene.wait("dead", about, "IPPC")
    assert (dead["attempt"], bool(dead["cause"])) == (1, True)
    scene.wait("delivered", other, "IPPC")
    scene.wait("delivered", about, "NSW")


NOWHERE = ((b"<CountryExportCode>NL<", b"<CountryExportCode>VN<"), (b"3029 AG Rotterdam, The Netherlands", b"3029 AG"))


def test_a_message_that_cannot_be_used_never_keeps_a_partner_that_is_back_waiting(scene: Scene) -> None:
    importer = scene.agency("ephyto_hub")
    poison, good, *waiting = (scene.traveller.application() for _ in range(OPEN_AFTER + 3))
    scene.certificate(good)
    scene.wait("delivered", good, "IPPC")  # so that no failure of before counts
    importer.control(mode="down")
    for about in waiting:
        scene.certificate(about)
    until(lambda: sum(d["attempt"] for w in waiting for d in scene.deliveries(w, "IPPC")) >= OPEN_AFTER, "the circuit open")
    scene.certificate(poison, *NOWHERE)
    importer.control(mode="up")

    until(lambda: scene.states(waiting, "IPPC") == ["delivered"] * len(waiting), "the good certificates", seconds=60)
    dead = scene.wait("dead", poison, "IPPC")
    assert scene.effects("ephyto_hub", poison) == []
    assert dead["cause"]


# --- order, and the hub ----------------------------------------------------------------------------------------------


def test_later_messages_of_a_dossier_wait_for_the_earlier_ones_through_an_outage(scene: Scene) -> None:
    ministry, pki = scene.agency("agriculture"), scene.world.gateway.pki
    ministry.control(mode="down")
    about = scene.apply()
    for function in ("02", "03"):
        subject = replace(builders.header("10/01", about).subject, function=function)
        header = replace(builders.header("10/01", about), id=str(uuid4()), subject=subject)
        edited = builders.message("10/01", about, under=header)
        scene.say(sign_system(sign_person(edited, declarant_key(pki)), party_key(pki)))
    scene.wait("retrying", about, "BNN")

    ministry.control(mode="up")

    until(lambda: len(scene.effects("agriculture", about)) == 3, "the three applications")
    assert scene.effects("agriculture", about) == ["10/01", "10/02", "10/03"]
    until(lambda: len(scene.effects("portal", about)) == len(DECISIONS), "the ministry's three decisions")
    assert scene.effects("portal", about) == list(DECISIONS)


def test_an_envelope_that_the_hub_took_is_asked_for_and_never_sent_twice_whatever_kills_the_gateway(scene: Scene) -> None:
    importer = scene.agency("ephyto_hub")
    importer.simulator = hub(Pace(pending_polls=1))
    about = scene.traveller.application()
    scene.certificate(about)
    reference = scene.wait("awaiting-reply", about, "IPPC")["reference"]

    scene.world.gateway.restart()

    until(lambda: scene.states([about], "IPPC") == ["delivered"], "the importing country has it", seconds=60)
    arrivals: Any = importer.report()["arrivals"]
    assert [line["id"] for line in arrivals].count(reference) == 1
    assert [line["about"] for line in arrivals].count(reference) >= 2
