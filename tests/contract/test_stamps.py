"""Time-stamps over heads on every database: one at a time, never in the way of sealing, and a gap that is told of."""

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.audit import Event
from gateway.errors import Code, Problem, Unavailable
from gateway.evidence.heads import write_head
from gateway.evidence.ledger import Ledger
from gateway.evidence.stamper import FAREWELL_SECONDS, stamp
from gateway.evidence.stamping import AGAIN, Stamps
from gateway.evidence.timestamps import Authorities, Stamp
from gateway.model import Reply, Request
from gateway.ports import Database, Tx
from gateway.rounds import Rounds
from gateway.security.certificates import Certificate
from gateway.security.devpki import generate
from gateway.security.keys import SigningKey, load_key
from gateway.store.leaves import write_leaf
from gateway.testing.authority import StampAuthority, Way, make_authority
from gateway.testing.settling import Time

EVERY = timedelta(minutes=10)


class Asked(Authorities):
    """Authorities of a test: the real one's answers at the test's own time, in the way that the test chose last."""

    def __init__(self, authority: StampAuthority, time: Time) -> None:
        super().__init__(["http://tsa"], self, self.anchors)
        self.authority, self.time, self.stamped = authority, time, list[bytes]()
        self.way: Way = "chain"

    def anchors(self) -> Sequence[Certificate]:
        return self.authority.anchors

    def send(self, request: Request, *, timeout: timedelta) -> Reply:
        assert timeout
        if self.way == "silent":
            raise Unavailable(Code.UNAVAILABLE, Problem(text="transport.timeout"))
        return Reply(status=503 if self.way == "error" else 200, body=self.authority.in_way(request.body, self.way))

    def stamp(self, data: bytes) -> Stamp:
        found = super().stamp(data)
        self.stamped.append(data)
        return Stamp(token=found.token, at=self.time(), authority=found.authority)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> StampAuthority:
    return make_authority(tmp_path_factory.mktemp("tsa"))


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    folder: Path = tmp_path_factory.mktemp("pki")
    generate(folder, now=datetime(2026, 1, 1, tzinfo=UTC), parties=())
    return load_key(folder / "gateway.key.pem", folder / "gateway.cert.pem")


@pytest.fixture
def asked(authority: StampAuthority, time: Time) -> Asked:
    return Asked(authority, time)


@pytest.fixture
def stamps(database: Database, time: Time) -> Stamps:
    return Stamps(database, clock=time)


@pytest.fixture
def happen(database: Database, time: Time, key: SigningKey) -> Callable[[], Ledger]:
    """Have something happen and be sealed under a signed head."""
    ledger = Ledger(database, clock=time)

    def work(tx: Tx) -> None:
        write_leaf(tx, Event(kind="test.happened", at=time(), message="m"))

    def run() -> Ledger:
        database.commit(work)
        ledger.seal()
        ledger.sign(key)
        return ledger

    return run


def test_stamps_the_newest_head_at_most_once_in_a_while(stamps: Stamps, asked: Asked, happen: Callable[[], Ledger], time: Time) -> None:
    ledger = happen()
    first = ledger.standing().head

    done = [stamps.renew(asked, every=EVERY)]
    happen()
    done.append(stamps.renew(asked, every=EVERY))
    time.pass_(EVERY)
    done.append(stamps.renew(asked, every=EVERY))
    time.pass_(EVERY)
    done.append(stamps.renew(asked, every=EVERY))  # nothing happened meanwhile

    second = ledger.standing().head
    assert first
    assert second
    assert done == [True, False, True, False]
    assert asked.stamped == [write_head(first.head), write_head(second.head)]
    assert (stamps.standing().size, stamps.standing().until, stamps.standing().gap) == (2, time() - EVERY, None)


def test_nothing_is_asked_before_there_is_a_signed_head(stamps: Stamps, asked: Asked) -> None:
    assert not stamps.renew(asked, every=EVERY)
    assert asked.stamped == []


def test_asking_that_began_while_the_clock_was_ahead_is_taken_up_again(
    stamps: Stamps, asked: Asked, happen: Callable[[], Ledger], time: Time
) -> None:
    happen()
    asked.way = "silent"
    time.pass_(timedelta(days=365))
    with pytest.raises(Unavailable):
        stamps.renew(asked, every=EVERY)
    time.pass_(-timedelta(days=365))
    asked.way = "chain"

    assert stamps.renew(asked, every=EVERY)
    assert stamps.standing().gap is None


@pytest.mark.parametrize("way", ["silent", "error", "rubbish", "refusing"])
def test_a_gap_is_told_of_and_closes_with_the_newest_head(
    stamps: Stamps, asked: Asked, happen: Callable[[], Ledger], time: Time, way: Way
) -> None:
    began = time()
    happen()
    asked.way = way
    with pytest.raises(Unavailable):
        stamps.renew(asked, every=EVERY)
    gap = stamps.standing().gap
    told = stamps.notices()

    time.pass_(AGAIN)
    ledger = happen()  # sealing went on
    asked.way = "chain"
    closed = stamps.renew(asked, every=EVERY)

    assert gap
    assert (gap.since, [notice.text for notice in told]) == (began, ["ledger.unstamped"])
    assert closed
    assert (stamps.standing().size, stamps.standing().gap, stamps.notices()) == (ledger.standing().size, None, [])


def test_an_authority_that_is_away_is_not_asked_in_a_loop(stamps: Stamps, asked: Asked, happen: Callable[[], Ledger], time: Time) -> None:
    happen()
    asked.way = "error"
    with pytest.raises(Unavailable):
        stamps.renew(asked, every=EVERY)
    happen()

    assert not stamps.renew(asked, every=EVERY)
    time.pass_(AGAIN)
    with pytest.raises(Unavailable):
        stamps.renew(asked, every=EVERY)


def test_two_processes_ask_once(database: Database, stamps: Stamps, asked: Asked, happen: Callable[[], Ledger], time: Time) -> None:
    other = Stamps(database, clock=time)
    begun = []

    class Meanwhile(Asked):
        def stamp(self, data: bytes) -> Stamp:
            begun.append(other.renew(asked, every=EVERY))
            return super().stamp(data)

    happen()

    assert stamps.renew(Meanwhile(asked.authority, time), every=EVERY)
    assert begun == [False]


def test_finds_the_first_stamp_that_covers_a_leaf(stamps: Stamps, asked: Asked, happen: Callable[[], Ledger], time: Time) -> None:
    for _ in range(2):
        happen()
        stamps.renew(asked, every=EVERY)
        time.pass_(EVERY)
    happen()

    found = [stamps.over(position) for position in range(3)]

    assert [each and each[0] for each in found] == [1, 2, None]


def test_a_check_verifies_every_stamp_and_tells_where_its_head_was_altered(
    database: Database, stamps: Stamps, authority: StampAuthority, asked: Asked, happen: Callable[[], Ledger]
) -> None:
    happen()
    stamps.renew(Authorities(["http://tsa"], asked, asked.anchors), every=EVERY)
    before = [problem.text for problem in stamps.check(authority.anchors)]

    database.commit(lambda tx: tx.changed(text("UPDATE ledger_heads SET at = at + 1")))

    assert before == []
    assert [problem.values["cause"] for problem in stamps.check(authority.anchors)] == ["signature.stamp-wrong"]


def test_whatever_an_authority_does_is_told_and_asked_again(stamps: Stamps, asked: Asked, happen: Callable[[], Ledger], time: Time) -> None:
    events: list[str] = []
    happen()

    for way in ("rubbish", "silent", "chain"):
        asked.way = way
        stamp(stamps, asked, every=EVERY, watch=lambda name, _: events.append(name))
        time.pass_(AGAIN)

    assert events == ["ledger.not-stamped", "ledger.not-stamped", "ledger.stamped"]


def test_a_process_ends_at_once_while_an_authority_is_silent(
    stamps: Stamps, authority: StampAuthority, happen: Callable[[], Ledger]
) -> None:
    happen()
    began, released = threading.Event(), threading.Event()

    class Silent:
        def send(self, request: Request, *, timeout: timedelta) -> Reply:
            began.set()
            released.wait(30)
            return Reply(status=503, body=request.body[: timeout.seconds])

    asked = Authorities(["http://a"], Silent(), lambda: authority.anchors)
    due = partial(stamp, stamps, asked, every=EVERY, watch=lambda *_: None)
    stamping = Rounds("stamping", due, every=0.01, watch=lambda *_: None, patience=FAREWELL_SECONDS)
    stamping.start()
    assert began.wait(10)

    stamping.stop()

    assert not released.is_set()
    released.set()
    stamping.stop()
