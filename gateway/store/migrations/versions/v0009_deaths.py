"""How often in a row a delivery was claimed and never settled, so that one that kills whoever carries it is set aside."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the column; what was recorded before has died never."""
    op.add_column("deliveries", sa.Column("unsettled", sa.Integer(), nullable=False, server_default="0"))
