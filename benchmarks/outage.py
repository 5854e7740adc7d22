"""What a partner that accepts connections and never answers costs the other nine, and how soon it is taken up when it is back.

Every application goes to ten partners, each of which takes a twentieth of a second to answer, so that places and not cores are what is
short. Load is offered at 70 % of the capacity that is measured first, before and while one of the ten hangs for a minute. The load and
the partners share the gateway's cores, so latencies say less than the ratio of throughputs.
"""

import http.client
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.ground import target
from gateway.testing.gateway import RunningGateway
from gateway.testing.outage import HANGS, PARTNERS, Partners, applications, longest_gap, write_rules
from gateway.testing.world import until

WARM_UP, BURST = 30, 100  # applications
SHARE = 0.7  # of the capacity measured
BEFORE, OUTAGE, AFTER = 20.0, 60.0, 10.0  # seconds
ANSWER_SECONDS = 0.05  # what a partner takes for each: places, not cores, are then what is short
SENDERS = 8
HEALTHY = PARTNERS[:-1]
RATIO, FIRST_SECONDS = 0.95, 5.0
HEADERS = {"content-type": "text/xml; charset=utf-8", "soapaction": '""'}


def measure() -> dict[str, Any]:
    """Give the figures and the targets."""
    with tempfile.TemporaryDirectory() as home, Partners(seconds=ANSWER_SECONDS).serving() as partners:
        write_rules(Path(home), limits={})
        gateway = RunningGateway(Path(home))
        gateway.reach(partners.endpoints())
        with gateway:
            load = Load(gateway=gateway, partners=partners)
            load.burst(WARM_UP)
            capacity = BURST / load.burst(BURST)
            return _outage(load, capacity)


@dataclass(slots=True)
class Load:
    """Sends applications, at once or at a rate, and remembers when each was sent."""

    gateway: RunningGateway
    partners: Partners
    sent: dict[str, float] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def burst(self, size: int) -> float:
        """Send so many as fast as may be; gives how long it took until all ten had them."""
        started = time.monotonic()
        self.offer(self.written(size), rate=None)
        until(lambda: self.all_at(*PARTNERS), "the burst at all ten", seconds=300, every=0.02)
        return time.monotonic() - started

    def written(self, size: int) -> list[tuple[str, bytes]]:
        """Write applications beforehand."""
        return applications(self.gateway.pki, size, first=next(self.numbers) * 100_000)

    def offer(self, bodies: Sequence[tuple[str, bytes]], *, rate: float | None) -> None:
        """Send each at its time, whatever became of those before it."""
        place, lock, started, queue = urlsplit(self.gateway.url), threading.Lock(), time.monotonic(), enumerate(bodies)

        def send() -> None:
            connection = http.client.HTTPConnection(place.hostname or "", place.port)
            while True:
                with lock:
                    number, (message, body) = next(queue, (0, ("", b"")))
                if not message:
                    break
                time.sleep(max(started + number / rate - time.monotonic(), 0) if rate else 0)
                self.sent[message] = time.monotonic()
                connection.request("POST", "/ws", body, HEADERS)
                connection.getresponse().read()
            connection.close()

        threads = [threading.Thread(target=send) for _ in range(SENDERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def all_at(self, *codes: str) -> bool:
        """Say whether partners have all that was sent."""
        return all({message for message, _ in self.partners.answered[code]} >= self.sent.keys() for code in codes)


def _outage(load: Load, capacity: float) -> dict[str, Any]:
    rate, partners = SHARE * capacity, load.partners
    bodies = load.written(round(rate * (BEFORE + OUTAGE + AFTER)))
    offering = threading.Thread(target=load.offer, args=(bodies,), kwargs={"rate": rate})
    began = time.monotonic()
    offering.start()
    time.sleep(BEFORE)
    fell = time.monotonic()
    partners.hanging = frozenset({HANGS})
    time.sleep(OUTAGE)
    wasted = len([at for at in partners.arrived[HANGS] if at >= fell])
    counted = _attempts(load.gateway)
    back = time.monotonic()
    partners.hanging = frozenset()
    offering.join()
    until(lambda: load.all_at(*PARTNERS), "all at all ten", seconds=300, every=0.05)
    done = time.monotonic()
    before, during = (_through(partners, start, end) for start, end in ((began, fell), (fell, back)))
    first = min(at for _, at in partners.answered[HANGS] if at >= back) - back
    figures = {
        "capacity_messages_per_s": round(capacity, 1),
        "deliveries_per_s_to_nine_before": round(before, 1),
        "deliveries_per_s_to_nine_during": round(during, 1),
        "p50_ms_before": _late(load, began, fell, 50),
        "p50_ms_during": _late(load, fell, back, 50),
        "p99_ms_before": _late(load, began, fell, 99),
        "p99_ms_during": _late(load, fell, back, 99),
        "longest_gap_ms_of_any_of_nine": round(1e3 * max(_gap(partners, code, fell, back) for code in HEALTHY)),
        "requests_unanswered": wasted,
        "attempts_counted": counted,
        "backlog_messages": sum(began <= at < back for at in load.sent.values())
        - sum(began <= at < back for _, at in partners.answered[HANGS]),
        "backlog_cleared_s": round(done - back, 1),
        "first_delivery_after_s": round(first, 2),
    }
    ratio = during / before
    targets = [
        target("throughput to nine, during / before", ratio, RATIO, at_least=True),
        target("seconds to the first delivery after", first, FIRST_SECONDS, at_least=False),
    ]
    return {"figures": figures, "targets": targets, "ratio": round(ratio, 3)}


def _through(partners: Partners, start: float, end: float) -> float:
    return sum(start <= at < end for code in HEALTHY for _, at in partners.answered[code]) / (end - start)


def _late(load: Load, start: float, end: float, share: int) -> int:
    """Give a percentile of the time from sending to arriving at any of the nine, in milliseconds."""
    sent = {message: at for message, at in load.sent.items() if start <= at < end}
    late = sorted(at - sent[message] for code in HEALTHY for message, at in load.partners.answered[code] if message in sent)
    return round(1e3 * late[len(late) * share // 100])


def _gap(partners: Partners, code: str, start: float, end: float) -> float:
    return longest_gap([at for _, at in partners.answered[code] if start <= at < end])


def _attempts(gateway: RunningGateway) -> int:
    """Add up the attempts of what waits for the partner that hangs."""
    total, cursor = 0, ""
    while True:
        page = gateway.get(f"/api/v1/deliveries?party={HANGS}&limit=200{cursor}")
        total += sum(int(d["attempt"]) for d in page["items"] if d["state"] != "delivered")
        if page["next_cursor"] is None:
            return total
        cursor = f"&cursor={page['next_cursor']}"
