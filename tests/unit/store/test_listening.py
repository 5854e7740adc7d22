"""What one process tells of, the others hear."""

import os
import resource
import threading
from collections.abc import Iterator

import psycopg
import pytest

from gateway.store.listening import CHANNEL, Listening
from gateway.testing.postgres import Server

WAIT = 20


class Ear:
    """A process that listens; `heard` counts."""

    def __init__(self, url: str) -> None:
        self.heard = threading.Semaphore(0)
        self.listening = Listening(url, self.heard.release)
        self.listening.start()
        assert self.heard.acquire(timeout=WAIT)  # it calls once when it begins to listen

    def hears(self, seconds: float = WAIT) -> bool:
        return self.heard.acquire(timeout=seconds)


@pytest.fixture
def ears(postgres_url: str) -> Iterator[tuple[Ear, Ear]]:
    pair = Ear(postgres_url), Ear(postgres_url)
    yield pair
    for ear in pair:
        ear.listening.stop()


def test_what_one_tells_the_other_hears(ears: tuple[Ear, Ear]) -> None:
    one, other = ears

    one.listening.tell()
    assert other.hears()

    other.listening.tell()
    assert one.hears()


def test_nobody_hears_itself(ears: tuple[Ear, Ear]) -> None:
    one, other = ears
    one.listening.tell()
    assert other.hears()
    other.listening.tell()

    assert one.hears()
    assert not one.hears(0)


def test_many_tellings_become_few(ears: tuple[Ear, Ear], postgres_url: str) -> None:
    told = 200
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"LISTEN {CHANNEL}")
        for _ in range(told):
            ears[0].listening.tell()
        assert ears[1].hears()
        notices = list(connection.notifies(timeout=0.1))

    assert 1 <= len(notices) < told // 4


def test_who_lost_the_server_listens_again_and_looks_for_what_was_missed(postgres_alone: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.store.listening.AWAY_SECONDS", 0.05)
    one, other = Ear(postgres_alone.url), Ear(postgres_alone.url)

    postgres_alone.stop()
    postgres_alone.start()

    assert one.hears()
    assert other.hears()
    one.listening.tell()
    assert other.hears()
    for ear in (one, other):
        ear.listening.stop()


def test_stop_ends_what_never_reached_a_server() -> None:
    listening = Listening("postgresql://nobody@127.0.0.1:1/none", lambda: None)
    listening.start()

    listening.tell()
    listening.stop()

    assert not listening.is_alive()


def test_silent_server_is_asked_whether_it_is_there(ears: tuple[Ear, Ear], monkeypatch: pytest.MonkeyPatch, postgres_url: str) -> None:
    monkeypatch.setattr("gateway.store.listening.QUIET_SECONDS", 0.01)
    quiet = Ear(postgres_url)

    ears[0].listening.tell()

    assert quiet.hears()
    quiet.listening.stop()


def test_who_has_many_files_open_listens_too(postgres_url: str) -> None:
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4096), most))
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]  # as with so many partners connected
    try:
        one, other = Ear(postgres_url), Ear(postgres_url)
        one.listening.tell()

        assert other.hears()
        assert one.listening.is_alive()
    finally:
        for ear in (one, other):
            ear.listening.stop()
        for file in files:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
