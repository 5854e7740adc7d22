"""A program that says when it is ready: started, waited for, killed, and started again."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO

READY = "ready "
START_SECONDS = 60.0  # a cold start on a busy machine
STOP_SECONDS = 20.0  # a gateway lets its deliveries under way end
TAIL = 2_000  # characters of the log that an error quotes


class NotReadyError(Exception):
    """A program ended or stayed silent instead of saying that it is ready; begins with what it said on standard error."""


class Process:
    """One Python program that prints `ready <address>`; its standard error goes to a log file.

    It gets the given environment and nothing of ours, so that a developer's settings cannot change what a test proves.
    """

    def __init__(self, arguments: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None) -> None:
        """Describe a program by the arguments of this Python; nothing is started yet."""
        self._command = [sys.executable, *arguments]
        self._environment = {"PATH": os.defpath, "LANG": "C.UTF-8", **(environment or {})}
        self._log = log
        self._begun = 0  # where in the log this start begins
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        """The process's id; 0 before the first start."""
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        """Say whether it is there."""
        return self._process is not None and self._process.poll() is None

    def start(self, *, within: float = START_SECONDS, environment: Mapping[str, str] | None = None) -> str:
        """Start it and give the address it says; raises NotReadyError."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._begun = log.tell()
            self._process = subprocess.Popen(  # noqa: S603 - our own program, by its absolute path
                self._command, stdout=subprocess.PIPE, stderr=log, text=True, env={**self._environment, **(environment or {})}
            )
        lines: Queue[str] = Queue()
        Thread(target=_read_on, args=(self._process.stdout, lines), daemon=True).start()
        return self._address(lines, within)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to end and give its exit code; kills it where it does not follow."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        process = self._process
        if process is None:
            return 0
        process.send_signal(number)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _address(self, lines: "Queue[str]", within: float) -> str:
        try:
            line = lines.get(timeout=within)
        except Empty:
            line = ""
        if line.startswith(READY):
            return line.removeprefix(READY).strip()
        self.kill()
        raise NotReadyError(f"{self._cause()}\n({' '.join(self._command)} said {line!r})")

    def _cause(self) -> str:
        """Give what this start said to people; its events in JSON where it said nothing else."""
        lines = self._log.read_bytes()[self._begun :].decode("utf-8", "replace").splitlines()
        return "\n".join([line for line in lines if not line.startswith("{")] or lines)[-TAIL:]


def _read_on(stream: "IO[str] | None", lines: "Queue[str]") -> None:
    """Pass the first line on and swallow the rest, so that the program never waits for a reader; an empty line means it ended."""
    if stream is None:
        return
    with stream:
        lines.put(stream.readline())
        for _ in stream:
            pass
