"""The last configuration that the ledger told of, found without reading the ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

TOLD = sa.text("kind = 'configuration.changed'")


def upgrade() -> None:
    """Make the index; it holds nothing yet."""
    op.create_index("ledger_configurations", "ledger", ["id"], unique=False, sqlite_where=TOLD, postgresql_where=TOLD)
