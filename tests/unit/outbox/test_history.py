"""What was exchanged with a partner, and who looked."""

from typing import Any

import pytest

from gateway.errors import NotValid
from gateway.lifecycle import Failed, State, Step
from gateway.model import Reply, Request
from gateway.outbox.orders import Act, Order
from gateway.testing.desk import DEAD, Desk
from gateway.testing.entries import BNN, START


def test_attempts_tell_what_became_of_each(desk: Desk) -> None:
    delivery = desk.deliver()

    (attempt,) = desk.history.attempts(delivery)

    assert (attempt.number, attempt.outcome, attempt.code, attempt.status) == (1, "failed", "timeout", 503)
    assert (attempt.sent_at, attempt.ended_at) == (START, START)


def test_attempt_cut_off_by_a_death_has_no_end(desk: Desk) -> None:
    delivery = desk.deliver(None)
    (claim,) = desk.outbox.claim({BNN: 1})
    desk.outbox.note(claim, Request(endpoint="http://x", action="", body=b"asked"))

    (attempt,) = desk.history.attempts(delivery)

    assert (attempt.number, attempt.ended_at, attempt.outcome) == (1, None, None)


def test_attempt_of_which_nothing_left_has_no_number(desk: Desk) -> None:
    delivery = desk.deliver(None)
    (claim,) = desk.outbox.claim({BNN: 1})
    desk.settle(claim, DEAD)

    (attempt,) = desk.history.attempts(delivery)

    assert (attempt.number, attempt.sent_at, attempt.outcome) == (None, None, "failed")


@pytest.mark.parametrize(("part", "content"), [("request", b"asked"), ("reply", b"answered")])
def test_whoever_looks_at_contents_is_in_the_ledger(desk: Desk, part: Any, content: bytes) -> None:
    delivery = desk.deliver()

    assert desk.history.exchanged(delivery, part, by="key:lan") == content
    assert desk.history.exchanged(delivery, part, by="key:lan", number=1) == content

    assert desk.told(delivery) == [("staff.looked", {"by": "key:lan", "part": part, "attempt": "1"})] * 2


def test_whoever_reads_a_message_is_in_the_ledger(desk: Desk) -> None:
    message = desk.row(desk.deliver()).message

    desk.history.record_look(message, "document", by="key:duty")

    last = desk.queries.timeline(message)[-1]
    assert (last.kind, last.delivery, last.values) == ("staff.read", None, {"by": "key:duty", "part": "document"})


@pytest.mark.parametrize("asked", [{"delivery": "no"}, {"number": 7}])
def test_exchange_that_is_not_kept_is_not_found(desk: Desk, asked: Any) -> None:
    delivery = desk.deliver()

    with pytest.raises(NotValid) as refused:
        desk.history.exchanged(asked.get("delivery", delivery), "request", by="key:lan", number=asked.get("number"))

    assert refused.value.problems[0].text == "mending.no-exchange"
    assert desk.told(delivery) == []


def test_reply_that_never_came_is_not_found(desk: Desk) -> None:
    delivery = desk.deliver(None)
    (claim,) = desk.outbox.claim({BNN: 1})
    desk.outbox.note(claim, Request(endpoint="http://x", action="", body=b"asked"))

    with pytest.raises(NotValid):
        desk.history.exchanged(delivery, "reply", by="key:lan")


def test_attempts_that_cost_and_brought_nothing_are_kept_once(desk: Desk) -> None:
    delivery = desk.deliver(None)
    for _ in range(5):  # a partner that is away is asked after again and again
        (claim,) = desk.outbox.claim({}, probes=frozenset({BNN}))
        desk.outbox.note(claim, Request(endpoint="http://x", action="", body=b"asked"))
        desk.outbox.settle(claim, Step(to=State.RETRYING, due_at=START, counts=False), Failed(code="timeout"), None)

    assert [attempt.number for attempt in desk.history.attempts(delivery)] == [1]


def test_attempts_that_brought_something_are_all_kept(desk: Desk) -> None:
    delivery = desk.deliver(None)
    for _ in range(3):
        (claim,) = desk.outbox.claim({}, probes=frozenset({BNN}))
        desk.outbox.note(claim, Request(endpoint="http://x", action="", body=b"asked"))
        answer = Reply(status=503, body=b"no")
        desk.outbox.settle(claim, Step(to=State.RETRYING, due_at=START, counts=False), Failed(code="http-503"), answer)

    assert len(desk.history.attempts(delivery)) == 3


def test_attempts_that_counted_are_kept_whatever_comes_after_a_replay(desk: Desk) -> None:
    delivery = desk.deliver(None)
    (claim,) = desk.outbox.claim({BNN: 1})
    desk.outbox.note(claim, Request(endpoint="http://x", action="", body=b"asked"))
    desk.outbox.settle(claim, Step(to=State.DEAD, due_at=None, counts=True, reason="timeout"), Failed(code="timeout"), None)
    desk.mending.once(Order(act=Act.REPLAY), delivery, by="key:lan")
    for _ in range(3):
        (claim,) = desk.outbox.claim({}, probes=frozenset({BNN}))
        desk.outbox.note(claim, Request(endpoint="http://x", action="", body=b"asked"))
        desk.outbox.settle(claim, Step(to=State.RETRYING, due_at=START, counts=False), Failed(code="timeout"), None)

    assert len(desk.history.attempts(delivery)) == 2
