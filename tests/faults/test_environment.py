"""The world around a gateway fails: it refuses in a way that can be tried again, says why, and goes on by itself."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from gateway.installed import known_parties
from gateway.model import Reply
from gateway.security.certificates import read_pem
from gateway.security.devpki import generate
from gateway.testing.contents import Consignment
from gateway.testing.faults.ground import Ground
from gateway.testing.gateway import RunningGateway
from gateway.testing.proxy import Line, Proxy
from gateway.testing.vnsw import read_answer
from gateway.testing.world import addresses, until
from tests.faults.serving import Served, served

LIFETIME = timedelta(days=3650)  # of the development certificates
LEFT = timedelta(seconds=4)

pytestmark = pytest.mark.slow


def again_later(reply: Reply) -> bool:
    """Say whether a SOAP answer asks the sender to come again, and accepts nothing."""
    return reply.status == 500 and "retry-after" in reply.headers and read_answer(reply.body).function != "99"


def function(reply: Reply) -> str:
    return read_answer(reply.body).function


@pytest.fixture
def gateway(ground: Ground) -> Iterator[Served]:
    with served(ground, ground.ready(ground.file(uuid4().hex))) as gateway:
        yield gateway


@pytest.fixture
def network(postgres_url: str) -> Iterator[tuple[Proxy, str]]:
    """Put a network between a gateway and PostgreSQL; gives it and the database's address behind it."""
    with Proxy(urlsplit(postgres_url).port or 5432) as proxy:
        yield proxy, postgres_url.replace(f":{urlsplit(postgres_url).port}/", f":{proxy.port}/")


@pytest.mark.parametrize("line", [Line.CUT, Line.STALLED])
def test_a_database_out_of_reach_is_a_reason_to_come_again_and_then_all_goes_on(
    ground: Ground, network: tuple[Proxy, str], line: Line
) -> None:
    proxy, url = network
    with served(ground, ground.ready(url)) as gateway:
        before, first = gateway.new()
        assert function(gateway.send(first)) == "99"
        gateway.delivered(before)
        dossier, body = gateway.new()

        proxy.be(line)
        refused, health = gateway.send(body), gateway.ask("GET", "/health/ready")
        lives = gateway.ask("GET", "/health/live")
        proxy.be(Line.UP)

        assert again_later(refused)
        assert lives.status == 200
        assert (health.status, [p["code"] for p in json.loads(health.body)["problems"]]) == (503, ["store.away"])
        until(gateway.ready, "a gateway that is ready again")
        assert function(gateway.send(body)) == "99"
        gateway.delivered(dossier)
        assert gateway.effects(dossier) == 1


def test_a_slow_database_slows_and_refuses_nothing(ground: Ground, network: tuple[Proxy, str]) -> None:
    proxy, url = network
    with served(ground, ground.ready(url)) as gateway:
        proxy.be(Line.UP, delay=0.05)
        dossier, body = gateway.new()

        assert function(gateway.send(body)) == "99"
        assert gateway.ready()
        gateway.delivered(dossier)


def test_a_partner_whose_name_is_gone_gets_everything_when_it_is_back(ground: Ground, gateway: Served) -> None:
    dossiers = []

    def tried_in_vain() -> bool:
        dossier, body = gateway.new()
        dossiers.append(dossier)
        assert function(gateway.send(body)) == "99"
        return b'code="dns",event="delivery.settled"' in gateway.ask("GET", "/metrics").body

    with elsewhere(ground, "http://ministry.invalid/ws"):
        until(tried_in_vain, "a delivery to a name that is gone")
        assert gateway.effects(dossiers[-1]) == 0

    gateway.delivered(*dossiers)
    assert {gateway.effects(dossier) for dossier in dossiers} == {1}


@contextmanager
def elsewhere(ground: Ground, address: str) -> Iterator[None]:
    """Say that the ministry is somewhere else for a while."""
    true = addresses(known_parties(ground.settings), ground.partners)
    rules = RunningGateway(ground.settings.home)
    rules.reach(true | {"BNN": address})
    try:
        yield
    finally:
        rules.reach(true)


def test_a_gateway_out_of_file_handles_acknowledges_nothing_it_cannot_keep_and_goes_on_afterwards(gateway: Served) -> None:
    requests = [gateway.new() for _ in range(20)]
    heard = []
    with no_more_files(gateway.pid):
        for _, body in requests:
            with suppress(OSError):  # a connection that nobody could take can be tried again too
                heard.append(gateway.send(body))

    assert all(function(reply) == "99" or again_later(reply) for reply in heard)

    until(gateway.ready, "a gateway that is ready again")
    assert {function(gateway.send(body)) for _, body in requests} == {"99"}
    gateway.delivered(*(dossier for dossier, _ in requests))
    assert {gateway.effects(dossier) for dossier, _ in requests} == {1}


@contextmanager
def no_more_files(pid: int) -> Iterator[None]:
    """Let a process open nothing that it has not open already."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = max(int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()) + 1
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


def test_a_certificate_that_expires_in_mid_flight_stops_what_is_new_and_no_repeat(ground: Ground, tmp_path: Path) -> None:
    generate(tmp_path / "pki", now=datetime.now(UTC) - LIFETIME + LEFT)
    settings = ground.on(f"sqlite:///{tmp_path}/gateway.db", home=tmp_path)
    with served(ground, settings) as gateway:
        known = Consignment(number=next(ground.numbers))
        body = gateway.about(known)
        first = gateway.send(body)
        assert function(first) == "99"
        [certificate] = read_pem((tmp_path / "pki" / "parties" / "NSW.pem").read_bytes())
        until(lambda: datetime.now(UTC) > certificate.not_after, "the end of a certificate")
        _, new = gateway.new()

        repeated, refused = gateway.send(body), gateway.send(new)
        health = gateway.ask("GET", "/health/ready")

        assert repeated.body == first.body
        assert [p["code"] for p in json.loads(health.body)["problems"]] == ["signature.own-not-valid"]
        assert (function(refused), read_answer(refused.body).errors[0][0]) == ("00", "ERR00_CODE")

        renew(tmp_path / "pki")
        until(lambda: function(gateway.send(gateway.new()[1])) == "99", "a message under the new certificate")
        assert gateway.send(gateway.about(known)).body == first.body  # signed again, with the new key


def renew(pki: Path) -> None:
    """Put new certificates in the place of all that expired."""
    for old in [*pki.rglob("*.pem")]:
        old.unlink()
    generate(pki, now=datetime.now(UTC))


@pytest.mark.parametrize("hours", ["2", "-2"])
def test_a_clock_that_jumps_and_comes_back_loses_and_doubles_nothing(ground: Ground, tmp_path: Path, hours: str) -> None:
    clock = tmp_path / "hours"
    clock.write_text("0")
    ministry = ground.partners["agriculture"]
    with served(ground, ground.ready(ground.file(uuid4().hex)), clock=clock) as gateway:
        waiting, first = gateway.new()
        ministry.control(mode="down")
        assert function(gateway.send(first)) == "99"
        clock.write_text(hours)
        meanwhile, second = gateway.new()
        assert function(gateway.send(second)) == "99"
        ministry.control(mode="up")
        gateway.delivered(meanwhile)
        clock.write_text("0")

        assert function(gateway.send(second)) == "99"
        gateway.delivered(waiting)
        assert (gateway.effects(waiting), gateway.effects(meanwhile)) == (1, 1)
