"""A message that kills whoever writes it for its partner: it alone is set aside, and what waited beside it arrives."""

import os
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from gateway import bootstrap
from gateway.config import Settings
from gateway.lifecycle import MAX_DEATHS
from gateway.model import Channel, Envelope, Request, Route
from gateway.testing import builders
from gateway.testing.applicant import signed_application
from gateway.testing.contents import Consignment
from gateway.testing.faults.ground import Ground
from gateway.testing.faults.stories import ENDED
from gateway.testing.faults.warm import Parts, Say

COMPANY = 6  # healthy messages to the same partner; the first of them are claimed together with the deadly one
QUIET_SECONDS = 60.0  # what died more than twice waits up to twenty
LOOK_EVERY = 0.05


def take_in(parts: Parts, _say: Say, settings: Settings, bodies: Sequence[bytes]) -> None:
    """Record messages, and deliver nothing."""
    hub = parts.build(settings)
    for body in bodies:
        made = builders.arrival(body, channel=Channel(kind="network", name="127.0.0.1"))
        hub.intake.receive(replace(made, id=hub.new_id(), received_at=hub.clock()), hub.doors["vnsw"])
    hub.stop()


def deliver(parts: Parts, _say: Say, settings: Settings, deadly: str) -> None:
    """Deliver until nothing waits; writing the application about one dossier ends the process, as a defect in native code does."""
    kind = type(parts.adapters["agriculture"])
    encode = kind.encode

    def crash(self: object, envelope: Envelope, route: Route) -> Request:
        if envelope.header.subject.reference == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return encode(self, envelope, route)  # type: ignore[arg-type]

    setattr(kind, "encode", crash)  # noqa: B010  # in a fork, which ends with it
    hub = parts.build(settings)
    hub.start()
    deadline = time.monotonic() + QUIET_SECONDS
    while any(state not in ENDED for _, state in hub.queries.counts().deliveries) and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY)
    hub.stop()


@pytest.mark.slow
def test_message_that_kills_its_carrier_is_set_aside_alone(ground: Ground) -> None:
    settings = ground.ready(ground.file(uuid4().hex))
    dossiers = [Consignment(number=next(ground.numbers)) for _ in range(1 + COMPANY)]
    deadly = dossiers[1].file_code
    bodies = [builders.soap(signed_application(settings.pki, about, sent_at=datetime.now(UTC))) for about in dossiers]
    ground.warm.run(take_in, settings, bodies)

    lives = [ground.warm.run(deliver, settings, deadly) for _ in range(MAX_DEATHS + 1)]

    assert [life.killed for life in lives] == [True] * MAX_DEATHS + [False]
    with bootstrap.open_store(settings) as store:
        found = {about.file_code: store.queries.messages(reference=about.file_code).items[0].id for about in dossiers}
        ends = {code: store.queries.deliveries(message=message).items[0] for code, message in found.items()}
    assert Counter(end.state for end in ends.values()) == {"delivered": COMPANY, "dead": 1}
    assert (ends[deadly].state, ends[deadly].cause) == ("dead", "died")
