"""Tells the other processes on a PostgreSQL database that something is due, and hears it from them."""

import os
import select
import threading
from collections.abc import Callable
from contextlib import suppress

import psycopg

from .postgres import Connection, connect

CHANNEL = "nsw_due"
LISTEN, NOTIFY = f"LISTEN {CHANNEL}", f"NOTIFY {CHANNEL}"
PAUSE_SECONDS = 0.01  # between two tellings: notifications that wait to be sent would serialise commits
AWAY_SECONDS = 1.0  # the pause while the server is away
QUIET_SECONDS = 30.0  # after which a silent server is asked whether it is there


class Listening(threading.Thread):
    """One connection of its own, outside all transactions; `heard` is called for what others told, and after every gap."""

    def __init__(self, url: str, heard: Callable[[], None]) -> None:
        """Know where to listen and whom to call; nothing is connected before start()."""
        super().__init__(name="listening", daemon=True)
        self._url = url
        self._heard = heard
        self._stopping = threading.Event()
        self._told = threading.Event()  # something is to be told
        self._ears, self._mouth = os.pipe()
        os.set_blocking(self._mouth, False)

    def tell(self) -> None:
        """Say that something is due; returns at once, and several sayings may become one."""
        if not self._told.is_set():
            self._told.set()
            self._stir()

    def run(self) -> None:
        """Listen and tell until stopped; a server that goes away is looked for until it is back."""
        while not self._stopping.is_set():
            try:
                with connect(self._url) as connection:
                    connection.execute(LISTEN)
                    self._heard()  # whatever was told meanwhile was not heard
                    self._attend(connection)
            except (psycopg.Error, OSError):
                self._stopping.wait(AWAY_SECONDS)

    def stop(self) -> None:
        """Hear and tell no more; called when nobody tells any more."""
        self._stopping.set()
        self._stir()
        if self.is_alive():
            self.join()
        os.close(self._ears)
        os.close(self._mouth)

    def _attend(self, connection: Connection) -> None:
        poll = select.poll()  # select() knows no file numbers beyond 1023
        for file in (connection.fileno(), self._ears):
            poll.register(file, select.POLLIN)
        while not self._stopping.is_set():
            ready = dict(poll.poll(QUIET_SECONDS * 1000))
            if self._ears in ready:
                os.read(self._ears, 512)
            if self._told.is_set():
                self._told.clear()
                connection.execute(NOTIFY)
                self._stopping.wait(PAUSE_SECONDS)
            elif not ready:
                connection.execute("SELECT 1")
            ours = connection.info.backend_pid
            if any([notice.pid != ours for notice in connection.notifies(timeout=0)]):  # noqa: C419  # all are to be taken
                self._heard()

    def _stir(self) -> None:
        with suppress(BlockingIOError):  # the pipe is full: it will be read
            os.write(self._mouth, b".")
