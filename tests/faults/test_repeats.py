"""A message that comes again, at any time and from anywhere: one effect, one answer; on each database, and over two processes' hubs."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path

import pytest

from gateway.bootstrap import build
from gateway.config import Settings
from gateway.hub import Hub
from gateway.model import Channel, Reply
from gateway.security.devpki import generate
from gateway.testing import builders
from gateway.testing.applicant import signed_application
from gateway.testing.contents import Consignment
from gateway.testing.vnsw import read_answer
from gateway.xml.shipped import shipped

AT_ONCE = 8
GOODS = "vnsw/1.0/BNNPTNT0300002/parts.xsd"
ABOUT = Consignment(number=1)

pytestmark = pytest.mark.slow


@pytest.fixture(params=["sqlite", "postgresql"])
def chosen(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    generate(tmp_path / "pki", now=datetime.now(UTC))
    url = "" if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))
    return Settings(home=tmp_path, database_url=url)


@contextmanager
def hubs(chosen: Settings, count: int = 1) -> Iterator[Sequence[Hub]]:
    """Put gateways together on one database; they take in, and deliver nothing."""
    built = [build(chosen) for _ in range(count)]
    try:
        yield built
    finally:
        for hub in built:
            hub.stop()


def application(chosen: Settings, about: Consignment = ABOUT, *, message_id: str = "") -> bytes:
    return builders.soap(signed_application(chosen.pki, about, sent_at=datetime.now(UTC), message_id=message_id))


def receive(hub: Hub, body: bytes) -> Reply:
    made = builders.arrival(body, channel=Channel(kind="network", name="127.0.0.1"))
    return hub.intake.receive(replace(made, id=hub.new_id(), received_at=hub.clock()), hub.doors["vnsw"])


def function(reply: Reply) -> str:
    return read_answer(reply.body).function


def count(hub: Hub, state: str) -> int:
    return len(hub.queries.messages(reference=ABOUT.file_code, state=state).items)


@pytest.mark.parametrize("write", [lambda c: [application(c)] * AT_ONCE, lambda c: [application(c) for _ in range(AT_ONCE)]])
def test_repeats_at_once_over_two_hubs_have_one_effect_and_one_answer(chosen: Settings, write: Callable[[Settings], list[bytes]]) -> None:
    places = 2 if chosen.database.startswith("postgresql") else 1  # an SQLite database is one process's own
    with hubs(chosen, places) as built, ThreadPoolExecutor(AT_ONCE) as senders:
        replies = list(senders.map(receive, cycle(built), write(chosen)))

        assert {function(reply) for reply in replies} == {"99"}
        assert len({reply.body for reply in replies}) == 1
        [row] = built[0].queries.messages(reference=ABOUT.file_code).items
        assert len(built[0].queries.deliveries(message=row.id).items) == 1


def test_the_same_bytes_get_the_first_answer_after_the_schema_changed(chosen: Settings) -> None:
    body = application(chosen)
    with hubs(chosen) as [hub]:
        first = receive(hub, body)
    stricter = chosen.schema_folder / GOODS
    stricter.parent.mkdir(parents=True)
    stricter.write_bytes((shipped("xsd") / GOODS).read_bytes().replace(b'"HsCode"', b'"HsCodeOfTheNextYear"'))

    with hubs(chosen) as [hub]:
        again, new = receive(hub, body), receive(hub, application(chosen, Consignment(number=2)))

        assert again == first
        assert (function(first), function(new)) == ("99", "00")
        assert count(hub, "accepted") == 1


def test_the_same_bytes_get_the_first_answer_after_the_sender_left(chosen: Settings) -> None:
    body, signed_again = application(chosen), application(chosen)
    with hubs(chosen) as [hub]:
        first = receive(hub, body)
    (chosen.pki / "parties" / "NSW.pem").unlink()

    with hubs(chosen) as [hub]:
        assert receive(hub, body) == first
        assert function(receive(hub, signed_again)) == "00"  # these bytes are new, and nobody proves them


def test_a_message_that_is_signed_again_gets_the_first_answer_in_another_life(chosen: Settings) -> None:
    with hubs(chosen) as [hub]:
        first = receive(hub, application(chosen))

    with hubs(chosen) as [hub]:
        assert receive(hub, application(chosen)).body == first.body
        assert (count(hub, "accepted"), count(hub, "refused")) == (1, 0)


def test_the_same_key_with_other_content_is_refused_and_kept_as_refused(chosen: Settings) -> None:
    with hubs(chosen) as [hub]:
        first = receive(hub, application(chosen, message_id="m-1"))
        other = receive(hub, application(chosen, replace(ABOUT, goods=ABOUT.goods + 1), message_id="m-1"))
        again = receive(hub, application(chosen, message_id="m-1"))

        assert (function(first), read_answer(other.body).errors[0][0], again.body) == ("99", "ERR00_CODE", first.body)
        assert (count(hub, "accepted"), count(hub, "refused")) == (1, 1)
        [refused] = hub.queries.messages(reference=ABOUT.file_code, state="refused").items
        assert refused.code == "conflict"


def test_a_message_refused_earlier_is_judged_anew(chosen: Settings) -> None:
    body = application(chosen)
    registered = chosen.pki / "parties" / "NSW.pem"
    certificate = registered.read_bytes()
    registered.unlink()
    with hubs(chosen) as [hub]:
        refused = receive(hub, body)
    registered.write_bytes(certificate)

    with hubs(chosen) as [hub]:
        accepted, repeated = receive(hub, body), receive(hub, body)

        assert (function(refused), function(accepted), repeated.body) == ("00", "99", accepted.body)
        assert (count(hub, "accepted"), count(hub, "refused")) == (1, 1)
