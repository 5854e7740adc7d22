"""What is kept of destinations: circuits, rates and pauses. Every statement but the last is served by the table's primary key."""

from sqlalchemy import bindparam, case, null, or_, select, text, update

from gateway.store.tables import DELIVERIES, DESTINATIONS

D = DESTINATIONS.c
_ONE = D.party == bindparam("of")

KNOW = text("INSERT INTO destinations (party, full_at) VALUES (:of, 0) ON CONFLICT (party) DO NOTHING")
ALL = select(D.party, D.open_since, D.probe_at, D.paused_until, D.paused_by, D.reason)

OPEN = update(DESTINATIONS).where(_ONE, D.probe_at.is_(None)).values(open_since=bindparam("now"), probe_at=bindparam("next"))
CLOSE = update(DESTINATIONS).where(_ONE, D.probe_at.is_not(None)).values(open_since=null(), probe_at=null())
_TURN = or_(D.probe_at <= bindparam("now"), D.probe_at > bindparam("far"))  # so far ahead only where a clock was set back
ELECT = update(DESTINATIONS).where(_ONE, _TURN).values(probe_at=bindparam("next"))
TURN = select(D.probe_at).where(_ONE)

FULL_AT = select(D.full_at).where(_ONE)
SPEND = (
    update(DESTINATIONS)
    .where(_ONE, or_(D.full_at <= bindparam("latest"), D.full_at > bindparam("far")))
    .values(full_at=case((D.full_at.between(bindparam("now"), bindparam("far")), D.full_at), else_=bindparam("now")) + bindparam("cost"))
)

PAUSE = update(DESTINATIONS).where(_ONE).values(paused_until=bindparam("until"), paused_by=bindparam("by"), reason=bindparam("why"))
RESUME = update(DESTINATIONS).where(_ONE, D.paused_until > bindparam("now")).values(paused_until=null(), paused_by=null(), reason=null())

# deliveries_due; what was tried is due after what only waits, so that the latest few tell why
CAUSES = (
    select(DELIVERIES.c.cause)
    .where(DELIVERIES.c.party == bindparam("of"), text("due_at IS NOT NULL"))
    .order_by(DELIVERIES.c.due_at.desc())
    .limit(20)
)
