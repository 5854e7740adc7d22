"""What a message costs from socket to socket: HTTP SOAP in, durable on SQLite FULL, signed, delivered over HTTP to a stub, settled.

The figure that counts is CPU: the floor's per message (intake's floor with a signed reply, and one C14N, digest and RSA sign for
the delivery) over the gateway's, which a noisy machine cannot fake. Messages are signed with RSA-2048; the gateway signs with the
P-256 key it is set up with, and, in a second run, with one of RSA-2048. Load is bounded: a few connections, a fixed count, loopback.
"""

import http.client
import os
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from benchmarks.ground import application, bare, cpu, floor_of, make_pki, target
from gateway.model import Reply
from gateway.protocols.vnsw import client
from gateway.protocols.vnsw.dialects import GATEWAY
from gateway.security.devpki import NewKey, p256, rsa2048
from gateway.testing import builders
from gateway.testing.gateway import RunningGateway
from gateway.testing.outage import Partners
from gateway.testing.world import until
from gateway.xml.shipped import shipped

ROUNDS = 6
MESSAGES = 150  # in a round
WARM_UP = 100
CLIENTS = 8
BOUND = 0.40
SETTLED = 'nsw_events_total{code="",event="delivery.settled"}'
TICKS = os.sysconf("SC_CLK_TCK")
HEADERS = {"content-type": "text/xml; charset=utf-8", "soapaction": '""'}


def measure() -> dict[str, Any]:
    """Give the figures, the target and the headline."""
    floors, rounds, peak = _run(p256, ROUNDS)
    rsa_floors, rsa_rounds, _ = _run(rsa2048, ROUNDS // 2)
    result = _result(floors, rounds, peak)
    result["figures"]["ratio_with_own_key_of_rsa_2048"] = round(_ratio(rsa_floors, rsa_rounds), 3)
    return result


def _run(own: NewKey, count: int) -> tuple[list[float], "list[Round]", float]:
    """Time floor and load in turns, because neighbours come and go; gives both and the peak memory in MiB."""
    with tempfile.TemporaryDirectory() as home, Partners().serving() as partners:
        folder = Path(home)
        pki = make_pki(folder, own=own)
        _accept_signatures(folder)
        documents = [application(pki, n, person=False) for n in range(WARM_UP + count * MESSAGES)]
        bodies = [builders.soap(document, client="saaj") for document in documents]
        with RunningGateway(folder) as gateway:
            gateway.reach({"BNN": partners.endpoints()["BNN"]})
            time.sleep(2)  # a running gateway notices new addresses within a second
            answer = _round(gateway, bodies, 0, WARM_UP).answer
            floor = floor_of(pki, client.signed_part(GATEWAY, Reply(status=200, body=answer)) or b"")
            floors, rounds = [], []
            for start in range(WARM_UP, len(bodies), MESSAGES):
                messages = [bare(d) for d in documents[start : start + MESSAGES]]
                floors.append(cpu(lambda: [floor.carried(m) for m in messages]) / MESSAGES)  # noqa: B023  # called at once
                rounds.append(_round(gateway, bodies, start, start + MESSAGES))
            return floors, rounds, _peak_mib(gateway.pid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round of load showed; times in seconds."""

    answer: bytes
    latencies: list[float]
    accepted: float
    delivered: float
    cpu: float  # of all the gateway's threads, each message


def _round(gateway: RunningGateway, bodies: list[bytes], start: int, end: int) -> Round:
    before, started = _cpu_seconds(gateway.pid), time.monotonic()
    answer, latencies = _load(gateway, bodies[start:end])
    accepted = time.monotonic() - started
    _settled(gateway, end)
    delivered = time.monotonic() - started
    spent = (_cpu_seconds(gateway.pid) - before) / (end - start)
    return Round(answer=answer, latencies=latencies, accepted=accepted, delivered=delivered, cpu=spent)


def _result(floors: list[float], rounds: list[Round], peak: float) -> dict[str, Any]:
    latencies = sorted(seconds for r in rounds for seconds in r.latencies)
    ratio = _ratio(floors, rounds)
    figures = {
        "accepted_per_s": round(MESSAGES / median(r.accepted for r in rounds), 1),
        "delivered_per_s": round(MESSAGES / median(r.delivered for r in rounds), 1),
        "reply_p50_ms": round(latencies[len(latencies) // 2] * 1e3, 1),
        "reply_p99_ms": round(latencies[len(latencies) * 99 // 100] * 1e3, 1),
        "gateway_cpu_us_per_message": round(median(r.cpu for r in rounds) * 1e6),
        "floor_cpu_us_per_message": round(median(floors) * 1e6),
        "gateway_peak_mib": peak,
    }
    return {"figures": figures, "targets": [target("floor CPU / gateway CPU", ratio, BOUND, at_least=True)], "ratio": round(ratio, 3)}


def _ratio(floors: list[float], rounds: list[Round]) -> float:
    return median(floor / r.cpu for floor, r in zip(floors, rounds, strict=True))


def _load(gateway: RunningGateway, bodies: list[bytes]) -> tuple[bytes, list[float]]:
    """Post all from a few connections; gives one answer, and the sorted times to answer in seconds."""
    queue, lock = iter(bodies), threading.Lock()
    latencies: list[float] = []
    answers: list[bytes] = []
    place = urlsplit(gateway.url)

    def client() -> None:
        connection = http.client.HTTPConnection(place.hostname or "", place.port)
        while True:
            with lock:
                body = next(queue, None)
            if body is None:
                break
            started = time.perf_counter()
            connection.request("POST", "/ws", body, HEADERS)
            answers[:] = [connection.getresponse().read()]
            latencies.append(time.perf_counter() - started)
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers[0], sorted(latencies)


def _settled(gateway: RunningGateway, count: int) -> None:
    """Wait until so many deliveries are made, as the gateway's metrics say."""

    def made() -> bool:
        lines = gateway.ask("GET", "/metrics").body.decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(SETTLED)) >= count

    until(made, f"{count} deliveries made", seconds=120, every=0.25)


def _accept_signatures(home: Path) -> None:
    """Let the ministry take signed messages, so that each delivery is signed."""
    rules = home / "rules"
    rules.mkdir(parents=True, exist_ok=True)
    text = (shipped("routing_rules") / "parties.toml").read_text("utf-8")
    ministry = text.index('code = "BNN"')
    plain = 'accepts = { signature = "none" }'
    at = text.index(plain, ministry)
    (rules / "parties.toml").write_text(text[:at] + 'accepts = { signature = "xmldsig" }' + text[at + len(plain) :], "utf-8")


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _peak_mib(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines() if line.startswith("VmHWM"))
    return round(int(line.split()[1]) / 1024, 1)
