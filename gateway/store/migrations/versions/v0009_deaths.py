"""What is unsure of a delivery: how often in a row it was claimed and never settled, and whether its partner may have it."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the columns; nothing has died before, and what was tried before in vain may have arrived."""
    op.add_column("deliveries", sa.Column("unsettled", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("deliveries", sa.Column("perhaps_taken", sa.Integer(), nullable=False, server_default="0"))
    op.execute(sa.text("UPDATE deliveries SET perhaps_taken = 1 WHERE state IN ('dead', 'retrying') AND attempt > 0"))
