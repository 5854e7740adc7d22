"""The thread that looks once a second whether rule files changed."""

import threading

from gateway.ports import Watch

from .rules import Rules

RELOAD_SECONDS = 1.0


class Reloader(threading.Thread):
    """Looks once a second whether rule files changed."""

    def __init__(self, rules: Rules, *, watch: Watch, every: float = RELOAD_SECONDS) -> None:
        super().__init__(name="rules", daemon=True)
        self._rules = rules
        self._watch = watch
        self._every = every
        self._stopping = threading.Event()

    def run(self) -> None:
        """Reload until stopped; what does not pass never replaces the set in force."""
        while not self._stopping.wait(self._every):
            try:
                self._rules.reload_if_changed()
            except Exception as error:  # noqa: BLE001  # a defect must not keep every later change from being seen
                self._watch("rules.defect", {"defect": type(error).__name__})

    def stop(self) -> None:
        """Stop looking."""
        self._stopping.set()
        if self.is_alive():
            self.join()
