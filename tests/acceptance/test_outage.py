"""One of ten partners accepts connections and never answers: the other nine notice nothing, and it is taken up when it is back."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.testing.client import post
from gateway.testing.gateway import RunningGateway
from gateway.testing.outage import HANGS, PARTNERS, Partners, applications, standing, write_rules
from gateway.testing.vnsw import SOAP_REQUEST, read_answer
from gateway.testing.world import until

pytestmark = pytest.mark.slow

CONCURRENCY = 2
LIMITS = {HANGS: f'limits = {{ concurrency = {CONCURRENCY}, timeout = "6s" }}\nretry = {{ first = "1s", longest = "2s" }}'}
HEALTHY = PARTNERS[:-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    gateway: RunningGateway
    partners: Partners
    ids: list[str]

    def send(self, first: int, count: int) -> None:
        for message_id, body in applications(self.gateway.pki, count, first=first):
            answer = read_answer(post(f"{self.gateway.url}/ws", body, SOAP_REQUEST).body)
            assert answer.function == "99", answer
            self.ids.append(message_id)

    def have_all(self, *codes: str) -> bool:
        return all({i for i, _ in self.partners.answered[code]} >= set(self.ids) for code in codes)

    def deliveries(self, code: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.gateway.get(f"/api/v1/deliveries?party={code}&limit=200")["items"]
        return found

    def metric(self, name: str, code: str) -> float:
        text = self.gateway.ask("GET", "/metrics").body.decode()
        found = re.search(rf'^{name}\{{party="{code}"\}} (\S+)$', text, re.MULTILINE)
        assert found, name
        return float(found[1])


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    home: Path = tmp_path_factory.mktemp("outage")
    write_rules(home, limits=LIMITS)
    gateway, partners = RunningGateway(home), Partners()
    with partners.serving():
        gateway.reach(partners.endpoints())
        with gateway:
            yield Scene(gateway=gateway, partners=partners, ids=[])


def test_a_partner_that_never_answers_delays_nobody_and_is_taken_up_again(scene: Scene) -> None:
    scene.send(1, 5)
    until(lambda: scene.have_all(*PARTNERS), "the first at all ten")

    scene.partners.hanging = frozenset({HANGS})
    scene.send(100, 10)
    until(lambda: scene.have_all(*HEALTHY), "all at the nine")
    until(lambda: standing(scene.gateway, HANGS)["circuit"] == "open", "its silence noticed")
    scene.send(200, 5)
    until(lambda: scene.have_all(*HEALTHY), "all at the nine")

    waiting = [d for d in scene.deliveries(HANGS) if d["state"] != "delivered"]
    assert len(waiting) == 15
    assert sum(d["attempt"] for d in waiting) <= CONCURRENCY + 1  # what was under way when it fell silent, and a probe at this moment
    assert scene.metric("nsw_circuit_open", HANGS) == 1
    assert all(standing(scene.gateway, code)["circuit"] == "closed" for code in HEALTHY)
    assert [n["code"] for n in scene.gateway.get("/health/ready")["notices"]] == ["outbox.party-away"]

    scene.partners.hanging = frozenset()
    until(lambda: scene.have_all(*PARTNERS), "what waited", seconds=60)
    until(lambda: {d["state"] for d in scene.deliveries(HANGS)} == {"delivered"}, "all settled")
    until(lambda: standing(scene.gateway, HANGS)["circuit"] == "closed", "its return known")
    assert scene.metric("nsw_circuit_open", HANGS) == 0


def test_a_restarted_gateway_remembers_who_is_away(scene: Scene) -> None:
    scene.partners.hanging = frozenset({HANGS})
    scene.send(300, 6)
    until(lambda: standing(scene.gateway, HANGS)["circuit"] == "open", "its silence noticed")

    scene.gateway.restart()

    since = standing(scene.gateway, HANGS)["open_since"]
    before = len(scene.partners.arrived[HANGS])
    assert standing(scene.gateway, HANGS)["circuit"] == "open"
    until(lambda: len(scene.partners.arrived[HANGS]) >= before + 2, "it is asked again, one message at a time")
    assert standing(scene.gateway, HANGS)["under_way"] <= 2  # type: ignore[operator]  # a number; one probe, or a long one beside it
    assert standing(scene.gateway, HANGS)["open_since"] == since
    scene.partners.hanging = frozenset()
    until(lambda: scene.have_all(*PARTNERS), "what waited", seconds=60)


def test_a_pause_by_staff_holds_back_one_party_until_they_resume(scene: Scene) -> None:
    paused = scene.gateway.ask("POST", f"/api/v1/parties/{HANGS}/pause", body=PAUSE, headers={"content-type": "application/json"})
    assert paused.status == 200
    assert scene.metric("nsw_paused", HANGS) == 1
    quiet = len(scene.partners.arrived[HANGS])
    scene.send(400, 3)

    until(lambda: scene.have_all(*HEALTHY), "all at the nine")

    owed = [d for d in scene.deliveries(HANGS) if d["state"] != "delivered"]
    assert [(d["state"], d["attempt"]) for d in owed] == [("queued", 0)] * 3
    assert len(scene.partners.arrived[HANGS]) == quiet
    assert scene.gateway.ask("POST", f"/api/v1/parties/{HANGS}/resume").status == 200
    until(lambda: scene.have_all(HANGS), "what waited")


PAUSE = b'{"until": "2999-01-01T00:00:00Z", "reason": "nang cap"}'
