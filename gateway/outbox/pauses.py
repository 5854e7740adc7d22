"""When nothing is sent to a party: in the windows it announced, and while staff paused it."""

from datetime import datetime, timedelta

from gateway.model import Party, Window

WEEK = timedelta(weeks=1)


def paused_until(party: Party, by_staff: datetime | None, now: datetime) -> datetime | None:
    """Say until when nothing is sent; None where nothing keeps from it."""
    ends = [end for window in party.maintenance if (end := _end(window, now))]
    if by_staff is not None and by_staff > now:
        ends.append(by_staff)
    return max(ends, default=None)


def _end(window: Window, now: datetime) -> datetime | None:
    """Give the end of a window that has begun; times of one zone are reckoned by its wall clocks, as those who announce windows do."""
    local = now.astimezone(window.start.tzinfo)
    weeks = WEEK * max((local - window.start) // WEEK, 0) if window.weekly else timedelta()
    return window.until + weeks if window.start + weeks <= local < window.until + weeks else None
