"""Ten partners of one procedure, one of which can hang: it accepts connections, reads what is sent, and never answers.

Every application goes to all ten, so each partner bears a tenth of the load, and each application's way shows whom an outage delays.
"""

import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

from gateway.security.signer import sign_system
from gateway.xml.shipped import shipped
from gateway.xml.soap import escape_text

from . import builders
from .applicant import party_key
from .contents import Consignment
from .gateway import RunningGateway

PARTNERS = ("BNN", *(f"P{n}" for n in range(1, 10)))
HANGS = PARTNERS[-1]
PROCEDURE = "procedures/BNN/phytosanitary-export.toml"
PARTY = """\
[[party]]
code = "{code}"
adapter = "agriculture"
accepts = {{ signature = "none" }}
identity = {{ name = "{code}", identity = "{code}", country = "VN", ministry = "{code}", organization = "{code}" }}
{limits}
"""
ROUTE = """
[[route]]
name = "to-{name}"
to = "{code}"
messages = ["10/01"]
order = "none"
"""
EXAMPLE = 'message = "10/01"\nfrom = "NSW"\nto = ["BNN"'
ID = re.compile(rb"messageId(?:&gt;|>)([^<&]+)")
RECEIVED = (  # a ministry's 99
    b"<Envelope><Header><Reference><messageId>1</messageId></Reference><From><identity>BNN</identity></From><To><identity>NSW</identity></To>"
    b"<Subject><documentType>BNN&amp;PTNT0300002</documentType><type>10</type><function>99</function><reference>1</reference>"
    b"<documentYear>2026</documentYear></Subject></Header>"
    b"<Body><Content><ReceiveDate>2026-11-21 08:00:00</ReceiveDate></Content></Body></Envelope>"
)
REPLY = (
    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><receiveResponse xmlns="http://mard.gov.vn/nsw/services">'
    b'<receiveResult xmlns:a="http://mard.gov.vn/nsw/data/contract"><a:responsePayload>%b</a:responsePayload></receiveResult>'
    b"</receiveResponse></s:Body></s:Envelope>"
) % escape_text(RECEIVED)


class Partners:
    """Serves all ten on one port of 127.0.0.1, and remembers what reached each, and when it was answered."""

    def __init__(self, *, seconds: float = 0.0) -> None:
        """Take so long for each answer. `answered` is message ids with their times, `arrived` what came, answered or not."""
        self._seconds = seconds
        self.answered: defaultdict[str, list[tuple[str, float]]] = defaultdict(list)
        self.arrived: defaultdict[str, list[float]] = defaultdict(list)
        self.hanging: frozenset[str] = frozenset()
        self.url = ""
        self._over = threading.Event()

    @contextmanager
    def serving(self) -> Iterator["Partners"]:
        """Serve until the end of the block; whoever hangs then is let go without an answer."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"partners": self}))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            self._over.set()
            server.shutdown()
            server.server_close()

    def endpoints(self) -> Mapping[str, str]:
        """Say where each partner is."""
        return {code: f"{self.url}/{code}" for code in PARTNERS}

    def takes(self, code: str, body: bytes) -> bool:
        """Note what came; says whether it is answered. A partner that hangs keeps the connection, even after it came back."""
        self.arrived[code].append(time.monotonic())
        if code in self.hanging:
            self._over.wait()
            return False
        found = ID.search(body)
        self._over.wait(self._seconds)
        self.answered[code].append((found[1].decode() if found else "", time.monotonic()))
        return True


class _Handler(BaseHTTPRequestHandler):
    partners: Partners
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Take a message."""
        body = self.rfile.read(int(self.headers["content-length"]))
        if not self.partners.takes(self.path.strip("/"), body):
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("content-type", "text/xml; charset=utf-8")
        self.send_header("content-length", str(len(REPLY)))
        self.end_headers()
        self.wfile.write(REPLY)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def write_rules(home: Path, *, limits: Mapping[str, str]) -> None:
    """Declare the nine beside the ministry, and send every application to all ten; `limits` are lines of a partner's table."""
    rules = home / "rules"
    (rules / "parties").mkdir(parents=True, exist_ok=True)
    added = "\n".join(PARTY.format(code=code, limits=limits.get(code, "")) for code in PARTNERS[1:])
    (rules / "parties" / "partners.toml").write_text(added, "utf-8")
    text = (shipped("routing_rules") / PROCEDURE).read_text("utf-8")
    assert EXAMPLE in text  # noqa: S101  # the shipped procedure's first example
    others = "".join(f', "{code}"' for code in PARTNERS[1:])
    path = rules / PROCEDURE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        text.replace(EXAMPLE, EXAMPLE + others, 1) + "".join(ROUTE.format(code=code, name=code.lower()) for code in PARTNERS[1:]), "utf-8"
    )


def applications(pki: Path, count: int, *, first: int = 1) -> list[tuple[str, bytes]]:
    """Write applications that the portal signed; gives each one's message id and SOAP body."""
    key, found = party_key(pki), []
    for number in range(first, first + count):
        about = Consignment(number=number)
        body = builders.soap(sign_system(builders.message("10/01", about), key), client="saaj")
        found.append((builders.message_id("10/01", about), body))
    return found


def standing(gateway: RunningGateway, code: str) -> Mapping[str, object]:
    """Say how a partner stands, as the gateway's REST interface tells it."""
    found: Mapping[str, object] = next(item for item in gateway.get("/api/v1/parties")["items"] if item["code"] == code)
    return found


def longest_gap(times: Sequence[float]) -> float:
    """Say how long the longest time without a delivery was, in seconds."""
    return max((later - earlier for earlier, later in pairwise(times)), default=0.0)
