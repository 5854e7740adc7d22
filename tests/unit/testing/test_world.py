from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.config import Settings
from gateway.errors import Conflict, Unavailable, explain
from gateway.errors import Problem as Text
from gateway.installed import known_parties
from gateway.store.sole import Sole
from gateway.testing.gateway import RunningGateway
from gateway.testing.journal import SimReply
from gateway.testing.journey import steps
from gateway.testing.simulate import load
from gateway.testing.simulator import Simulator
from gateway.testing.world import World, addresses

HEALTH = """[[party]]
code = "BYT"
roles = ["agency"]
adapter = "health_ministry"
identity = { name = "Bộ Y tế", identity = "BYT", country = "VN", ministry = "BYT", organization = "BYT" }
"""


def content(home: Path) -> Mapping[str, bytes]:
    """Everything that somebody put there, without the files that only hold locks."""
    return {str(p.relative_to(home)): p.read_bytes() for p in home.rglob("*") if p.is_file() and p.stat().st_size}


def test_a_world_is_refused_where_a_gateway_serves_and_changes_nothing(tmp_path: Path) -> None:
    RunningGateway(tmp_path).reach({"BNN": "http://127.0.0.1:1/ws"})
    before = content(tmp_path)
    serving = Sole(tmp_path / "gateway.db.lock")

    with pytest.raises(Unavailable) as refused, World(tmp_path):
        pass

    serving.release()
    assert refused.value.problems[0].text == "store.busy"
    assert content(tmp_path) == before


def test_a_world_never_replaces_the_addresses_of_an_installation(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "endpoints.toml").write_text('[endpoints]\nBNN = "https://10.1.2.3:8443/ws"\n', "utf-8")
    before = content(tmp_path)

    with pytest.raises(Conflict) as refused, World(tmp_path):
        pass

    assert refused.value.problems[0].path == str(tmp_path / "rules" / "endpoints.toml")
    assert content(tmp_path) == before


def test_a_refused_world_lets_the_next_one_in(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "endpoints.toml").write_bytes(b"\xff")

    for _ in range(2):
        with pytest.raises(Conflict), World(tmp_path):
            pass


def test_an_added_party_gets_the_address_of_its_adapters_agency(tmp_path: Path) -> None:
    (tmp_path / "rules" / "parties").mkdir(parents=True)
    (tmp_path / "rules" / "parties" / "health.toml").write_text(HEALTH, "utf-8")
    parties = known_parties(Settings(home=tmp_path, rules=tmp_path / "rules"))
    health = Simulator("health_ministry", lambda _request, _context: SimReply(), path="/gateway")

    with health.start() as agency, load("ephyto_hub").start() as hub:
        found = addresses(parties, {"health_ministry": agency, "ephyto_hub": hub})

    assert found == {"BYT": f"{agency.url}/gateway", "IPPC": f"{hub.url}/hub/DeliveryService"}


@pytest.mark.parametrize("language", ["vi", "en"])
def test_every_step_of_the_journey_has_its_title(language: str) -> None:
    titles = [explain(Text(text=f"cli.journey-{step.name}"), language) for step in steps(0)]

    assert [title for title in titles if title.startswith("cli.")] == []


@pytest.mark.slow
def test_a_second_world_leaves_the_first_one_its_partners(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        before = (tmp_path / "rules" / "endpoints.toml").read_bytes()

        with pytest.raises(Unavailable), World(tmp_path):
            pass

        assert (tmp_path / "rules" / "endpoints.toml").read_bytes() == before
        assert world.gateway.ask("GET", "/health/ready").status == 200
