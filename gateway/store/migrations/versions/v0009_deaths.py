"""What is unsure of a delivery (how often in a row it died, whether its partner may have it), and a party's deliveries found by it."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make columns and index; nothing has died before, and what was tried before in vain may have arrived."""
    op.add_column("deliveries", sa.Column("unsettled", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("deliveries", sa.Column("perhaps_taken", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("deliveries_by_party", "deliveries", ["party", "position"], unique=False)
    op.execute(sa.text("UPDATE deliveries SET perhaps_taken = 1 WHERE state IN ('dead', 'retrying') AND attempt > 0"))
