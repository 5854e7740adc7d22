"""What every outbox does with a delivery whose carriers die; run over each implementation."""

from datetime import timedelta

import pytest

from gateway.lifecycle import APART, MAX_DEATHS, Accepted, Deferred, Delivered, Failed, Outcome, State, Step
from gateway.outbox.outbox import LEASE
from gateway.ports import Claim, Outbox
from gateway.testing.entries import BNN, make_entry
from gateway.testing.settling import Time, claim_one, end


def die(outbox: Outbox, time: Time, *, times: int) -> Claim:
    """Claim, and let whoever claimed die of it, so many times; gives the last claim."""
    for _ in range(times):
        claim = claim_one(outbox)
        time.pass_(LEASE)
        assert outbox.rescue() == 1
        time.pass_(timedelta(hours=1))
    return claim


def test_what_kills_whoever_carries_it_is_set_aside(outbox: Outbox, time: Time) -> None:
    outbox.record(make_entry(order="dossier"))
    outbox.record(make_entry(order="dossier", key=b"k2"))  # waits for the first one's end

    last = die(outbox, time, times=MAX_DEATHS)

    assert claim_one(outbox).delivery != last.delivery


@pytest.mark.parametrize("outcome", [Failed(code="timeout"), Deferred(for_=timedelta(seconds=1))])
def test_deaths_are_counted_anew_after_any_settling(outbox: Outbox, time: Time, outcome: Outcome) -> None:
    outbox.record(make_entry())
    die(outbox, time, times=MAX_DEATHS - 1)
    outbox.settle(claim_one(outbox), Step(to=State.RETRYING, due_at=time(), counts=False), outcome, None)

    die(outbox, time, times=MAX_DEATHS - 1)

    assert end(outbox, claim_one(outbox), Delivered(), time) is State.DELIVERED


def test_poll_that_kills_whoever_asks_is_set_aside(outbox: Outbox, time: Time) -> None:
    outbox.record(make_entry())
    end(outbox, claim_one(outbox), Accepted(reference="TRACK-1", ask_again_in=timedelta(0)), time)

    die(outbox, time, times=MAX_DEATHS)

    assert outbox.claim({BNN: 10}) == []


def test_fetcher_who_does_not_come_back_is_no_death(outbox: Outbox, time: Time) -> None:
    outbox.record(make_entry())
    for _ in range(MAX_DEATHS + 1):
        assert outbox.claim({BNN: 1}, lease=timedelta(minutes=5))
        time.pass_(timedelta(minutes=5))
        outbox.rescue()

    assert claim_one(outbox).attempt == MAX_DEATHS + 2


def test_what_died_together_again_and_again_comes_back_one_by_one(outbox: Outbox, time: Time) -> None:
    for n in range(4):
        outbox.record(make_entry(key=str(n).encode()))
    for _ in range(3):
        assert len(outbox.claim({BNN: 10})) == 4
        time.pass_(LEASE)
        outbox.rescue()

    assert outbox.claim({BNN: 10}) == []
    waits = []
    while (wait := outbox.due_in([BNN])) is not None:
        waits.append(wait)
        time.pass_(wait)
        assert len(outbox.claim({BNN: 10})) == 1
    assert len(waits) == 4
    assert sum(waits, timedelta()) <= 2 * APART.first
