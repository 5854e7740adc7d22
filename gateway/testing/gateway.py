"""A whole gateway, and simulated agencies, as processes of their own; what the journey and the kill tests run against."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from gateway.errors import Code, Conflict, Problem
from gateway.model import Reply
from gateway.security.devpki import generate

from .client import ask
from .process import Process

SERVE = ("-m", "gateway.cli", "serve")
OURS = b"# Where simulated agencies are, written anew at each start. A file that does not begin with this line is never overwritten.\n"


class RunningGateway:
    """`nsw serve` on a home folder of its own; a context manager. After the first start it keeps its port."""

    def __init__(self, home: Path, *, port: int = 0, environment: Mapping[str, str] | None = None, program: Sequence[str] = SERVE) -> None:
        """Describe a gateway; `environment` adds NSW_* settings, `program` is what this Python runs."""
        self.home = home
        self.url = ""
        settings = {"NSW_HOME": str(home), "NSW_PORT": str(port), **(environment or {})}
        self.rules = Path(settings.get("NSW_RULES", home / "rules"))
        self._process = Process(program, log=home / "logs" / "gateway.log", environment=settings)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process's id; 0 before the first start."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Say whether the process is there."""
        return self._process.running

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
        """Say where parties are; a running gateway notices within a second. Raises Conflict where an installation's own addresses stand."""
        file, part = self.rules / "endpoints.toml", self.rules / ".endpoints.toml.part"
        if file.exists() and not file.read_bytes().startswith(OURS):
            raise Conflict(Code.CONFLICT, Problem(text="cli.demo-addresses", path=str(file)))
        self.rules.mkdir(parents=True, exist_ok=True)
        lines = "".join(f"{json.dumps(code)} = {json.dumps(url)}\n" for code, url in endpoints.items())
        part.write_bytes(OURS + f"[endpoints]\n{lines}".encode())
        part.replace(file)

    def ask(self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Reply:
        """Ask it something over HTTP; raises OSError where it does not answer."""
        return ask(self.url + path, method=method, body=body, headers=headers)

    def get(self, path: str) -> Any:
        """Read a JSON resource; raises OSError where it does not answer 200."""
        reply = self.ask("GET", path)
        if reply.status != HTTPStatus.OK:
            raise OSError(f"{path} answered {reply.status}")
        return json.loads(reply.body)


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
        if reply.status != HTTPStatus.OK:
            raise ValueError(reply.body.decode("utf-8", "replace"))
        return json.loads(reply.body)

    def report(self) -> Any:
        """Say what reached it, what took effect, and what it sent."""
        return json.loads(ask(self.url + "/_arrivals").body)

    def effect(self, message_id: str) -> bytes:
        """Give a message that took effect, as it arrived; empty where there is none."""
        return ask(f"{self.url}/_effects/{message_id}").body
