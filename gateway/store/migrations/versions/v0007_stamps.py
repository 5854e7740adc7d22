"""Time-stamps over the ledger's heads."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

UNSTAMPED = sa.text("token IS NULL")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "ledger_stamps",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("begun_at", sa.BigInteger(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=True),
        sa.Column("authority", sa.Text(), nullable=True),
        sa.Column("token", sa.LargeBinary(), nullable=True),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("size"),
    )
    op.create_index("ledger_unstamped", "ledger_stamps", ["size"], unique=False, sqlite_where=UNSTAMPED, postgresql_where=UNSTAMPED)
