"""What others build on: the ready line, exit codes, one process a database, restarts, rules that change, keys."""

import hashlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.security.devpki import generate
from gateway.testing import builders
from gateway.testing.applicant import send_application, signed_application
from gateway.testing.contents import Consignment
from gateway.testing.gateway import RunningGateway
from gateway.testing.simulate import load
from gateway.testing.simulator import RunningSimulator
from gateway.testing.vnsw import SOAP_REQUEST, read_answer
from gateway.testing.world import until
from gateway.web.keys import hash_key
from gateway.xml.shipped import shipped

XML = {"content-type": "application/xml"}
KEYS = {"portal": "portal-key-1", "ministry": "ministry-key-1", "officer": "officer-key-1"}


def now() -> datetime:
    return datetime.now(UTC)


def nsw(home: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command of ours to its end."""
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8", "NSW_HOME": str(home), **settings}
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli", *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def key_lines(*lines: tuple[str, str, str]) -> str:
    return "".join(f"{name}:{party}:{roles}:{hash_key(KEYS[name], salt=b's' * 16)}\n" for name, party, roles in lines)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("contracts")
    lines = key_lines(("portal", "NSW", "sender,reader"), ("ministry", "BNN", "sender,reader"), ("officer", "", "operator,reader"))
    (home / "api.keys").write_text(lines, "utf-8")
    return home


@pytest.fixture(scope="module")
def gateway(home: Path) -> Iterator[RunningGateway]:
    with RunningGateway(home, environment={"NSW_API_KEYS": str(home / "api.keys")}) as gateway:
        yield gateway


@pytest.fixture
def ministry(gateway: RunningGateway) -> Iterator[RunningSimulator]:
    with load("agriculture").start(gateway="", pki=gateway.pki) as agency:
        yield agency


def as_whom(name: str) -> Mapping[str, str]:
    return {"authorization": f"Bearer {KEYS[name]}"}


def get(gateway: RunningGateway, path: str, name: str = "officer") -> Any:
    reply = gateway.ask("GET", path, headers=as_whom(name))
    assert reply.status == 200, reply
    return json.loads(reply.body)


# --- the process ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_says_one_line_serves_on_a_free_port_and_ends_in_good_order(tmp_path: Path, number: signal.Signals) -> None:
    generate(tmp_path / "pki", now=now())
    environment = {"PATH": os.defpath, "NSW_HOME": str(tmp_path), "NSW_PORT": "0"}
    command = [sys.executable, "-m", "gateway.cli", "serve"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        line = process.stdout.readline()
        process.send_signal(number)
        rest, _ = process.communicate(timeout=30)

    assert re.fullmatch(r"ready http://127\.0\.0\.1:[1-9][0-9]{2,4}\n", line)
    assert rest == ""
    assert process.returncode == 0


@pytest.mark.slow
def test_work_says_that_it_works_and_ends_in_good_order(tmp_path: Path) -> None:
    generate(tmp_path / "pki", now=now())
    environment = {"PATH": os.defpath, "NSW_HOME": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "work"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        line = process.stdout.readline()
        process.terminate()
        process.communicate(timeout=30)

    assert (line, process.returncode) == ("ready work\n", 0)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["serve", "work"])
def test_a_second_process_on_one_sqlite_database_is_refused_with_3(gateway: RunningGateway, home: Path, command: str) -> None:
    second = nsw(home, command, NSW_PORT="0")

    assert (second.returncode, second.stdout) == (3, "")
    assert "gateway.db" in second.stderr
    assert gateway.ask("GET", "/health/live").status == 200


@pytest.mark.slow
def test_a_port_that_is_taken_is_refused_with_3(gateway: RunningGateway, tmp_path: Path) -> None:
    generate(tmp_path / "pki", now=now())

    assert nsw(tmp_path, "serve", NSW_PORT=gateway.url.rpartition(":")[2]).returncode == 3


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"NSW_PORT": "many"}, "NSW_PORT"),
        ({"NSW_PORT": "0", "NSW_THREADS": "-1"}, "NSW_THREADS"),
    ],
)
@pytest.mark.slow
def test_a_setting_that_is_wrong_is_named_and_ends_with_2(tmp_path: Path, settings: dict[str, str], named: str) -> None:
    refused = nsw(tmp_path, "serve", **settings)

    assert refused.returncode == 2
    assert named in refused.stderr


@pytest.mark.slow
def test_a_gateway_that_asks_nobody_who_they_are_stays_on_loopback(tmp_path: Path) -> None:
    generate(tmp_path / "pki", now=now())

    refused = nsw(tmp_path, "serve", NSW_HOST="0.0.0.0", NSW_PORT="0")  # noqa: S104  # what is refused

    assert refused.returncode != 0
    assert "NSW_API_KEYS" in refused.stderr


@pytest.mark.slow
def test_rules_that_do_not_pass_keep_a_gateway_from_starting_and_are_named(tmp_path: Path) -> None:
    generate(tmp_path / "pki", now=now())
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "endpoints.toml").write_text('[endpoints]\nBNM = "http://127.0.0.1:1"\n', "utf-8")

    refused = nsw(tmp_path, "serve", NSW_PORT="0")

    assert refused.returncode != 0
    assert "endpoints.toml" in refused.stderr
    assert "BNM" in refused.stderr


# --- a restart -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_restart_knows_the_messages_and_gives_the_first_answers(tmp_path: Path) -> None:
    with RunningGateway(tmp_path) as gateway:
        envelope = signed_application(gateway.pki, Consignment(number=1), sent_at=now())
        body = builders.soap(envelope)
        first = gateway.ask("POST", "/ws", body=body, headers=SOAP_REQUEST)

        gateway.restart()

        again = gateway.ask("POST", "/ws", body=body, headers=SOAP_REQUEST)
        assert (again.status, again.body) == (first.status, first.body)
        [row] = gateway.get("/api/v1/messages")["items"]
        assert row["reference"] == Consignment(number=1).file_code


# --- rules -----------------------------------------------------------------------------------------------------------


def send(gateway: RunningGateway, number: int) -> str:
    """Send an application; gives the gateway's id of it."""
    consignment = Consignment(number=number)
    assert send_application(gateway.url, gateway.pki, consignment, sent_at=now()).answer.function == "99"
    return str(get(gateway, f"/api/v1/messages?reference={consignment.file_code}")["items"][0]["id"])


def arrives(gateway: RunningGateway) -> bool:
    """Send a new application; says whether its first attempt arrives."""
    message = send(gateway, next(FRESH))

    def tried() -> str | None:
        [delivery] = get(gateway, f"/api/v1/deliveries?message={message}")["items"]
        return delivery["state"] if delivery["state"] not in ("queued", "sending") else None

    return until(tried, "an attempt") == "delivered"


FRESH = itertools.count(1_000)


def test_an_address_that_changes_is_used_without_a_restart(gateway: RunningGateway, ministry: RunningSimulator) -> None:
    gateway.reach({"BNN": ministry.url + "/ws"})

    until(lambda: arrives(gateway), "an application at the new address")

    assert gateway.ask("GET", "/health/ready").status == 200


def test_rules_that_do_not_pass_never_replace_those_in_force_and_are_shown(gateway: RunningGateway, ministry: RunningSimulator) -> None:
    gateway.reach({"BNN": ministry.url + "/ws"})
    until(lambda: arrives(gateway), "the rules in force")
    gateway.reach({"BNM": "http://127.0.0.1:1/ws"})

    def shown() -> Any:
        reply = gateway.ask("GET", "/health/ready", headers=as_whom("officer"))
        return json.loads(reply.body)["problems"] if reply.status == 503 else None

    problems = until(shown, "what is wrong with the rules")
    assert any("endpoints.toml" in str(p["path"]) and "BNM" in p["message_vi"] for p in problems)
    assert arrives(gateway)

    gateway.reach({"BNN": ministry.url + "/ws"})
    until(lambda: gateway.ask("GET", "/health/ready").status == 200, "good rules again")


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"\xff\xfe not UTF-8", b"[endpoints", b"endpoints = 1", b'[[party]]\ncode = "NSW"'])
def test_no_rule_file_whatever_it_holds_stops_the_gateway(gateway: RunningGateway, home: Path, content: bytes) -> None:
    strange = home / "rules" / "strange.toml"
    strange.parent.mkdir(exist_ok=True)
    strange.write_bytes(content)
    try:
        until(lambda: gateway.ask("GET", "/health/ready").status == 503, "the broken file")
        reply = gateway.ask("POST", "/ws", body=builders.soap(b"xin chao"), headers=SOAP_REQUEST)
        assert read_answer(reply.body).function == "00"
    finally:
        strange.unlink()
    until(lambda: gateway.ask("GET", "/health/ready").status == 200, "good rules again")


@pytest.mark.slow
def test_rules_and_schemas_of_an_installation_override_the_shipped_ones_file_by_file(tmp_path: Path) -> None:
    rules, schemas = tmp_path / "my-rules", tmp_path / "my-schemas"
    procedure = Path("procedures/BNN/animal-product-import.toml")
    (rules / procedure).parent.mkdir(parents=True)
    text = (shipped("routing_rules") / procedure).read_text("utf-8")
    (rules / procedure).write_text(re.sub(r"(?m)^valid_from = .*$", "valid_from = 2099-01-01", text, count=1), "utf-8")
    schema = Path("vnsw/1.0/BNNPTNT0300002/application.xsd")
    (schemas / schema).parent.mkdir(parents=True)
    strict = (shipped("xsd") / schema).read_text("utf-8").replace('name="Phytosanitary"', 'name="PhytosanitaryApplication"')
    (schemas / schema).write_text(strict, "utf-8")

    with RunningGateway(tmp_path / "home", environment={"NSW_RULES": str(rules), "NSW_SCHEMAS": str(schemas)}) as gateway:
        plant = signed_application(gateway.pki, Consignment(number=1), sent_at=now())
        animal = builders.message("18/14").replace(b"BNN&amp;PTNT0300002", b"BNNPTNT0600009")
        answers = [read_answer(gateway.ask("POST", "/ws", body=builders.soap(e), headers=SOAP_REQUEST).body) for e in (plant, animal)]

    assert [[code for code, _ in answer.errors][:1] for answer in answers] == [["ERR02_CODE"], ["ERR01_CODE"]]


# --- who may call ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/v1/messages", "/api/v1/deliveries", "/api/v1/dead-letters", "/metrics"])
@pytest.mark.parametrize("headers", [{}, {"x-api-key": "guessed"}, {"authorization": "Basic cG9ydGFs"}])
def test_nobody_reads_without_a_key_that_is_known(gateway: RunningGateway, path: str, headers: dict[str, str]) -> None:
    assert gateway.ask("GET", path, headers=headers).status == 401


def test_nobody_sends_or_orders_without_the_role(gateway: RunningGateway) -> None:
    envelope = signed_application(gateway.pki, Consignment(number=30), sent_at=now())

    assert gateway.ask("POST", "/api/v1/documents", body=envelope, headers=XML).status == 401
    assert gateway.ask("POST", "/api/v1/documents", body=envelope, headers={**XML, **as_whom("officer")}).status == 403
    path = "/api/v1/deliveries/0198f3c2-6b20-7d01-8e77-52b1c9f0a3d4/replay"
    assert gateway.ask("POST", path, headers=as_whom("portal")).status == 403
    assert gateway.ask("POST", path, headers=as_whom("officer")).status == 404


def test_a_key_of_the_portal_sends_the_portals_documents(gateway: RunningGateway) -> None:
    envelope = signed_application(gateway.pki, Consignment(number=31), sent_at=now())

    assert gateway.ask("POST", "/api/v1/documents", body=envelope, headers={**XML, **as_whom("portal")}).status == 202


def test_a_key_of_one_party_never_sends_for_another(gateway: RunningGateway) -> None:
    envelope = signed_application(gateway.pki, Consignment(number=32), sent_at=now())

    reply = gateway.ask("POST", "/api/v1/documents", body=envelope, headers={**XML, **as_whom("ministry")})

    assert (reply.status, json.loads(reply.body)["vnsw_code"]) == (403, "ERR00_CODE")


def test_an_unsigned_message_over_a_channel_that_its_exception_is_not_bound_to_is_refused(gateway: RunningGateway) -> None:
    unsigned = builders.message("18/14", Consignment(number=33))

    reply = gateway.ask("POST", "/ws", body=builders.soap(unsigned), headers={**SOAP_REQUEST, **as_whom("ministry")})

    answer = read_answer(reply.body)
    assert (answer.function, answer.errors[0][0]) == ("00", "ERR00_CODE")


def test_an_unsigned_message_of_a_party_that_signs_is_refused(gateway: RunningGateway) -> None:
    reply = gateway.ask("POST", "/ws", body=builders.soap(builders.message("10/01", Consignment(number=34))), headers=SOAP_REQUEST)

    answer = read_answer(reply.body)
    assert (answer.function, answer.errors[0][0]) == ("00", "ERR00_CODE")


def test_a_wrong_key_at_the_soap_door_is_never_taken_for_none(gateway: RunningGateway) -> None:
    body = builders.soap(builders.message("18/14", Consignment(number=35)))

    reply = gateway.ask("POST", "/ws", body=body, headers={**SOAP_REQUEST, "x-api-key": "guessed"})

    assert reply.status == 401
    assert b"Fault" in reply.body


def test_a_party_sees_its_own_messages_only(gateway: RunningGateway) -> None:
    message = send(gateway, 36)
    fee = builders.message("18/14", Consignment(number=36))
    gateway.ask("POST", "/ws", body=builders.soap(fee), headers=SOAP_REQUEST)

    seen = {name: {row["id"] for row in get(gateway, "/api/v1/messages?limit=100", name)["items"]} for name in ("portal", "ministry")}

    assert message in seen["portal"] & seen["ministry"]  # sent by one, delivered to the other
    assert not any(row["sender"] == "NSW" and row["state"] == "refused" for row in get(gateway, "/api/v1/messages", "ministry")["items"])
    assert gateway.ask("GET", "/api/v1/messages?party=TCHQ", headers=as_whom("portal")).status == 403


def test_unsigned_messages_are_counted_in_the_metrics(gateway: RunningGateway) -> None:
    gateway.ask("POST", "/ws", body=builders.soap(builders.message("18/14", Consignment(number=37))), headers=SOAP_REQUEST)

    metrics = gateway.ask("GET", "/metrics", headers=as_whom("officer")).body.decode()

    assert re.search(r'nsw_unsigned_accepted_total\{channel="network"\} [1-9]', metrics)


def test_threads_stay_together_on_a_core(gateway: RunningGateway) -> None:
    def cores() -> set[frozenset[int]]:
        return {frozenset(os.sched_getaffinity(int(thread.name))) for thread in Path(f"/proc/{gateway.pid}/task").iterdir()}

    (shared,) = until(lambda: found if len(found := cores()) == 1 else None, "all threads in one place")
    assert len(shared) == 1


def test_content_lies_encrypted_on_the_disk(gateway: RunningGateway, home: Path) -> None:
    send(gateway, 38)
    secret = "Hợp tác xã Thanh long Hàm Minh".encode()

    kept = b"".join(path.read_bytes() for path in home.glob("gateway.db*"))

    assert hashlib.sha256(kept).digest() != hashlib.sha256(b"").digest()
    assert secret not in kept
    assert secret not in (home / "logs" / "gateway.log").read_bytes()


# --- commands beside a running server --------------------------------------------------------------------------------


def test_commands_find_what_a_running_server_keeps(gateway: RunningGateway, home: Path) -> None:
    message = send(gateway, 40)

    listed = nsw(home, "messages", "list", "--reference", Consignment(number=40).file_code, "--json")
    shown = nsw(home, "messages", "show", message, "--json")

    assert [row["id"] for row in json.loads(listed.stdout)["items"]] == [message]
    assert json.loads(shown.stdout)["id"] == message
    assert (listed.returncode, shown.returncode) == (0, 0)
