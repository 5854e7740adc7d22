"""A sender at the gateway's live doors, with a client's patience."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.model import Reply
from gateway.testing import builders
from gateway.testing.applicant import signed_application
from gateway.testing.client import post
from gateway.testing.contents import Consignment
from gateway.testing.journey import Traveller
from gateway.testing.vnsw import SOAP_REQUEST, Answer, read_answer

PATIENCE = 5.0  # seconds a client waits; the field's wait 15
XML = {"content-type": "application/xml"}
SOAP_12 = {"content-type": "application/soap+xml; charset=utf-8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """The SOAP door and the REST door of a running gateway; remembers how long each answer took."""

    traveller: Traveller
    seconds: list[float] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.traveller.world.gateway.url

    def soap(self, body: bytes, *, headers: Mapping[str, str] = SOAP_REQUEST) -> Reply:
        return self._post("/ws", body, headers)

    def rest(self, body: bytes, *, headers: Mapping[str, str] = XML) -> Reply:
        return self._post("/api/v1/documents", body, headers)

    def call(self, envelope: bytes, *, client: str = "saaj", version: str = "1.1") -> Answer:
        """Wrap an envelope as one of the field's clients, send it, and read the answer."""
        headers = SOAP_REQUEST if version == "1.1" else SOAP_12
        return read_answer(self.soap(builders.soap(envelope, client=client, version=version), headers=headers).body)

    def application(self, *, message_id: str = "", about: Consignment | None = None) -> bytes:
        """Sign a new application, or one about a consignment that is known already."""
        consignment = about or self.traveller.application()
        return signed_application(self.traveller.world.gateway.pki, consignment, sent_at=datetime.now(UTC), message_id=message_id)

    def get(self, path: str) -> Any:
        return self.traveller.world.gateway.get(path)

    def order(self, path: str, order: object = None) -> Reply:
        """Post a staff order to the REST interface."""
        body = b"" if order is None else json.dumps(order).encode()
        return self._post(path, body, {"content-type": "application/json"})

    def _post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        started = time.perf_counter()
        reply = post(self.url + path, body, headers, timeout=PATIENCE)
        self.seconds.append(time.perf_counter() - started)
        return reply


@pytest.fixture
def doors(traveller: Traveller, record_property: Any) -> Any:
    """Lend the doors to a test; the slowest answer is reported with it."""
    lent = Doors(traveller=traveller)
    yield lent
    record_property("slowest_answer_ms", round(1000 * max(lent.seconds, default=0)))
