"""A whole gateway, and simulated agencies, as processes of their own; what the journey and the kill tests run against."""

import http.client
import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from gateway.model import Reply
from gateway.security.devpki import generate

from .process import Process

T = TypeVar("T")
SERVE = ("-c", "from gateway.cli.main import run; run()", "serve")
WITHIN_SECONDS = 30.0


class RunningGateway:
    """`nsw serve` on a home folder of its own; a context manager. After the first start it keeps its port."""

    def __init__(self, home: Path, *, environment: Mapping[str, str] | None = None) -> None:
        """Describe a gateway; `environment` adds NSW_* settings."""
        self.home = home
        self.url = ""
        self._process = Process(SERVE, log=home / "serve.log", environment={"NSW_HOME": str(home), "NSW_PORT": "0", **(environment or {})})

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pki(self) -> Path:
        """Its development keys."""
        return self.home / "pki"

    def start(self) -> None:
        """Make what is missing of the development PKI and start; raises NotReadyError."""
        generate(self.pki, now=datetime.now(UTC))
        port = {"NSW_PORT": str(urlsplit(self.url).port)} if self.url else {}
        self.url = self._process.start(environment=port)

    def stop(self) -> int:
        """Stop it in good order and give its exit code."""
        return self._process.stop()

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._process.kill()

    def restart(self) -> None:
        """Kill it and start it again at the same address."""
        self.kill()
        self.start()

    def reach(self, endpoints: Mapping[str, str]) -> None:
        """Say where parties are; a running gateway notices within a second."""
        rules = self.home / "rules"
        rules.mkdir(parents=True, exist_ok=True)
        part = rules / ".endpoints.toml.part"
        part.write_text("[endpoints]\n" + "".join(f"{json.dumps(code)} = {json.dumps(url)}\n" for code, url in endpoints.items()), "utf-8")
        part.replace(rules / "endpoints.toml")

    def ask(self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Reply:
        """Ask it something over HTTP; raises OSError where it does not answer."""
        return ask(self.url + path, method=method, body=body, headers=headers)

    def read(self, path: str) -> Any:
        """Read a JSON resource; raises ValueError where the answer is none."""
        return json.loads(self.ask("GET", path).body)


class SimulatedAgency:
    """One simulated agency as a process; a context manager. After the first start it keeps its port and its journal."""

    def __init__(self, name: str, folder: Path, *, pki: Path | None = None) -> None:
        """Describe an agency by its entry point's name."""
        self.url = ""
        keys = ("--pki", str(pki)) if pki else ()
        self._arguments = ("-m", "gateway.testing.simulate", name, *keys, "--folder", str(folder))
        self._log = folder / "simulator.log"
        self._gateway = ""
        self._process: Process | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it; raises NotReadyError."""
        port = str(urlsplit(self.url).port or 0)
        self._process = Process((*self._arguments, "--port", port, "--gateway", self._gateway), log=self._log)
        self.url = self._process.start()

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.stop()

    def meet(self, gateway: str) -> None:
        """Say where the gateway is."""
        self._gateway = gateway
        self.order("/_control", {"gateway": gateway})

    def control(self, mode: str, *, delay_ms: int = 0) -> None:
        """Change how it behaves: "up", "down", "slow", "wrong"."""
        self.order("/_control", {"mode": mode, "delay_ms": delay_ms})

    def order(self, path: str, order: Mapping[str, object]) -> Any:
        """Give it an order, such as /_do/send-application; raises ValueError with its words where it refuses."""
        reply = ask(self.url + path, method="POST", body=json.dumps(order).encode(), headers={"content-type": "application/json"})
        if reply.status != http.client.OK:
            raise ValueError(reply.body.decode("utf-8", "replace"))
        return json.loads(reply.body)

    def report(self) -> Any:
        """Say what reached it, what took effect, and what it sent."""
        return json.loads(ask(self.url + "/_arrivals").body)

    def effect(self, message_id: str) -> bytes:
        """Give a message that took effect, as it arrived; empty where there is none."""
        return ask(f"{self.url}/_effects/{message_id}").body


def ask(url: str, *, method: str = "GET", body: bytes = b"", headers: Mapping[str, str] | None = None) -> Reply:
    """Ask a local server; raises OSError where nobody answers."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port or 80, timeout=WITHIN_SECONDS)
    try:
        connection.request(method, url.removeprefix(f"http://{place.netloc}") or "/", body or None, dict(headers or {}))
        response = connection.getresponse()
        return Reply(status=response.status, body=response.read(), headers={k.lower(): v for k, v in response.getheaders()})
    except http.client.HTTPException as error:
        raise ConnectionError(type(error).__name__) from error
    finally:
        connection.close()


def eventually(look: Callable[[], T], *, within: float = WITHIN_SECONDS, every: float = 0.05) -> T:
    """Look until something true is seen, and give it; raises TimeoutError. What is not answered yet counts as not seen."""
    end = time.monotonic() + within
    while True:
        try:
            seen = look()
        except OSError:
            seen = None
        if seen:
            return seen
        if time.monotonic() > end:
            raise TimeoutError(f"not seen within {within:g} s; last: {seen!r}")
        time.sleep(every)
