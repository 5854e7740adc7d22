"""What every outbox promises about who goes when: order in a dossier, rates, probes, and what a partner's return sets going."""

import threading
from datetime import timedelta

import pytest

from gateway.lifecycle import Accepted, Deferred, Delivered, Failed, Outcome, Rejected
from gateway.model import DeliveryId
from gateway.ports import Claim, Outbox
from gateway.testing.entries import BNN, NSW, make_entry
from gateway.testing.settling import Time, claim_one, end
from gateway.testing.staff import Staff

SECOND = timedelta(seconds=1)
DEAD = Failed(code="party-gone", final=True)


def record(outbox: Outbox, *keys: str, reference: str = "R1") -> list[DeliveryId]:
    """Record messages of one dossier; gives their deliveries."""
    entries = [make_entry(key=f"{reference}/{key}".encode(), order="dossier", reference=reference) for key in keys]
    for entry in entries:
        outbox.record(entry)
    return [entry.receipt.deliveries[0] for entry in entries]


def owe(outbox: Outbox, count: int) -> list[DeliveryId]:
    """Record messages that keep no order; gives their deliveries."""
    entries = [make_entry(key=str(n).encode()) for n in range(count)]
    for entry in entries:
        outbox.record(entry)
    return [entry.receipt.deliveries[0] for entry in entries]


def claimed(outbox: Outbox) -> list[DeliveryId]:
    return [claim.delivery for claim in outbox.claim({BNN: 10})]


# --- order in a dossier ----------------------------------------------------------------------------------------------


def test_later_message_of_a_dossier_waits_for_the_earlier_one(outbox: Outbox, time: Time) -> None:
    first, second = record(outbox, "1", "2")

    assert claimed(outbox) == [first]
    assert claimed(outbox) == []
    outbox.rescue(held_until=time() + timedelta(days=1))
    end(outbox, claim_one(outbox), Delivered(), time)

    assert claimed(outbox) == [second]


def test_dossiers_do_not_wait_for_each_other(outbox: Outbox) -> None:
    record(outbox, "1", reference="R1")
    record(outbox, "1", reference="R2")

    assert len(claimed(outbox)) == 2


def test_parties_do_not_wait_for_each_other(outbox: Outbox) -> None:
    for key in (b"1", b"2"):
        outbox.record(make_entry(key=key, parties=(BNN, NSW), order="dossier"))
    claim_one(outbox, BNN)

    assert [claim.party for claim in outbox.claim({BNN: 10, NSW: 10})] == [NSW]


@pytest.mark.parametrize("outcome", [Delivered(), Rejected(reason="no"), DEAD, Accepted(reference="T")])
def test_earlier_message_that_ended_in_any_way_lets_the_next_go(outbox: Outbox, time: Time, outcome: Outcome) -> None:
    _, second = record(outbox, "1", "2")

    end(outbox, claim_one(outbox), outcome, time)

    assert claimed(outbox) == [second]


@pytest.mark.parametrize(
    "outcome", [Failed(code="timeout"), Deferred(for_=timedelta(hours=1)), Accepted(reference="T", ask_again_in=timedelta(hours=1))]
)
def test_earlier_message_that_waits_holds_the_next(outbox: Outbox, time: Time, outcome: Outcome) -> None:
    first, _ = record(outbox, "1", "2")

    end(outbox, claim_one(outbox), outcome, time)

    assert claimed(outbox) == []
    time.pass_(timedelta(hours=1))
    assert claimed(outbox) == [first]


def test_cancelled_message_lets_the_next_go(outbox: Outbox, staff: Staff) -> None:
    first, second = record(outbox, "1", "2")

    staff.cancel(first, by="lan", reason="sent by paper")

    assert claimed(outbox) == [second]


def test_replay_of_an_earlier_message_puts_it_before_what_still_waits(outbox: Outbox, staff: Staff, time: Time) -> None:
    first, second = record(outbox, "1", "2")
    end(outbox, claim_one(outbox), DEAD, time)

    staff.replay(first, by="lan")

    assert claimed(outbox) == [first]
    outbox.rescue(held_until=time() + timedelta(days=1))
    end(outbox, claim_one(outbox), Delivered(), time)
    assert claimed(outbox) == [second]


def test_replay_of_an_earlier_message_goes_though_the_later_one_is_done(outbox: Outbox, staff: Staff, time: Time) -> None:
    first, _ = record(outbox, "1", "2")
    end(outbox, claim_one(outbox), Rejected(reason="no"), time)
    end(outbox, claim_one(outbox), Delivered(), time)

    staff.replay(first, by="lan")

    assert claimed(outbox) == [first]


def test_replay_of_a_later_message_waits_for_what_is_before_it(outbox: Outbox, staff: Staff, time: Time) -> None:
    first, second = record(outbox, "1", "2")
    end(outbox, claim_one(outbox), DEAD, time)
    end(outbox, claim_one(outbox), DEAD, time)

    for delivery in (second, first):
        staff.replay(delivery, by="lan")

    assert claimed(outbox) == [first]


def test_probe_keeps_the_order_of_a_dossier(outbox: Outbox, time: Time) -> None:
    first, _ = record(outbox, "1", "2")
    end(outbox, claim_one(outbox), Failed(code="timeout"), time)

    assert [claim.delivery for claim in outbox.claim({}, probes=frozenset({BNN}))] == [first]


def test_order_holds_however_many_claim_at_once(outbox: Outbox, time: Time) -> None:
    expected = record(outbox, *map(str, range(6)))
    order: list[DeliveryId] = []

    def work() -> None:
        while len(order) < len(expected):
            for claim in outbox.claim({BNN: 10}):
                order.append(claim.delivery)
                end(outbox, claim, Delivered(), time)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert order == expected


# --- probes, and a partner's return --------------------------------------------------------------------------------------


def test_probe_takes_the_earliest_though_it_is_not_due(outbox: Outbox, time: Time) -> None:
    owe(outbox, 2)
    for claim in outbox.claim({BNN: 10}):
        end(outbox, claim, Failed(code="timeout"), time)

    assert claimed(outbox) == []
    assert len(outbox.claim({}, probes=frozenset({BNN}))) == 1


def test_probe_never_polls_early(outbox: Outbox, time: Time) -> None:
    owe(outbox, 1)
    end(outbox, claim_one(outbox), Accepted(reference="T", ask_again_in=timedelta(hours=1)), time)

    assert outbox.claim({}, probes=frozenset({BNN})) == []


def test_hurry_makes_what_waits_due(outbox: Outbox, time: Time) -> None:
    owe(outbox, 1)
    end(outbox, claim_one(outbox), Failed(code="timeout"), time)

    assert outbox.hurry(BNN) == 1
    assert len(claimed(outbox)) == 1


def test_backlog_goes_in_the_order_in_which_it_came_though_some_of_it_was_tried(outbox: Outbox, time: Time) -> None:
    expected = owe(outbox, 5)
    for claim in outbox.claim({BNN: 2}):
        end(outbox, claim, Failed(code="timeout"), time)
    time.pass_(SECOND)

    outbox.hurry(BNN)

    assert claimed(outbox) == expected


# --- what becomes due, and how much of it at a time ------------------------------------------------------------------------


def test_next_due_is_said_for_those_that_are_asked_about(outbox: Outbox, time: Time) -> None:
    owe(outbox, 2)
    assert outbox.due_in([BNN, NSW]) is None  # due already

    for claim, pause in zip(outbox.claim({BNN: 2}), (30, 20), strict=True):
        end(outbox, claim, Deferred(for_=timedelta(seconds=pause)), time)

    assert outbox.due_in([BNN, NSW]) == timedelta(seconds=20)
    assert outbox.due_in([NSW]) is None


def test_rate_allows_a_seconds_worth_and_then_one_by_one(outbox: Outbox, time: Time) -> None:
    owe(outbox, 10)

    def taken() -> int:
        return len(outbox.claim({BNN: 10}, rates={BNN: 60}))

    assert [taken(), taken()] == [2, 0]
    time.pass_(1.1 * SECOND)
    assert [taken(), taken()] == [1, 0]
    time.pass_(timedelta(minutes=10))
    assert [taken(), taken()] == [2, 0]


def test_rate_of_one_party_holds_nobody_else_back(outbox: Outbox) -> None:
    for n in range(3):
        outbox.record(make_entry(key=str(n).encode(), parties=(BNN, NSW)))

    claims = outbox.claim({BNN: 3, NSW: 3}, rates={BNN: 1})

    assert sorted(claim.party for claim in claims) == [BNN, NSW, NSW, NSW]


def test_rate_holds_for_all_who_claim_at_once(outbox: Outbox) -> None:
    owe(outbox, 40)
    claims: list[Claim] = []
    threads = [threading.Thread(target=lambda: claims.extend(outbox.claim({BNN: 5}, rates={BNN: 600}))) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 1 <= len(claims) <= 11  # a second's worth


def test_probe_keeps_the_rate(outbox: Outbox, time: Time) -> None:
    owe(outbox, 3)

    def probed() -> int:
        return len(outbox.claim({}, probes=frozenset({BNN}), rates={BNN: 1}))

    assert probed() == 1
    time.pass_(timedelta(seconds=30))
    assert probed() == 0
    time.pass_(timedelta(seconds=30))
    assert probed() == 1
