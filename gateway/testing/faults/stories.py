"""What is played when a gateway is killed: each kind of route, a refusal and each kind of repeat; and what one life of a gateway is."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from gateway.config import Settings
from gateway.hub import Hub
from gateway.model import Channel, Reply
from gateway.testing import builders
from gateway.testing.applicant import signed_application
from gateway.testing.contents import Consignment
from gateway.testing.vnsw import read_answer

from .points import ANSWER, Passage, arm, hurry_polls
from .warm import Parts, Say

QUIET_SECONDS = 20.0  # until everything has ended; a healthy life takes a tenth of a second
LOOK_EVERY = 0.003
ENDED = frozenset({"dead", "rejected", "cancelled"})  # states that Counts counts beside those under way

Bodies = Sequence[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Requests to the SOAP door about one dossier; `answers` are their functions, `partners` who gets the one accepted message."""

    name: str
    write: Callable[[Path, Consignment, datetime], Bodies]
    answers: tuple[str, ...]
    partners: tuple[str, ...]


def _application(pki: Path, about: Consignment, at: datetime) -> Bodies:
    return [builders.soap(signed_application(pki, about, sent_at=at))]


def _unsigned(kind: str) -> Callable[[Path, Consignment, datetime], Bodies]:
    """Write what the ministry sends; the channel proves it."""
    return lambda _pki, about, at: [builders.soap(builders.message(kind, about, under=replace(builders.header(kind, about), sent_at=at)))]


def _spoilt(pki: Path, about: Consignment, at: datetime) -> Bodies:
    return [builders.soap(signed_application(pki, about, sent_at=at).replace(b"<NetWeight>", b"<NetWeight>9", 1))]


def _twice(pki: Path, about: Consignment, at: datetime) -> Bodies:
    return [*_application(pki, about, at)] * 2


def _signed_again(pki: Path, about: Consignment, at: datetime) -> Bodies:
    return [*_application(pki, about, at), *_application(pki, about, at)]  # no two signatures are the same bytes


def _conflicting(pki: Path, about: Consignment, at: datetime) -> Bodies:
    other = replace(about, goods=about.goods + 1)  # the same id, about the same dossier, with other content
    return [*_application(pki, about, at), *_application(pki, other, at)]


STORIES: Mapping[str, Story] = MappingProxyType({
    story.name: story
    for story in (
        Story(name="agriculture", write=_application, answers=("99",), partners=("agriculture",)),
        Story(name="portal", write=_unsigned("13/07"), answers=("99",), partners=("portal",)),
        Story(name="certificate", write=_unsigned("21/18"), answers=("99",), partners=("portal", "customs", "ephyto_hub")),
        Story(name="refused", write=_spoilt, answers=("00",), partners=()),
        Story(name="repeat", write=_twice, answers=("99", "99"), partners=("agriculture",)),
        Story(name="signed-again", write=_signed_again, answers=("99", "99"), partners=("agriculture",)),
        Story(name="conflict", write=_conflicting, answers=("99", "00"), partners=("agriculture",)),
    )
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """A moment that passed."""

    moment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer whose bytes left: to which of the requests, with which function."""

    request: int
    function: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What the database holds about a dossier; `whole` where each accepted message has content, answer, deliveries and evidence."""

    accepted: int
    refused: int
    whole: bool
    states: tuple[str, ...]
    hub_numbers: tuple[str, ...]


def live(
    parts: Parts, say: Say, *, settings: Settings, bodies: Bodies, about: Consignment, partners: Sequence[str], fatal: int = 0
) -> None:
    """Live one life: start on what an earlier one left, take the requests in, deliver until nothing waits.

    It says what it found kept, which moments passed, what it answered, and what is kept in the end; at the moment counted `fatal`
    it dies. It delivers after its intakes, so that the order of its moments is the same each time.
    """
    passage = Passage(fatal=fatal, told=lambda moment: say(Passed(moment=moment)))
    hurry_polls(parts.adapters.values())
    arm(passage, parts.adapters.values())
    hub = parts.build(settings)
    say(kept(hub, about, partners))
    for number, body in enumerate(bodies):
        reply = _receive(hub, body)
        with passage.around(ANSWER):
            say(Answered(request=number, function=read_answer(reply.body).function, body=reply.body))
    if settings.database.startswith("postgresql"):  # there a start spares what others hold; here nobody else lives
        hub.outbox.rescue(held_until=datetime.max.replace(tzinfo=UTC))  # as if the dead one's lease had ended
    hub.start()
    _quiet(hub)
    say(kept(hub, about, partners))
    hub.stop()


def rehearse(parts: Parts, _say: Say, *, settings: Settings, bodies: Bodies) -> None:
    """Live once to the end in the warm process itself, so that statements and schemas are compiled before it forks."""
    hub = parts.build(settings)
    for body in bodies:
        _receive(hub, body)
    hub.start()
    _quiet(hub)
    hub.stop()


def kept(hub: Hub, about: Consignment, partners: Sequence[str]) -> Kept:
    """Look at everything that is kept about a dossier."""
    rows = hub.queries.messages(reference=about.file_code, limit=100).items
    accepted = [row for row in rows if row.state == "accepted"]
    deliveries = [d for row in accepted for d in hub.queries.deliveries(message=row.id).items]
    return Kept(
        accepted=len(accepted),
        refused=len(rows) - len(accepted),
        whole=all(_whole(hub, row.id, len(partners)) for row in accepted),
        states=tuple(d.state for d in deliveries),
        hub_numbers=tuple(d.reference for d in deliveries if d.party == "IPPC"),
    )


def _whole(hub: Hub, message: str, deliveries: int) -> bool:
    content = [hub.queries.content(message, part) for part in ("document", "body", "answer")]
    events = [moment.kind for moment in hub.queries.timeline(message)]
    rows = hub.queries.deliveries(message=message).items
    return all(content) and events[:1] == ["message.accepted"] and len(rows) == deliveries


def _quiet(hub: Hub) -> None:
    """Wait until no delivery is under way."""
    deadline = time.monotonic() + QUIET_SECONDS
    while any(state not in ENDED for _, state in hub.queries.counts().deliveries):
        if time.monotonic() > deadline:
            raise TimeoutError(f"still under way: {dict(hub.queries.counts().deliveries)}")
        time.sleep(LOOK_EVERY)


def _receive(hub: Hub, body: bytes) -> Reply:
    made = builders.arrival(body, channel=Channel(kind="network", name="127.0.0.1"))
    return hub.intake.receive(replace(made, id=hub.new_id(), received_at=hub.clock()), hub.doors["vnsw"])
