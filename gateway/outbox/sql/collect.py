"""What a mailbox asks of deliveries beside the flow: what was handed out under a token, and how it was settled."""

from sqlalchemy import bindparam, select

from gateway.store.tables import DELIVERIES, OUTCOMES

D = DELIVERIES.c

# deliveries' unique id
HANDED = select(D.party, D.state, D.token, D.lease_until, D.claimed_from, D.attempt, D.route, D.reference, D.message).where(
    D.id == bindparam("id")
)
# outcomes' primary key
SETTLED_UNDER = select(OUTCOMES.c.outcome).where(OUTCOMES.c.delivery == bindparam("delivery"), OUTCOMES.c.token == bindparam("token"))
