"""What staff's repairs need."""

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Nothing yet."""
