"""The names of elements that lxml keeps: dropped in time, without harm to documents that are still held."""

import threading
from collections.abc import Callable

from lxml import etree

from gateway.xml import memory
from gateway.xml.canonical import canonical
from gateway.xml.parse import parse

MOMENT = 5_000_000  # nanoseconds after which this clock's draw falls


def names(number: int) -> bytes:
    return b"<r>" + b"".join(b"<n%d a%d='1'>x</n%d>" % (number + n, n, number + n) for n in range(50)) + b"</r>"


def in_thread(work: Callable[[], None]) -> None:
    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as failure:  # noqa: BLE001 - carried over to the test's own thread
            failures.append(failure)

    thread = threading.Thread(target=guarded)
    thread.start()
    thread.join()
    assert not failures, failures


def table() -> object:
    """This thread's table of names, as lxml keeps it."""
    return memory._dictionary().get(memory._TABLE)


def test_drops_the_table_that_lxml_keeps() -> None:
    """Fails where another version of lxml keeps its names elsewhere: then the process grows without end."""

    def work() -> None:
        parse(b"<a/>")
        before = table()
        memory.drop_names()
        parse(b"<a/>")

        assert before is not None
        assert table() is not None
        assert table() is not before

    in_thread(work)


def test_documents_outlive_their_table() -> None:
    def work() -> None:
        kept = []
        for number in range(100):
            root = parse(names(1000 * number))
            memory.drop_names()
            other = parse(names(1000 * number + 500))
            other.append(root[0])
            etree.SubElement(root, f"added{number}").text = "x"
            kept.append((root, other))
        for number, (root, other) in enumerate(kept):
            assert canonical(other[-1]) == b'<n%d a0="1">x</n%d>' % (1000 * number, 1000 * number)
            assert root[-1].tag == f"added{number}"
            assert len(list(root.iter())) == 51

    in_thread(work)


def test_drops_in_proportion_to_what_is_parsed() -> None:
    assert memory.is_time(MOMENT, MOMENT + 1)
    assert not memory.is_time(MOMENT, MOMENT)
    assert memory.is_time(memory.BUDGET * 7 + 3, 4)
    assert memory.is_time(MOMENT, memory.BUDGET)
