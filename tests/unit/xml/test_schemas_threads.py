"""One compiled schema in many threads: verdicts and explanations are those of each thread's own document."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.errors import Problem
from gateway.testing import builders
from gateway.testing.contents import Consignment
from gateway.xml.compiled import MAX_EXPLAINED
from gateway.xml.parse import parse
from gateway.xml.schemas import Schemas
from gateway.xml.shipped import shipped
from gateway.xml.translate import entries

THREADS = 8
ROUNDS = 150
NAME = "BNN&PTNT03000021001"


@pytest.fixture(scope="module")
def schemas() -> Schemas:
    return Schemas.load([shipped("xsd")])


def together(work: Callable[[int], None]) -> None:
    """Run work in all threads at once; the first failure is raised here."""
    barrier = threading.Barrier(THREADS)

    def run(number: int) -> None:
        barrier.wait()
        work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        for future in [pool.submit(run, number) for number in range(THREADS)]:
            future.result()


def wrong(number: int) -> bytes:
    """Give an application whose one wrong value and place are this thread's own."""
    document = builders.message("10/01", Consignment(goods=THREADS))
    before, after = f"<Sort>{number + 1}</Sort>".encode(), f"<Sort>wrong-{number}</Sort>".encode()
    assert document.count(before) == 1
    return document.replace(before, after)


def check(problems: tuple[Problem, ...], number: int) -> None:
    place = f"/Envelope/Body/Content/Phytosanitary/GoodsList/Goods[{number + 1}]/Sort"
    assert [(problem.path, problem.values["found"]) for problem in problems] == [(place, f"wrong-{number}")]


def test_valid_and_invalid_documents_in_many_threads_get_their_own_verdicts(schemas: Schemas) -> None:
    good = builders.message("10/01", builders.TWELVE_KB)

    def work(number: int) -> None:
        for _ in range(ROUNDS):
            if number % 2:
                check(schemas.validate(NAME, parse(wrong(number)), size=MAX_EXPLAINED + 1), number)
            else:
                assert schemas.validate(NAME, parse(good), size=len(good)) == ()

    together(work)


def test_explanations_in_many_threads_speak_of_their_own_documents(schemas: Schemas) -> None:
    def work(number: int) -> None:
        for _ in range(3):
            check(schemas.validate(NAME, parse(wrong(number)), size=1000), number)

    together(work)


def test_different_schemas_explain_at_the_same_time(schemas: Schemas) -> None:
    names = [name for name in schemas.names() if name.startswith("BNN&PTNT")][:THREADS]
    empty = parse(b"<Envelope/>")

    def work(number: int) -> None:
        found = schemas.validate(names[number], parse(b"<Envelope/>"), size=10)
        assert [(problem.text, problem.path) for problem in found] == [("schema.missing", "/Envelope"), ("schema.missing", "/Envelope")]

    together(work)
    assert schemas.validate(names[0], empty, size=10)


def test_a_document_full_of_faults_leaves_nothing_behind(schemas: Schemas) -> None:
    document = b"<Envelope>" + b"<wrong/>" * 20_000 + b"</Envelope>"

    found = schemas.validate(NAME, parse(document), size=len(document))

    entry = schemas._entries[NAME][0].compiled.schema
    assert 0 < len(found) <= 20
    assert len(list(entries(entry._judge.error_log))) <= 1
    assert len(list(entries(entry._witness.error_log))) <= 1
