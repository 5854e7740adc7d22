"""A simulated party that fetches from its mailbox, as docs/howto/fetch-from-a-mailbox.md tells partners to do."""

import hashlib
import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from gateway.model import Reply

from .client import ask

MAILBOX = "/api/v1/mailbox"


@dataclass(slots=True)
class Fetcher:
    """One party's program: `effects` counts what each message did here; a message that it has already does nothing again."""

    url: str
    key: str
    documents: dict[str, bytes] = field(default_factory=dict)
    effects: dict[str, int] = field(default_factory=dict)

    def collect(self, *, limit: int = 10, lease_seconds: int = 60) -> list[dict[str, Any]]:
        """Take what waits; raises OSError where it is not answered 200, ValueError where a document is not what its digest says."""
        items: list[dict[str, Any]] = self._order("/collect", {"limit": limit, "lease_seconds": lease_seconds})["items"]
        for item in items:
            if hashlib.sha256(b64decode(item["document"])).hexdigest() != item["sha256"]:
                raise ValueError(item["delivery"])
        return items

    def keep(self, item: Mapping[str, Any]) -> None:
        """Store what was taken, once for each message."""
        if item["message"] not in self.documents:
            self.documents[item["message"]] = b64decode(item["document"])
            self.effects[item["message"]] = self.effects.get(item["message"], 0) + 1

    def confirm(self, item: Mapping[str, Any]) -> Reply:
        """Say that it is stored."""
        return self.post(f"/{item['delivery']}/confirm", {"token": item["token"], "reference": f"K-{len(self.documents)}"})

    def refuse(self, item: Mapping[str, Any], reason: str) -> Reply:
        """Say that it will not be taken."""
        return self.post(f"/{item['delivery']}/refuse", {"token": item["token"], "reason": reason})

    def fetch(self) -> int:
        """Take, keep and confirm until nothing waits; says how many there were."""
        count = 0
        while items := self.collect():
            for item in items:
                self.keep(item)
                self.confirm(item)
            count += len(items)
        return count

    def waiting(self) -> Any:
        """Look how much there is."""
        return self._read(ask(self.url + MAILBOX, headers={"x-api-key": self.key}))

    def post(self, path: str, order: object) -> Reply:
        """Give the mailbox an order."""
        headers = {"x-api-key": self.key, "content-type": "application/json"}
        return ask(self.url + MAILBOX + path, method="POST", body=json.dumps(order).encode(), headers=headers)

    def _order(self, path: str, order: object) -> Any:
        return self._read(self.post(path, order))

    def _read(self, reply: Reply) -> Any:
        if reply.status != HTTPStatus.OK:
            raise OSError(f"{reply.status}: {reply.body[:200]!r}")
        return json.loads(reply.body)
