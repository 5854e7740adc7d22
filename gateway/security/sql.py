"""The statements about certificates: requests that wait for a person, and who was warned of what."""

from sqlalchemy import bindparam, insert, select, text, update

from gateway.store.tables import CERTIFICATE_REQUESTS, CERTIFICATE_WARNINGS

R, W = CERTIFICATE_REQUESTS.c, CERTIFICATE_WARNINGS.c

ASK = insert(CERTIFICATE_REQUESTS).values({
    c.name: bindparam(c.name) for c in (R.id, R.party, R.csr, R.sha256, R.requested_at, R.requested_by)
} | {"state": "waiting"})  # fmt: skip
ONE = select(CERTIFICATE_REQUESTS).where(R.id == bindparam("id"))  # the primary key
LISTED = (  # few rows: a party asks once a year
    select(CERTIFICATE_REQUESTS)
    .where((R.party == bindparam("party")) | (bindparam("party", "") == ""))
    .order_by(R.id.desc())
    .limit(bindparam("most"))
)
WAITING = select(R.id).where(R.party == bindparam("party"), R.state == "waiting")  # certificate_requests_waiting
DECIDE = (  # guarded by its state
    update(CERTIFICATE_REQUESTS)
    .where(R.id == bindparam("of"), R.state == "waiting")
    .values(
        state=bindparam("to"), decided_at=bindparam("now"), decided_by=bindparam("who"), reason=bindparam("why"),
        certificate=bindparam("pem"),
    )
)  # fmt: skip

WARN = text(  # the primary key elects who tells of it
    "INSERT INTO certificate_warnings (sha256, threshold, at) VALUES (:sha256, :threshold, :at) ON CONFLICT (sha256, threshold) DO NOTHING"
)
UNWARN = CERTIFICATE_WARNINGS.delete().where(W.sha256 == bindparam("of"), W.threshold == bindparam("days"))
