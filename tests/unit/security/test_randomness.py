import threading

from gateway.security.randomness import BLOCK, Randomness


def test_gives_as_many_bytes_as_asked_across_blocks() -> None:
    randomness = Randomness()

    assert [len(randomness(n)) for n in (0, 1, 12, BLOCK, BLOCK + 1, 10)] == [0, 1, 12, BLOCK, BLOCK + 1, 10]


def test_threads_never_share_bytes() -> None:
    randomness = Randomness()
    given: list[bytes] = []
    threads = [threading.Thread(target=lambda: given.extend(randomness(12) for _ in range(2000))) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(given)) == len(given) == 16000
