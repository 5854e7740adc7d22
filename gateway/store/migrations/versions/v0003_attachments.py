"""Attachments: opaque content beside a message."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

LOOSE = sa.text("loose_at IS NOT NULL")


def upgrade() -> None:
    """Make the tables and the column."""
    op.add_column("messages", sa.Column("attachments", sa.Integer(), nullable=True))
    op.create_table(
        "attachments",
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("label", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["message"], ["messages.id"]),
        sa.PrimaryKeyConstraint("message", "number"),
    )
    op.create_index("attachments_by_digest", "attachments", ["digest"], unique=False)
    op.create_table(
        "contents",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("upload", sa.Text(), nullable=False),
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("loose_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("contents_loose", "contents", ["loose_at"], unique=False, sqlite_where=LOOSE, postgresql_where=LOOSE)
    op.create_table(
        "uploads",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("touched_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    _chunks()


def _chunks() -> None:
    op.create_table(
        "chunks",
        sa.Column("upload", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("upload", "number"),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE chunks ALTER COLUMN sealed SET STORAGE EXTERNAL")  # what is encrypted cannot be compressed
