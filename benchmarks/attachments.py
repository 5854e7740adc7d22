"""What a large attachment costs in memory: 100 MiB in at the REST door, kept encrypted, and out to an agency, in one gateway process.

The figure is the peak of the process's resident memory from the first byte in to the delivery settled, over what it holds when idle
after a small message has warmed everything up. Sender and agency are other processes' business.
"""

import hashlib
import http.client
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.ground import target
from gateway.testing import carrier
from gateway.testing.applicant import signed_application
from gateway.testing.carrier import Agency
from gateway.testing.contents import Consignment
from gateway.testing.gateway import RunningGateway
from gateway.testing.postgres import fresh_database, serving
from gateway.testing.world import until

MIB = 1_048_576
SIZE = 100 * MIB
BOUND_MIB = 64
BOUNDARY = b"b0undary"
BLOCK = os.urandom(MIB)


def measure() -> dict[str, Any]:
    """Give the figures and the targets, over both databases and so over both stores."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as server, fresh_database(server.url) as url:
        runs = {"sqlite": _run({}), "postgresql": _run({"NSW_DATABASE_URL": url})}
    figures = {"attachment_mib": SIZE // MIB} | {f"{on}_{name}": round(value, 2) for on, run in runs.items() for name, value in run.items()}
    targets = [target(f"peak over idle, MiB, {on}", run["peak_over_idle_mib"], BOUND_MIB, at_least=False) for on, run in runs.items()]
    return {"figures": figures, "targets": targets}


def _run(settings: Mapping[str, str]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as home, carrier.serving() as agency:
        gateway = RunningGateway(Path(home), environment={**settings, **carrier.install(Path(home))})
        gateway.reach({"BNN": agency.url})
        with gateway:
            for number in (1, 2):
                _through(gateway, agency, number, size=MIB)
            _forget_peak(gateway.pid)
            idle = _resident(gateway.pid, "VmRSS")
            taken_in, delivered = _through(gateway, agency, 3, size=SIZE)
            peak = _resident(gateway.pid, "VmHWM")
    return {"idle_mib": idle, "peak_mib": peak, "peak_over_idle_mib": peak - idle, "intake_s": taken_in, "delivery_s": delivered}


def _through(gateway: RunningGateway, agency: Agency, number: int, *, size: int) -> tuple[float, float]:
    """Send one message and wait until the agency has it; gives the seconds until the answer, and from there to the delivery."""
    digest = hashlib.sha256()
    for block in _content(number, size):
        digest.update(block)
    started = time.monotonic()
    status = _send(gateway, number, size)
    if status != http.HTTPStatus.ACCEPTED:
        raise RuntimeError(f"the gateway answered {status}")
    accepted = time.monotonic()
    until(lambda: [digest.hexdigest()] in [parts[1:] for parts in agency.parts], "the delivery", seconds=120)
    return accepted - started, time.monotonic() - accepted


def _send(gateway: RunningGateway, number: int, size: int) -> int:
    document = signed_application(gateway.pki, Consignment(number=number), sent_at=datetime.now(UTC))
    head = b'--%b\r\nContent-Disposition: form-data; name="document"\r\nContent-Type: application/xml\r\n\r\n%b\r\n' % (BOUNDARY, document)
    head += b'--%b\r\nContent-Disposition: form-data; name="file"; filename="scan.tif"\r\nContent-Type: image/tiff\r\n\r\n' % BOUNDARY
    tail = b"\r\n--%b--\r\n" % BOUNDARY
    place = urlsplit(gateway.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port)
    headers = {
        "content-type": f"multipart/form-data; boundary={BOUNDARY.decode()}",
        "content-length": str(len(head) + size + len(tail)),
    }
    connection.request("POST", "/api/v1/documents", headers=headers)
    for piece in (head, *_content(number, size), tail):
        connection.send(piece)
    reply = connection.getresponse()
    reply.read()
    connection.close()
    return reply.status


def _content(number: int, size: int) -> Iterator[bytes]:
    """Write blocks that no compression helps with, other ones in each message."""
    mark = number.to_bytes(16)
    return (mark + n.to_bytes(16) + BLOCK[32:] for n in range(size // MIB))


def _resident(pid: int, line: str) -> float:
    """Read one of the kernel's figures of a process's memory, in MiB."""
    text = Path(f"/proc/{pid}/status").read_text("ascii")
    return int(next(found for found in text.splitlines() if found.startswith(line)).split()[1]) / 1024


def _forget_peak(pid: int) -> None:
    """Let the kernel note the peak anew from here on."""
    Path(f"/proc/{pid}/clear_refs").write_text("5\n", "ascii")
