"""How many requests a partner's rate allows at a time: never more than `per_minute` in any minute, however the minute is laid.

A second's worth may go at once, so that a worker that looks every second uses the rate up. What remains of the rate comes back
evenly. `full_at` is all that is remembered: when the whole burst is there again.
"""

from datetime import datetime, timedelta

MINUTE = timedelta(minutes=1)


def burst(per_minute: int) -> int:
    """Say how many may go at once after a rest."""
    return per_minute // 60 + 1


def every(per_minute: int) -> timedelta:
    """Say how long it takes until one more may go; with a burst at its start, a minute still holds no more than it may."""
    return MINUTE / (per_minute - burst(per_minute) + 1)


def allowed(full_at: datetime, *, per_minute: int, now: datetime) -> int:
    """Say how many may go now; all of the burst where `full_at` lies so far ahead that the clock must have been set back."""
    missing = -((now - full_at) // every(per_minute))  # rounded up
    return burst(per_minute) - missing if 0 < missing <= burst(per_minute) else burst(per_minute)


def latest(count: int, *, per_minute: int, now: datetime) -> datetime:
    """Say which `full_at`, at the latest, allows so many now."""
    return now + (burst(per_minute) - count) * every(per_minute)
