"""A disk that is full: nothing is acknowledged that is not kept, the sender is told to come again, and then everything goes on."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.testing import builders
from gateway.testing.applicant import signed_application
from gateway.testing.contents import Consignment
from gateway.testing.gateway import RunningGateway
from gateway.testing.vnsw import SOAP_REQUEST, read_answer
from gateway.testing.world import until

pytestmark = pytest.mark.slow

REST = {"content-type": "application/xml"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with RunningGateway(tmp_path_factory.mktemp("disk")) as gateway:
        yield gateway


@contextmanager
def full_disk(pid: int) -> Iterator[None]:
    """No file of a process may grow: database, write-ahead log and log file alike, as on a disk that is full."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


def application(gateway: RunningGateway, number: int) -> bytes:
    return signed_application(gateway.pki, Consignment(number=number), sent_at=datetime.now(UTC))


def kept(gateway: RunningGateway, number: int) -> int:
    return len(gateway.get(f"/api/v1/messages?reference={Consignment(number=number).file_code}")["items"])


@pytest.mark.parametrize(("version", "status", "code"), [("1.1", 500, b"soap:Server"), ("1.2", 500, b"soap:Receiver")])
def test_a_soap_client_is_told_to_come_again_and_then_gets_its_99(gateway: RunningGateway, version: str, status: int, code: bytes) -> None:
    number = 1 if version == "1.1" else 2
    media_type = SOAP_REQUEST if version == "1.1" else {"content-type": "application/soap+xml; charset=utf-8"}
    body = builders.soap(application(gateway, number), version=version)
    with full_disk(gateway.pid):
        refused = gateway.ask("POST", "/ws", body=body, headers=media_type)
        assert (refused.status, code in refused.body, "retry-after" in refused.headers) == (status, True, True)
        assert kept(gateway, number) == 0

    accepted = gateway.ask("POST", "/ws", body=body, headers=media_type)

    assert read_answer(accepted.body).function == "99"
    assert kept(gateway, number) == 1


def test_a_rest_client_is_told_to_come_again_and_then_gets_its_receipt(gateway: RunningGateway) -> None:
    envelope = application(gateway, 3)
    with full_disk(gateway.pid):
        refused = gateway.ask("POST", "/api/v1/documents", body=envelope, headers=REST)
        assert (refused.status, "retry-after" in refused.headers) == (503, True)

    assert gateway.ask("POST", "/api/v1/documents", body=envelope, headers=REST).status == 202


def test_what_is_refused_while_it_cannot_be_kept_is_not_refused_for_good(gateway: RunningGateway) -> None:
    with full_disk(gateway.pid):
        reply = gateway.ask("POST", "/ws", body=builders.soap(b"xin chao"), headers=SOAP_REQUEST)

    assert (reply.status, b"soap:Server" in reply.body) == (500, True)


def test_health_says_that_nothing_can_be_written_and_is_good_again_by_itself(gateway: RunningGateway) -> None:
    def not_ready() -> bytes:
        health = gateway.ask("GET", "/health/ready")
        return health.body if health.status == 503 else b""

    with full_disk(gateway.pid):
        said = until(not_ready, "a gateway that says that it is not ready")
        assert gateway.ask("GET", "/health/live").status == 200

    assert [problem["code"] for problem in json.loads(said)["problems"]] == ["store.away"]
    until(lambda: gateway.ask("GET", "/health/ready").status == 200, "a gateway that is ready again")


def test_the_gateway_answers_and_delivers_after_the_disk_was_full(gateway: RunningGateway) -> None:
    with full_disk(gateway.pid):
        for number in range(10, 30):
            gateway.ask("POST", "/ws", body=builders.soap(application(gateway, number)), headers=SOAP_REQUEST)
        assert gateway.ask("GET", "/health/live").status == 200
        assert gateway.ask("GET", "/api/v1/messages").status == 200

    answers = [gateway.ask("POST", "/ws", body=builders.soap(application(gateway, n)), headers=SOAP_REQUEST) for n in range(10, 30)]

    assert {read_answer(answer.body).function for answer in answers} == {"99"}
    assert [kept(gateway, number) for number in range(10, 30)] == [1] * 20
    assert b"log.lost" in gateway.ask("GET", "/metrics").body
    assert Path(f"/proc/{gateway.pid}").is_dir()
