"""What staff's repairs need: jobs over many deliveries, and what staff corrected in the gateway's own header."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

OPEN = sa.text("state IN ('proposed', 'running', 'paused')")
REPEATABLE = sa.text("repeat_key IS NOT NULL")


def upgrade() -> None:
    """Make the table and the column."""
    op.add_column("deliveries", sa.Column("corrections", sa.Text(), nullable=True))
    op.create_table(
        "jobs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("choice", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("repeat_key", sa.Text(), nullable=True),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("skipped", sa.Integer(), nullable=False),
        sa.Column("skips", sa.Text(), nullable=False),
        sa.Column("reached", sa.BigInteger(), nullable=False),
        sa.Column("upto", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("token", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("jobs_open", "jobs", ["state", "id"], unique=False, sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_index(
        "jobs_by_repeat_key", "jobs", ["proposed_by", "repeat_key"], unique=True, sqlite_where=REPEATABLE, postgresql_where=REPEATABLE
    )
