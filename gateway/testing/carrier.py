"""An agency that takes attachments: its adapter, installed beside the shipped ones, and the agency itself."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from gateway.lifecycle import Delivered, Failed, Outcome
from gateway.model import Envelope, Reply, Request, Route
from gateway.ports import Profile
from gateway.xml.shipped import shipped

TAKEN = b"<Taken/>"


class Carrier:
    """Implements ports.Adapter: the document as it came, and everything that came beside it."""

    profile = Profile(name="carrier", protocol="vnsw", specification="for tests; no agency speaks it", attachments=True)

    def encode(self, envelope: Envelope, route: Route) -> Request:
        """Write the document, and hand the attachments on."""
        headers = {"content-type": "application/xml", "x-message": envelope.id}
        body = envelope.document.content
        return Request(endpoint=route.endpoint, action="", body=body, headers=headers, attachments=envelope.attachments)

    def decode(self, reply: Reply) -> Outcome:
        """Take its word for it."""
        return Delivered() if reply.body == TAKEN else Failed(code=f"http-{reply.status}")


ADAPTER = Carrier()


def install(home: Path) -> dict[str, str]:
    """Let the gateway of a home folder find the adapter, and reach the ministry through it; gives what its environment needs."""
    packages = home / "packages" / "carrier-1.dist-info"
    packages.mkdir(parents=True)
    (packages / "METADATA").write_text("Metadata-Version: 2.1\nName: carrier\nVersion: 1\n", "ascii")
    (packages / "entry_points.txt").write_text(f"[nsw_gateway.adapters]\ncarrier = {__name__}:ADAPTER\n", "ascii")
    rules = home / "rules"
    rules.mkdir(parents=True, exist_ok=True)
    text = (shipped("routing_rules") / "parties.toml").read_text("utf-8")
    at = text.index('code = "BNN"')
    (rules / "parties.toml").write_text(text[:at] + text[at:].replace('adapter = "agriculture"', 'adapter = "carrier"', 1), "utf-8")
    return {"PYTHONPATH": str(home / "packages")}


@dataclass(slots=True)
class Agency:
    """What reached the agency: of each request its headers, its size, and the digest of each part's content."""

    url: str = ""
    parts: list[list[str]] = field(default_factory=list)
    heads: list[list[bytes]] = field(default_factory=list)
    media_types: list[str] = field(default_factory=list)
    trouble: int = 0  # requests that are answered 503 first

    def take(self, media_type: str, body: bytes) -> bytes:
        """Take one request apart."""
        boundary = media_type.partition('boundary="')[2].rstrip('"').encode()
        pieces = body.split(b"--" + boundary)[1:-1] if boundary else [b"\r\n\r\n" + body + b"\r\n"]
        split = [piece.partition(b"\r\n\r\n") for piece in pieces]
        if self.trouble:
            self.trouble -= 1
            return json.dumps("come again").encode()
        self.media_types.append(media_type)
        self.heads.append([head for head, _, _ in split])
        self.parts.append([hashlib.sha256(content[:-2]).hexdigest() for _, _, content in split])
        return TAKEN


@contextmanager
def serving() -> Iterator[Agency]:
    """Serve the agency on a port of its own."""
    agency = Agency()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            answer = agency.take(self.headers["content-type"], self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200 if answer == TAKEN else 503)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    agency.url = f"http://127.0.0.1:{server.server_port}/"
    yield agency
    server.shutdown()
    server.server_close()
    thread.join()
