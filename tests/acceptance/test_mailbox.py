"""A ministry that fetches, against a running gateway with keys: nothing lost, nothing doubled, whoever dies."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.testing import builders
from gateway.testing.applicant import signed_application
from gateway.testing.client import post
from gateway.testing.contents import Consignment
from gateway.testing.fetcher import Fetcher
from gateway.testing.gateway import RunningGateway
from gateway.testing.vnsw import SOAP_REQUEST, read_answer
from gateway.testing.world import until
from gateway.web.keys import hash_key
from gateway.xml.shipped import shipped

pytestmark = pytest.mark.slow

ATTEMPTS = 2
COLLECTS = f"collects = true\nretry = {{ attempts = {ATTEMPTS} }}\n"
KEYS = {"ministry": "BNN:collector,reader", "portal": "NSW:sender,reader", "staff": ":operator"}


@dataclass
class Scene:
    """A gateway whose ministry fetches, and the ministry's program."""

    gateway: RunningGateway
    numbers: Iterator[int]

    def fetcher(self, key: str = "ministry") -> Fetcher:
        return Fetcher(self.gateway.url, key)

    def apply(self) -> str:
        """Send an application; gives the gateway's id of it."""
        now = datetime.now(UTC)
        envelope = signed_application(self.gateway.pki, Consignment(number=next(self.numbers)), sent_at=now)
        answer = read_answer(post(f"{self.gateway.url}/ws", builders.soap(envelope), SOAP_REQUEST).body)
        assert answer.function == "99", answer
        reply = self.gateway.ask("GET", "/api/v1/messages?limit=1", headers={"x-api-key": "staff"})
        return str(json.loads(reply.body)["items"][0]["id"])

    def state(self, delivery: str) -> str:
        reply = self.gateway.ask("GET", f"/api/v1/deliveries/{delivery}", headers={"x-api-key": "staff"})
        return str(json.loads(reply.body)["state"])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    home = tmp_path_factory.mktemp("mailbox")
    (home / "rules").mkdir()
    parties = (shipped("routing_rules") / "parties.toml").read_text("utf-8")
    text = re.sub(r'(code = "BNN"\n)', lambda found: found[1] + COLLECTS, parties, count=1)
    (home / "rules" / "parties.toml").write_text(text, "utf-8")
    keys = home / "keys.txt"
    keys.write_text("".join(f"{name}:{rest}:{hash_key(name, salt=bytes(16))}\n" for name, rest in KEYS.items()), "utf-8")
    with RunningGateway(home, environment={"NSW_API_KEYS": str(keys)}) as gateway:
        yield Scene(gateway=gateway, numbers=iter(range(1, 1000)))


@pytest.fixture
def scene(running: Scene) -> Scene:
    """Lend the scene with an empty mailbox."""
    fetcher = running.fetcher()
    until(lambda: fetcher.fetch() == 0 and fetcher.waiting()["held"] == 0, "an empty mailbox")
    return running


def _collected(fetcher: Fetcher, *, lease_seconds: int = 60) -> Callable[[], list[dict[str, Any]]]:
    return lambda: fetcher.collect(lease_seconds=lease_seconds)


def test_what_is_sent_to_a_ministry_that_fetches_waits_and_is_fetched_once(scene: Scene) -> None:
    fetcher, messages = scene.fetcher(), [scene.apply() for _ in range(3)]
    assert fetcher.waiting()["waiting"] == 3

    assert fetcher.fetch() == 3

    assert sorted(fetcher.documents) == sorted(messages)
    assert all(b"receive" in document for document in fetcher.documents.values())  # as its adapter writes it
    assert fetcher.waiting()["waiting"] == fetcher.waiting()["held"] == 0


def test_a_kill_of_the_gateway_between_collect_and_confirm_loses_and_doubles_nothing(scene: Scene) -> None:
    fetcher, message = scene.fetcher(), scene.apply()
    (item,) = fetcher.collect()
    fetcher.keep(item)

    scene.gateway.restart()

    assert fetcher.collect() == []  # the lease holds: nobody is handed it a second time
    assert [fetcher.confirm(item).status for _ in range(2)] == [200, 200]
    assert scene.state(item["delivery"]) == "delivered"
    assert (item["message"], fetcher.effects) == (message, {message: 1})


def test_a_kill_of_the_fetcher_returns_what_it_had_not_confirmed(scene: Scene) -> None:
    dead, message = scene.fetcher(), scene.apply()
    (lost,) = dead.collect(lease_seconds=1)
    again = scene.fetcher()

    (item,) = until(_collected(again), "the delivery back in the mailbox")

    assert (item["message"], item["attempt"]) == (message, 2)
    assert dead.confirm(lost).status == 409
    again.keep(item)
    assert again.confirm(item).status == 200
    assert again.effects == {message: 1}


def test_what_is_never_confirmed_is_set_aside(scene: Scene) -> None:
    fetcher, message = scene.fetcher(), scene.apply()
    aside = fetcher.waiting()["set_aside"]
    for _ in range(ATTEMPTS):
        (item,) = until(_collected(fetcher, lease_seconds=1), "another handing-out")
        assert item["message"] == message

    until(lambda: fetcher.collect() == [] and fetcher.waiting()["set_aside"] == aside + 1, "it set aside")

    assert scene.state(item["delivery"]) == "dead"


def test_nobody_else_sees_the_mailbox(scene: Scene) -> None:
    scene.apply()

    statuses = [scene.fetcher(key).post("/collect", {"lease_seconds": 1}).status for key in ("portal", "staff", "nobody", "ministry")]

    assert statuses == [403, 403, 401, 200]


def test_refused_ends_with_the_reason_for_staff(scene: Scene) -> None:
    scene.apply()
    fetcher = scene.fetcher()
    (item,) = fetcher.collect()

    assert fetcher.refuse(item, "Không thuộc thẩm quyền").status == 200

    reply = scene.gateway.ask("GET", f"/api/v1/deliveries/{item['delivery']}", headers={"x-api-key": "staff"})
    assert (json.loads(reply.body)["state"], json.loads(reply.body)["cause"]) == ("rejected", "Không thuộc thẩm quyền")
