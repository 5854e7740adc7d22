"""The tables. Times are microseconds since 1970 in UTC; ids are text; content is encrypted bytes."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, MetaData, PrimaryKeyConstraint, Table, Text, text

METADATA = MetaData()

MESSAGES = Table(
    "messages",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False),  # accepted, refused
    Column("received_at", BigInteger, nullable=False),
    Column("door", Text, nullable=False),
    Column("channel", Text, nullable=False),  # kind:name
    Column("path", Text, nullable=False),
    Column("request_digest", LargeBinary),  # keyed; null where refused: a refused message is judged anew
    Column("repeat_key", Text),
    Column("message_key", LargeBinary),
    Column("sender", Text),
    Column("receiver", Text),
    Column("message_id", Text),
    Column("procedure", Text),
    Column("type", Text),
    Column("function", Text),
    Column("reference", Text),
    Column("year", Text),
    Column("previous", Text),
    Column("sha256", Text, nullable=False),
    Column("schema", Text),
    Column("slots", Text),
    Column("proof", Text),
    Column("header", Text),  # JSON
    Column("signers", Text),  # JSON
    Column("schema_pack", Text),
    Column("rule_set", Text),
    Column("procedure_version", Text),
    Column("code", Text),  # why it was refused
    Column("cause", Text),  # JSON: text keys and places, never values
    Column("warnings", Text),  # JSON, the same
    Column("answer_status", Integer, nullable=False),
    Column("answer_headers", Text, nullable=False),  # JSON
    Index("messages_by_request", "request_digest", unique=True),
    Index("messages_by_key", "message_key", unique=True),
    Index("messages_by_repeat_key", "channel", "repeat_key", unique=True, sqlite_where=text("repeat_key IS NOT NULL")),
    Index("messages_by_time", "received_at", "id"),
    Index("messages_by_reference", "reference", "received_at"),
    Index("messages_by_procedure", "procedure", "received_at"),
    Index("messages_by_sender", "sender", "received_at"),
    Index("messages_by_state", "state", "received_at"),
)

PAYLOADS = Table(
    "payloads",
    METADATA,
    Column("message", Text, ForeignKey("messages.id"), nullable=False),
    Column("part", Text, nullable=False),  # body as received, document, answer
    Column("content", LargeBinary, nullable=False),
    PrimaryKeyConstraint("message", "part"),
)

DELIVERIES = Table(
    "deliveries",
    METADATA,
    Column("position", Integer, primary_key=True, autoincrement=True),  # commit order, which dossiers follow
    Column("id", Text, nullable=False, unique=True),
    Column("message", Text, ForeignKey("messages.id"), nullable=False),
    Column("party", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("open", Integer),  # 1 until it ends, then null
    Column("due_at", BigInteger),  # null while somebody holds it and when it ended
    Column("attempt", Integer, nullable=False),
    Column("claimed_from", Text),
    Column("token", Text),
    Column("lease_until", BigInteger),
    Column("reference", Text, nullable=False),  # the partner's own number
    Column("cause", Text, nullable=False),
    Column("dossier", Text),  # set where the route keeps order
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Index("deliveries_due", "party", "due_at", sqlite_where=text("due_at IS NOT NULL"), postgresql_where=text("due_at IS NOT NULL")),
    Index(
        "deliveries_leased", "lease_until", sqlite_where=text("lease_until IS NOT NULL"), postgresql_where=text("lease_until IS NOT NULL")
    ),
    Index("deliveries_in_order", "party", "dossier", "position", sqlite_where=text("open = 1"), postgresql_where=text("open = 1")),
    Index("deliveries_by_message", "message"),
    Index("deliveries_by_state", "state", "party", "position"),
)

ATTEMPTS = Table(
    "attempts",
    METADATA,
    Column("delivery", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("token", Text, nullable=False),
    Column("noted_at", BigInteger, nullable=False),
    Column("request", LargeBinary, nullable=False),
    Column("request_sha256", Text, nullable=False),
    Column("settled_at", BigInteger),
    Column("outcome", Text),
    Column("code", Text),
    Column("reply_status", Integer),
    Column("reply", LargeBinary),
    PrimaryKeyConstraint("delivery", "token"),
)

KEYS = Table(
    "business_keys",
    METADATA,
    Column("name", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("message", Text, ForeignKey("messages.id"), nullable=False),
    PrimaryKeyConstraint("value", "name", "message"),
    Index("business_keys_by_message", "message"),
)

DOSSIERS = Table(
    "dossiers",
    METADATA,
    Column("id", Text, primary_key=True),  # procedure/reference/year
    Column("state", Text),
    Column("message", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

LEDGER = Table(
    "ledger",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("message", Text),
    Column("delivery", Text),
    Column("leaf", Text, nullable=False),  # the exact bytes that are hashed: JSON with sorted keys
    Index("ledger_by_message", "message"),
    Index("ledger_by_delivery", "delivery"),
)
