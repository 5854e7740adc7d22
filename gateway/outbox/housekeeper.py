"""The thread that archives and purges at night: a step at a time, with long pauses, so that the flow never waits for it."""

import threading
from collections.abc import Callable
from datetime import date, time, timedelta, tzinfo
from pathlib import Path
from time import perf_counter

from gateway.errors import Conflict, GatewayError
from gateway.model import Schedule
from gateway.ports import Clock, Watch

from .retention import Retention

LOOK_SECONDS = 30.0  # how soon the beginning of the night is noticed
SHARE = 4  # pauses are so many times as long as the step before: the flow has at least four fifths of the database
SHORTEST_PAUSE = 0.05
Hours = tuple[time, time]  # from, until; across midnight where the second is not the later


class Housekeeper:
    """Makes one run a night within its hours, and goes on the next night with what is left."""

    def __init__(  # what it watches, where it writes, when it works
        self,
        retention: Retention,
        *,
        schedule: Callable[[], Schedule],
        folder: Path,
        hours: Hours | None,
        zone: Callable[[], tzinfo],
        clock: Clock,
        watch: Watch,
    ) -> None:
        """Take what to do and when; `hours` None: never."""
        self._retention = retention
        self._schedule = schedule
        self._folder = folder
        self._hours = hours
        self._zone = zone
        self._clock = clock
        self._watch = watch
        self._ended: date | None = None  # the night of the last run that was made to its end
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="housekeeper", daemon=True)

    def start(self) -> None:
        """Begin to look at the clock."""
        if self._hours:
            self._thread.start()

    def stop(self) -> None:
        """Stop after the step under way."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """Make tonight's run if it is time and it was not made; a database that is away, or another's run, is waited for."""
        night = self._night()
        if night in (None, self._ended):
            return
        try:
            self._ended = night if self._run() else self._ended
        except Conflict:  # another process makes it
            return
        except GatewayError as error:
            self._watch("retention.paused", {"code": error.problems[0].text})

    def _work(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001  # a defect must not end the thread for every later night
                self._watch("retention.defect", {"defect": type(error).__name__})

    def _run(self) -> bool:
        """Step until nothing is left; says whether that was reached before the night ended."""
        steps = self._retention.run(self._schedule(), folder=self._folder)
        try:
            began = perf_counter()
            for done in steps:
                seconds = perf_counter() - began
                counts = {"messages": done.messages, "bytes": done.bytes, "archive": done.archive, "seconds": seconds}
                self._watch("retention.step", {"code": done.stage, **counts})
                if self._stopping.wait(pause_after(seconds)) or self._night() is None:
                    return False
                began = perf_counter()
        finally:
            steps.close()
        return True

    def _night(self) -> date | None:
        """Name the night it is by the day on which it began; None by day."""
        if self._hours is None:
            return None
        begin, end = self._hours
        now = self._clock().astimezone(self._zone())
        within = begin <= now.time() < end if begin < end else now.time() >= begin or now.time() < end
        return (now - timedelta(hours=begin.hour, minutes=begin.minute)).date() if within else None


def pause_after(seconds: float) -> float:
    """Say how long a pause follows a step that took so long."""
    return max(SHARE * seconds, SHORTEST_PAUSE)


def read_hours(text: str) -> Hours | None:
    """Read "01:00-05:00"; "off" is None. Raises ValueError."""
    if text == "off":
        return None
    begin, _, end = text.partition("-")
    return time.fromisoformat(begin), time.fromisoformat(end)
