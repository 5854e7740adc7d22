"""Heads leave the house when they are due; a place that is away is told of, tried again, and caught up with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.errors import Code, Problem, Unavailable
from gateway.evidence.copies import Copy, open_journal, read_copies
from gateway.evidence.heads import SignedHead
from gateway.evidence.publishing import AGAIN, Place, Publication, by_mail, keep
from gateway.security.keys import SigningKey
from gateway.testing.growing import Tree, make_key
from gateway.testing.settling import Time

EVERY = timedelta(minutes=1)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return make_key(tmp_path_factory.mktemp("pki"))


@dataclass
class House:
    """A ledger whose newest head is the test's, a place that may be away, and what was told."""

    tree: Tree
    time: Time
    kept: Path
    newest: SignedHead | None = None
    away: bool = False
    carried: list[int] = field(default_factory=list)
    events: list[tuple[str, object]] = field(default_factory=list)

    def publication(self, *, every: timedelta = EVERY) -> Publication:
        return Publication(
            Place(name="test", kept=self.kept, every=every, carry=self.carry),
            lambda: self.newest,
            clock=self.time,
            watch=lambda event, fields: self.events.append((event, fields.get("size"))),
        )

    def carry(self, signed: SignedHead) -> Copy:
        if self.away:
            raise Unavailable(Code.UNAVAILABLE, Problem(text="transport.timeout"))
        self.carried.append(signed.head.size)
        return keep(signed)

    def grow(self, size: int) -> None:
        self.newest = self.tree.grow(size)


@pytest.fixture
def house(tmp_path: Path, key: SigningKey) -> House:
    time = Time()
    return House(tree=Tree(key, clock=time), time=time, kept=tmp_path / "kept.jsonl")


def test_nothing_is_published_before_there_is_a_head(house: House) -> None:
    house.publication().look()

    assert (house.carried, house.events, house.kept.exists()) == ([], [], False)


def test_the_newest_head_goes_out_once_an_interval(house: House) -> None:
    publication = house.publication()
    for size in (3, 5, 8):
        house.grow(size)
        publication.look()
        house.time.pass_(EVERY / 2)
    house.time.pass_(EVERY)
    publication.look()  # nothing happened meanwhile

    assert house.carried == [3, 8]
    assert [copy.signed.head.size for copy in read_copies(house.kept.read_bytes())] == [3, 8]
    assert house.events == [("ledger.published", 3), ("ledger.published", 8)]


def test_a_clock_that_was_ahead_for_a_moment_keeps_no_later_head_in(house: House) -> None:
    publication = house.publication()
    house.time.pass_(timedelta(days=365))
    house.grow(3)
    publication.look()
    house.time.pass_(-timedelta(days=365))
    for size in (4, 5):
        house.grow(size)
        publication.look()

    assert house.carried == [3, 4]


def test_a_gap_that_began_while_the_clock_was_ahead_closes(house: House) -> None:
    publication = house.publication()
    house.time.pass_(timedelta(days=365))
    house.away = True
    house.grow(3)
    publication.look()
    house.time.pass_(-timedelta(days=365))
    house.away = False
    publication.look()

    assert (publication.notices(), house.carried) == ([], [3])


def test_another_process_goes_on_where_one_stopped(house: House) -> None:
    house.grow(3)
    house.publication().look()
    house.publication().look()
    house.time.pass_(EVERY)
    house.grow(4)
    house.publication().look()

    assert house.carried == [3, 4]


def test_who_finds_another_process_at_it_leaves_it_alone(house: House) -> None:
    house.grow(3)
    with open_journal(house.kept, wait=True):
        house.publication().look()

    assert (house.carried, house.events) == ([], [])


def test_a_place_that_is_away_is_told_of_and_the_gap_closes_by_itself(house: House) -> None:
    publication, since = house.publication(), house.time()
    house.away = True
    house.grow(3)
    for _ in range(3):
        publication.look()
        house.time.pass_(AGAIN)

    (told,) = publication.notices()
    assert (told.text, told.values["place"], told.values["cause"]) == ("ledger.unpublished", "test", "transport.timeout")
    assert publication.gap
    assert publication.gap.since == since
    assert house.events == [("ledger.unpublished", 3)] * 3

    house.away = False
    house.grow(9)
    publication.look()
    assert (publication.notices(), house.carried) == ([], [9])


def test_a_place_that_is_away_is_not_asked_without_pause(house: House) -> None:
    publication = house.publication(every=timedelta(days=1))
    house.away = True
    house.grow(3)
    for _ in range(120):
        publication.look()
        house.time.pass_(timedelta(minutes=1))

    assert len(house.events) == 2


def test_a_damaged_file_is_a_gap_and_is_left_as_it_is(house: House) -> None:
    house.kept.write_bytes(b"not ours\n")
    house.grow(3)
    publication = house.publication()
    publication.look()

    assert publication.gap
    assert (publication.gap.cause, house.carried) == ("ledger.copies-closed", [])
    assert house.kept.read_bytes() == b"not ours\n"


def test_a_database_that_is_away_is_not_the_places_fault(house: House) -> None:
    def newest() -> SignedHead:
        raise Unavailable(Code.UNAVAILABLE, Problem(text="store.away"))

    publication = Publication(Place(name="test", kept=house.kept, every=EVERY, carry=keep), newest, clock=house.time, watch=lambda *_: None)
    with pytest.raises(Unavailable):
        publication.look()

    assert publication.gap is None


def test_a_mail_holds_the_line_to_keep(house: House) -> None:
    mails: list[tuple[str, str]] = []
    send: Callable[[str, str], None] = lambda subject, text: mails.append((subject, text))  # noqa: E731  # typed, used once
    house.grow(4711)
    assert house.newest
    kept = by_mail(send)(house.newest)

    ((subject, text),) = mails
    (line,) = (line for line in text.splitlines() if line.startswith("{"))
    assert "4,711" in subject
    assert read_copies(line.encode()) == (kept,) == (Copy(signed=house.newest),)
