"""Times as the tables hold them: microseconds since 1970 in UTC."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def utc() -> datetime:
    """Give this machine's time, aware, in UTC."""
    return datetime.now(UTC)


def to_micros(moment: datetime) -> int:
    """Write an aware time as microseconds."""
    return (moment - EPOCH) // MICROSECOND


def from_micros(value: int) -> datetime:
    """Read microseconds as an aware time in UTC."""
    return EPOCH + value * MICROSECOND
