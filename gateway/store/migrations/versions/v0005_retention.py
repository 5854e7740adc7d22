"""Holds, and what retention needs."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

IN_FORCE = sa.text("released_at IS NULL")
ARCHIVED = sa.text("archive IS NOT NULL")
KEPT = sa.text("removed_at IS NULL")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "holds",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("placed_by", sa.Text(), nullable=False),
        sa.Column("placed_at", sa.BigInteger(), nullable=False),
        sa.Column("released_by", sa.Text(), nullable=True),
        sa.Column("released_at", sa.BigInteger(), nullable=True),
        sa.Column("release_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("holds_in_force", "holds", ["id"], unique=False, sqlite_where=IN_FORCE, postgresql_where=IN_FORCE)
    _purged()
    _archives()
    _progress()


def _purged() -> None:
    op.create_table(
        "purged",
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("purged_at", sa.BigInteger(), nullable=False),
        sa.Column("imprint", sa.LargeBinary(), nullable=True),
        sa.Column("dossier", sa.Text(), nullable=True),
        sa.Column("archive", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("message"),
    )
    op.create_index("purged_by_archive", "purged", ["archive", "message"], unique=False, sqlite_where=ARCHIVED, postgresql_where=ARCHIVED)


def _archives() -> None:
    op.create_table(
        "archives",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("keep_until", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("archives_kept", "archives", ["keep_until"], unique=False, sqlite_where=KEPT, postgresql_where=KEPT)


def _progress() -> None:
    op.create_table(
        "retention_marks",
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("seconds", sa.BigInteger(), nullable=False),
        sa.Column("schedule", sa.Text(), nullable=False),
        sa.Column("upto", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("stage", "seconds"),
    )
    op.create_table(
        "retention_passed",
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("stage", "message"),
    )
    op.create_table(
        "retention_run",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )
