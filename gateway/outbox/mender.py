"""Carries jobs out beside the flow: a batch, then a rest in proportion to what the batch took, so that nobody waits for staff's orders."""

import threading
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter

from gateway.errors import GatewayError, StaleClaim, Unavailable
from gateway.ports import Watch

from .mending import Hold, Mending
from .orders import Job, JobState
from .workers import Bell

REST = 2.0  # times what a batch took: a job takes at most a third of the writer
LOOK_SECONDS = 2.0  # how soon a job is noticed that another process left
AWAY_SECONDS = 5.0  # the pause while the database is away

Pause = Callable[[float], bool]  # waits so many seconds; says whether to stop


def carry(mending: Mending, hold: Hold, *, pause: Pause, told: Callable[[Job], None] = lambda _: None) -> None:
    """Carry a job on until it ends, is paused, or `pause` says stop; then it is given back. Raises Unavailable."""
    with suppress(StaleClaim):  # paused, ended, or taken over
        while True:
            started = perf_counter()
            job = mending.step(hold)
            told(job)
            if job.state is not JobState.RUNNING:
                return
            if pause((perf_counter() - started) * REST):
                mending.leave(hold)
                return


class Mender(threading.Thread):
    """The thread of a serving process that carries jobs out."""

    def __init__(self, mending: Mending, *, bell: Bell, watch: Watch) -> None:
        """`bell` is rung by whoever orders something."""
        super().__init__(name="mending", daemon=True)
        self._mending = mending
        self._bell = bell
        self._watch = watch
        self._stopping = threading.Event()

    def run(self) -> None:
        """Look for jobs until stopped; a defect in one never ends the thread."""
        while not self._stopping.is_set():
            self._bell.wait(self._carry())

    def stop(self) -> None:
        """Finish the batch under way."""
        self._stopping.set()
        self._bell.ring()
        if self.is_alive():
            self.join()

    def _carry(self) -> float:
        """Carry what there is; says how long to wait for more."""
        try:
            while hold := self._mending.take():
                carry(self._mending, hold, pause=self._stopping.wait, told=self._told)
                if self._stopping.is_set():
                    break
        except Unavailable as error:
            self._watch("job.paused", {"code": error.code})
            return AWAY_SECONDS
        except GatewayError as error:
            self._watch("job.defect", {"defect": str(error.code)})
            return AWAY_SECONDS
        except Exception as error:  # noqa: BLE001  # a defect must not end the thread that every job depends on
            self._watch("job.defect", {"defect": type(error).__name__})
            return AWAY_SECONDS
        return LOOK_SECONDS

    def _told(self, job: Job) -> None:
        self._watch("job.advanced", {"job": job.id, "act": job.order.act.value, "state": job.state.value, "done": job.done})
