"""What goes on beside the stories: something that is done every so often, in a thread of its own."""

import threading
from collections.abc import Callable

from .errors import GatewayError
from .ports import Watch


class Rounds:
    """Makes rounds until stopped; what goes wrong in one is told under the area's name, and the next one tries again.

    Events: `<area>.paused` where something is away, `<area>.defect` for a defect, which must not end the thread.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], object],
        *,
        every: float,
        watch: Watch,
        area: str = "",
        at_once: bool = False,
        last: bool = False,
        patience: float | None = None,
    ) -> None:
        """`every` in seconds; `at_once` makes the first round at the start, `last` one more at the stop, which waits `patience` seconds."""
        self._work = work
        self._every = every
        self._watch = watch
        self._area = area or name
        self._at_once = at_once
        self._last = last
        self._patience = patience
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Make no more rounds, and wait for the one under way; does nothing where it never began."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(self._patience)

    @property
    def alive(self) -> bool:
        """Say whether the thread runs."""
        return self._thread.is_alive()

    def make(self) -> None:
        """Make one round."""
        try:
            self._work()
        except GatewayError as error:
            self._watch(f"{self._area}.paused", {"code": error.code})
        except Exception as error:  # noqa: BLE001  # a defect must not end the thread for every later round
            self._watch(f"{self._area}.defect", {"defect": type(error).__name__})

    def _run(self) -> None:
        if self._at_once:
            self.make()
        while not self._stopping.wait(self._every):
            self.make()
        if self._last:
            self.make()
