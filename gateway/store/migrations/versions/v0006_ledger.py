"""Positions, tiles and heads of the ledger's tree."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

UNSEALED, SEALED, UNSIGNED = sa.text("position IS NULL"), sa.text("position IS NOT NULL"), sa.text("signature IS NULL")


def upgrade() -> None:
    """Make the tables; the release before goes on to write leaves, which are sealed when this one runs."""
    op.add_column("ledger", sa.Column("position", sa.BigInteger(), nullable=True))
    op.create_index("ledger_unsealed", "ledger", ["id"], unique=False, sqlite_where=UNSEALED, postgresql_where=UNSEALED)
    op.create_index("ledger_sealed", "ledger", ["position"], unique=True, sqlite_where=SEALED, postgresql_where=SEALED)
    op.create_table(
        "ledger_tiles",
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "number"),
    )
    op.create_table(
        "ledger_heads",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("certificate", sa.Text(), nullable=True),
        sa.Column("signature", sa.LargeBinary(), nullable=True),
        sa.Column("published_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("size"),
    )
    op.create_index("ledger_unsigned", "ledger_heads", ["size"], unique=False, sqlite_where=UNSIGNED, postgresql_where=UNSIGNED)
