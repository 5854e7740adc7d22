"""The tables. Times are microseconds since 1970 in UTC; ids are text; content is encrypted bytes."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, MetaData, PrimaryKeyConstraint, Table, Text, text

METADATA = MetaData()
NUMBER = BigInteger().with_variant(Integer, "sqlite")  # a row's number: SQLite counts rows by itself, in 64 bits
SET_ASIDE = "state IN ('dead', 'rejected', 'cancelled')"  # what staff look for


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """Declare an index of some rows only, in the words of each database."""
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


MESSAGES = Table(
    "messages",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False),  # accepted, refused
    Column("received_at", BigInteger, nullable=False),
    Column("door", Text, nullable=False),
    Column("channel", Text, nullable=False),  # kind:name
    Column("path", Text, nullable=False),
    Column("way", Text),  # protocol, version and operation that wrapped it
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
    Column("keys", Text),  # JSON: business keys, so that a purge finds them without the document
    Column("attachments", Integer),  # how many; null where none
    # Each index is a page more to write for every message, so only what must be fast has one. Ids are in order of time.
    Index("messages_by_request", "request_digest", unique=True),
    Index("messages_by_key", "message_key", unique=True),
    _partial("messages_by_repeat_key", "channel", "repeat_key", unique=True, where="repeat_key IS NOT NULL"),
    Index("messages_by_reference", "reference", "id"),
    _partial("messages_by_previous", "previous", "id", where="previous <> ''"),
    _partial("messages_refused", "id", where="state = 'refused'"),
)

PAYLOADS = Table(
    "payloads",
    METADATA,
    Column("message", Text, ForeignKey("messages.id"), primary_key=True),
    Column("answer", LargeBinary, nullable=False),
    Column("document", LargeBinary),  # null where refused
    Column("body", LargeBinary, nullable=False),  # as received
)

DELIVERIES = Table(
    "deliveries",
    METADATA,
    Column("position", NUMBER, primary_key=True, autoincrement=True),  # commit order, which dossiers follow
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
    Column("corrections", Text),  # JSON: what staff corrected in the gateway's own header; never content
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("unsettled", Integer, nullable=False, server_default="0"),  # claims of workers since the last one that was settled
    Column("perhaps_taken", Integer, nullable=False, server_default="0"),  # 1 once it left and nothing came back that says no
    _partial("deliveries_due", "party", "due_at", where="due_at IS NOT NULL"),
    _partial("deliveries_leased", "lease_until", where="lease_until IS NOT NULL"),
    _partial("deliveries_in_order", "party", "dossier", "position", where="open = 1"),
    Index("deliveries_by_message", "message"),
    Index("deliveries_by_party", "party", "position"),
    _partial("deliveries_set_aside", "state", "party", "position", where=SET_ASIDE),
)

# What was about to leave, and what became of it: two rows, because rewriting the first would write its content again.
ATTEMPTS = Table(
    "attempts",
    METADATA,
    Column("delivery", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("noted_at", BigInteger, nullable=False),
    Column("request_sha256", Text, nullable=False),
    Column("request", LargeBinary, nullable=False),
    PrimaryKeyConstraint("delivery", "token"),
)

OUTCOMES = Table(
    "outcomes",
    METADATA,
    Column("delivery", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("settled_at", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("code", Text, nullable=False),
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
    sqlite_with_rowid=False,
)

DOSSIERS = Table(
    "dossiers",
    METADATA,
    Column("id", Text, primary_key=True),  # procedure/reference/year
    Column("state", Text),
    Column("message", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

LEDGER = Table(
    "ledger",
    METADATA,
    Column("id", NUMBER, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("message", Text),
    Column("delivery", Text),
    Column("leaf", Text, nullable=False),  # the exact bytes that are hashed: JSON with sorted keys
    Column("position", BigInteger),  # in the tree; null until it is sealed
    Index("ledger_by_message", "message"),
    _partial("ledger_configurations", "id", where="kind = 'configuration.changed'"),
    _partial("ledger_unsealed", "id", where="position IS NULL"),
    _partial("ledger_sealed", "position", unique=True, where="position IS NOT NULL"),
)

# The hashes of the tree: of level 8 * `level`, 256 a row, so that a root or a proof reads few rows and a new leaf writes one.
LEDGER_TILES = Table(
    "ledger_tiles",
    METADATA,
    Column("level", Integer, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("hashes", LargeBinary, nullable=False),
    PrimaryKeyConstraint("level", "number"),
)

LEDGER_HEADS = Table(
    "ledger_heads",
    METADATA,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("certificate", Text),  # SHA-256 of the certificate whose key signed it
    Column("signature", LargeBinary),  # null until it is signed
    Column("published_at", BigInteger),
    _partial("ledger_unsigned", "size", where="signature IS NULL"),
)

# Time-stamps over heads: a row is made when one is first asked for, and moves to the newest head until an authority gives it.
LEDGER_STAMPS = Table(
    "ledger_stamps",
    METADATA,
    Column("size", BigInteger, primary_key=True, autoincrement=False),  # of the head
    Column("begun_at", BigInteger, nullable=False),
    Column("asked_at", BigInteger, nullable=False),  # whoever moves it on asks
    Column("at", BigInteger),  # the time that the stamp states
    Column("authority", Text),
    Column("token", LargeBinary),
    Column("cause", Text),  # why none was given the last time
    _partial("ledger_unstamped", "size", where="token IS NULL"),
)

# What staff ordered for many deliveries at once, and how far it came; or for one, where a second person must approve it.
JOBS = Table(
    "jobs",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("act", Text, nullable=False),
    Column("state", Text, nullable=False),  # proposed, running, paused, done, cancelled, expired
    Column("choice", Text, nullable=False),  # JSON: which deliveries
    Column("details", Text, nullable=False),  # JSON: where to, what to correct
    Column("reason", Text, nullable=False),
    Column("proposed_by", Text, nullable=False),
    Column("approved_by", Text),
    Column("repeat_key", Text),
    Column("total", Integer, nullable=False),  # counted when it was ordered
    Column("done", Integer, nullable=False),
    Column("skipped", Integer, nullable=False),
    Column("skips", Text, nullable=False),  # JSON: why, and how many each
    Column("reached", BigInteger, nullable=False),  # position of the last delivery that was looked at
    Column("upto", BigInteger, nullable=False),  # what is recorded later is no part of it
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),  # a proposal's
    Column("token", Text),
    Column("lease_until", BigInteger),
    _partial("jobs_open", "state", "id", where="state IN ('proposed', 'running', 'paused')"),
    _partial("jobs_by_repeat_key", "proposed_by", "repeat_key", unique=True, where="repeat_key IS NOT NULL"),
)

# What processes know together of a destination; a row is made when there is first something to know.
DESTINATIONS = Table(
    "destinations",
    METADATA,
    Column("party", Text, primary_key=True),
    Column("open_since", BigInteger),  # set with probe_at while its circuit is open
    Column("probe_at", BigInteger),  # whoever moves it on probes
    Column("full_at", BigInteger, nullable=False),  # when its rate allows the whole burst again
    Column("paused_until", BigInteger),
    Column("paused_by", Text),
    Column("reason", Text),
)

# What came beside a message: opaque, kept once however often it comes. A link is a message's reference to a content; a content that no
# link names is loose, and collected after a while; an upload is what came so far, or what is about to be removed.
LINKS = Table(
    "attachments",
    METADATA,
    Column("message", Text, ForeignKey("messages.id"), nullable=False),
    Column("number", Integer, nullable=False),  # from 1, as they came
    Column("digest", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("label", LargeBinary, nullable=False),  # its name and media type
    PrimaryKeyConstraint("message", "number"),
    Index("attachments_by_digest", "digest"),
)

CONTENTS = Table(
    "contents",
    METADATA,
    Column("digest", Text, primary_key=True),  # keyed
    Column("upload", Text, nullable=False),  # the one that brought it
    Column("store", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("key", Text, nullable=False),  # of encryption; empty where more than one
    Column("loose_at", BigInteger),  # since when no link names it; null while one does
    _partial("contents_loose", "loose_at", where="loose_at IS NOT NULL"),
)

UPLOADS = Table(
    "uploads",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("store", Text, nullable=False),
    Column("digest", Text, nullable=False),  # empty until the last byte came
    Column("started_at", BigInteger, nullable=False),
    Column("touched_at", BigInteger, nullable=False),  # 0 where it is about to be removed
)

CHUNKS = Table(
    "chunks",
    METADATA,
    Column("upload", Text, nullable=False),
    Column("number", Integer, nullable=False),  # from 0
    Column("sealed", LargeBinary, nullable=False),
    PrimaryKeyConstraint("upload", "number"),
)

# Retention. A hold keeps what it covers; `purged` says what went, and keeps what recognises a late repeat.
HOLDS = Table(
    "holds",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),  # message, dossier, party, procedure
    Column("value", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("placed_by", Text, nullable=False),
    Column("placed_at", BigInteger, nullable=False),
    Column("released_by", Text),
    Column("released_at", BigInteger),
    Column("release_reason", Text),
    _partial("holds_in_force", "id", where="released_at IS NULL"),
)

PURGED = Table(
    "purged",
    METADATA,
    Column("message", Text, primary_key=True),
    Column("purged_at", BigInteger, nullable=False),
    Column("imprint", LargeBinary),  # digest of what a repeat has in common with it; null where refused
    Column("dossier", Text),
    Column("archive", Text),
    _partial("purged_by_archive", "archive", "message", where="archive IS NOT NULL"),
)

ARCHIVES = Table(
    "archives",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("path", Text, nullable=False),  # empty once it was removed and its file is gone
    Column("made_at", BigInteger, nullable=False),
    Column("keep_until", BigInteger, nullable=False),
    Column("key", Text, nullable=False),  # of encryption
    Column("sha256", Text),  # null until what it holds was purged: a file without it is half of a step, and goes
    Column("messages", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("removed_at", BigInteger),
    _partial("archives_kept", "keep_until", where="removed_at IS NULL"),
)

# How far each stage came for messages of one period, under which schedule; what was passed over is looked at again.
MARKS = Table(
    "retention_marks",
    METADATA,
    Column("stage", Text, nullable=False),  # content, record
    Column("seconds", BigInteger, nullable=False),
    Column("schedule", Text, nullable=False),
    Column("upto", Text, nullable=False),
    PrimaryKeyConstraint("stage", "seconds"),
)

PASSED = Table(
    "retention_passed",
    METADATA,
    Column("stage", Text, nullable=False),
    Column("message", Text, nullable=False),
    PrimaryKeyConstraint("stage", "message"),
)

RUN = Table(
    "retention_run",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
)

# --- certificates -----------------------------------------------------------------------------------------------------

CERTIFICATE_REQUESTS = Table(
    "certificate_requests",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("party", Text, nullable=False),
    Column("csr", Text, nullable=False),  # PEM
    Column("sha256", Text, nullable=False),  # of the request
    Column("state", Text, nullable=False),  # waiting, approved, declined
    Column("requested_at", BigInteger, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("decided_at", BigInteger),
    Column("decided_by", Text),
    Column("reason", Text),
    Column("certificate", Text),  # PEM
    _partial("certificate_requests_waiting", "party", where="state = 'waiting'"),
)

CERTIFICATE_WARNINGS = Table(
    "certificate_warnings",
    METADATA,
    Column("sha256", Text, nullable=False),
    Column("threshold", Integer, nullable=False),  # days
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("sha256", "threshold"),
)
