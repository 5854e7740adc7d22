"""The statements of staff's repairs: what is chosen, jobs and how far they came, and what was exchanged with a partner."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Select, and_, bindparam, func, insert, literal, null, or_, select, update

from gateway.lifecycle import State
from gateway.store.queries import DELIVERY_FILTERS
from gateway.store.tables import ATTEMPTS, DELIVERIES, JOBS, MESSAGES, OUTCOMES

D = DELIVERIES.c
J = JOBS.c
JOB_COLUMNS = tuple(c.name for c in JOBS.c)

# --- deliveries ------------------------------------------------------------------------------------------------------

_CHOSEN = select(D.position, D.id, D.message, D.party, D.route, D.state, D.reference, D.cause, D.dossier, D.corrections, D.perhaps_taken)
CHOSEN_ONE = _CHOSEN.where(D.id == bindparam("id"))  # deliveries' unique id
HELD_ONE = CHOSEN_ONE.with_for_update()  # until the commit: nobody claims, sends and settles it while staff's act is under way
LAST = select(func.max(D.position))
# deliveries_by_message; the party is spelt so that SQLite does not walk all of a party's deliveries instead
SERVED = select(literal(1)).where(
    D.message == bindparam("message"), D.party.concat("") == bindparam("party"), D.state != State.CANCELLED.value
)  # fmt: skip
# messages' primary key; holds the message until the commit: of two who send it on, the second sees what the first did
HEADER = select(MESSAGES.c.header, MESSAGES.c.sender).where(MESSAGES.c.id == bindparam("id")).with_for_update(key_share=True)
CORRECT = (
    update(DELIVERIES)
    .where(D.id == bindparam("delivery"), D.state == bindparam("from"))
    .values(route=bindparam("to_route"), corrections=bindparam("corrected"), updated_at=bindparam("now"))
)


@cache
def chosen(names: frozenset[str]) -> Select[Any]:
    """Choose, and hold, by these conditions within a stretch of positions, which bounds what one look costs; deliveries' primary key."""
    return (
        _CHOSEN.where(D.position > bindparam("after"), D.position <= bindparam("last"), *_conditions(names))
        .order_by(D.position)
        .limit(bindparam("rows"))
        .with_for_update()
    )


@cache
def count(names: frozenset[str]) -> Select[Any]:
    """Count what these conditions choose by where it stands; reads every delivery where none of them has an index."""
    alike = (D.state, D.perhaps_taken)
    return select(*alike, func.count()).where(D.position <= bindparam("last"), *_conditions(names)).group_by(*alike)


def _conditions(names: frozenset[str]) -> Sequence[Any]:
    return [DELIVERY_FILTERS[name] for name in sorted(names)]


# --- jobs ------------------------------------------------------------------------------------------------------------

INSERT_JOB = insert(JOBS).values({name: bindparam(name) for name in JOB_COLUMNS})
JOB = select(JOBS).where(J.id == bindparam("id"))  # jobs' primary key
REPEATED_JOB = select(JOBS).where(J.proposed_by == bindparam("by"), J.repeat_key == bindparam("key"))  # jobs_by_repeat_key
JOBS_BEFORE = select(JOBS).where(J.id < bindparam("before")).order_by(J.id.desc()).limit(bindparam("rows"))
JOBS_IN_STATE = select(JOBS).where(J.id < bindparam("before"), J.state == bindparam("state")).order_by(J.id.desc()).limit(bindparam("rows"))
_FREE = and_(J.state == literal("running"), or_(J.lease_until.is_(None), J.lease_until <= bindparam("now")))
FREE_JOB = select(J.id).where(_FREE).order_by(J.id).limit(1)  # jobs_open
OVERDUE = select(JOBS).where(J.state == literal("proposed"), J.expires_at <= bindparam("now")).limit(100)  # jobs_open
TAKE_JOB = update(JOBS).where(J.id == bindparam("job"), _FREE).values(token=bindparam("new_token"), lease_until=bindparam("lease"))
HOLD_JOB = (
    update(JOBS)
    .where(J.id == bindparam("job"), J.token == bindparam("held"), J.state == literal("running"))
    .values(lease_until=bindparam("lease"), updated_at=bindparam("now"))
)
ADVANCE_JOB = (
    update(JOBS)
    .where(J.id == bindparam("job"), J.token == bindparam("held"))
    .values(
        {name: bindparam(f"new_{name}") for name in ("state", "reached", "done", "skipped", "skips")},
    )
)
LEAVE_JOB = update(JOBS).where(J.id == bindparam("job"), J.token == bindparam("held")).values(token=null(), lease_until=null())
MOVE_JOB = (
    update(JOBS)
    .where(J.id == bindparam("job"), J.state == bindparam("from"))
    .values(
        state=bindparam("to"),
        approved_by=func.coalesce(bindparam("approver"), J.approved_by),
        total=func.coalesce(bindparam("counted", type_=J.total.type), J.total),
        token=null(),
        lease_until=null(),
        updated_at=bindparam("now"),
    )
)

# --- what was exchanged ----------------------------------------------------------------------------------------------

A, O = ATTEMPTS.c, OUTCOMES.c  # noqa: E741  # as the statements' other letters
NOTED = (  # attempts' primary key
    select(A.token, A.number, A.noted_at, A.request_sha256)
    .where(A.delivery == bindparam("delivery"))
    .order_by(A.noted_at.desc())
    .limit(bindparam("rows"))
)
SETTLED = (  # outcomes' primary key
    select(O.token, O.settled_at, O.outcome, O.code, O.reply_status)
    .where(O.delivery == bindparam("delivery"))
    .order_by(O.settled_at.desc())
    .limit(bindparam("rows"))
)
REQUESTS = select(A.token, A.number, A.request).where(A.delivery == bindparam("delivery")).order_by(A.noted_at.desc()).limit(1)
REQUEST_OF = REQUESTS.where(A.number == bindparam("number"))  # of the latest life, where a replay counted from one again
REPLY_OF = select(O.reply).where(O.delivery == bindparam("delivery"), O.token == bindparam("token"))
