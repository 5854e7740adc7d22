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

    with pytest.raises(NotValid) as refused:
        desk.history.exchanged(delivery, "reply", by="key:lan")

    assert refused.value.problems[0].text == "mending.no-reply"


def test_attempts_that_cost_and_brought_nothing_are_kept_once(desk: Desk) -> None:
    delivery = desk.deliver(None)
    for _ in range(5):  # a partner that is away is asked after again and again
        (claim,) = desk.outbox.claim({}, probes=frozenset({BNN}))
        desk.outbox.note(claim, Request(endpoint="http://x", action="", body=b"asked"))
        desk.outbox.settle(claim, Step(to=State.RETRYING, due_at=START, counts=False), Failed(code="timeout"), None)

    assert [attempt.number for attempt in desk.history.attempts(delivery)] == [1]


def put_off(desk: Desk, cause: str, *, reply: Reply | None = None, sent: bool = True) -> None:
    """Ask a partner that is away once more."""
    (claim,) = desk.outbox.claim({}, probes=frozenset({BNN}))
    if sent:
        desk.outbox.note(claim, Request(endpoint="http://x", action="", body=b"asked"))
    desk.outbox.settle(claim, Step(to=State.RETRYING, due_at=START, counts=False, reason=cause), Failed(code=cause), reply)


def settlings(desk: Desk, delivery: str) -> list[str]:
    moments = desk.queries.timeline(desk.row(delivery).message)
    return [moment.values["code"] for moment in moments if moment.kind == "delivery.settled"]


def test_partner_that_stays_away_is_told_of_once_and_again_when_something_changes(desk: Desk) -> None:
    delivery = desk.deliver(None)
    for cause in ("refused", "refused", "timeout", "timeout", "refused", "refused"):
        put_off(desk, cause)

    assert settlings(desk, delivery) == ["refused", "timeout", "refused"]
    assert [(each.outcome, each.code) for each in desk.history.attempts(delivery)] == [("deferred", "refused")]
    assert desk.row(delivery).cause == "refused"


def test_every_request_that_leaves_is_told_of_though_its_end_is_not(desk: Desk) -> None:
    delivery = desk.deliver(None)
    for _ in range(3):
        put_off(desk, "timeout")

    moments = desk.queries.timeline(desk.row(delivery).message)
    assert [moment.kind for moment in moments if moment.kind == "delivery.sending"] == ["delivery.sending"] * 3


def test_want_of_an_address_is_kept_and_told_of_once(desk: Desk) -> None:
    delivery = desk.deliver(None)
    for _ in range(3):
        put_off(desk, "no-address", sent=False)

    assert settlings(desk, delivery) == ["no-address"]
    assert [(each.number, each.code) for each in desk.history.attempts(delivery)] == [(None, "no-address")]


def test_answer_of_a_partner_is_always_told_of(desk: Desk) -> None:
    delivery = desk.deliver(None)
    for reply in (None, Reply(status=503, body=b"no"), Reply(status=503, body=b"no"), None):
        put_off(desk, "http-503", reply=reply)

    assert settlings(desk, delivery) == ["http-503"] * 4


def test_first_failure_of_a_new_life_is_told_of(desk: Desk) -> None:
    delivery = desk.deliver(None)
    put_off(desk, "refused")
    desk.mending.once(Order(act=Act.REPLAY), delivery, by="key:lan")
    put_off(desk, "refused")

    assert settlings(desk, delivery) == ["refused", "refused"]


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
