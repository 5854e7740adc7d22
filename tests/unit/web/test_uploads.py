"""A document with attachments at the REST door: limits, refusals, and what is taken back."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.errors import Code, Problem, Unavailable
from gateway.model import Attachment, Reply
from gateway.web.bodies import BLOCK, MAX_XML, Bodies
from gateway.web.crew import Crew
from gateway.web.uploads import take_parcel, turns_of

Call = Callable[..., Any]
PATH = "/api/v1/documents"
FORM = ("content-type", "multipart/form-data; boundary=xyz")
DOCUMENT = b'--xyz\r\nContent-Disposition: form-data; name="document"\r\n\r\n<Envelope/>\r\n'
FILE = b'--xyz\r\nContent-Disposition: form-data; name="f"; filename="a.pdf"\r\nContent-Type: application/pdf\r\n\r\n'
END = b"\r\n--xyz--\r\n"


@dataclass
class Store:
    """Keeps nothing but what became of each upload."""

    ends: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    full: bool = False

    def upload(self, *, name: str, media_type: str) -> Any:
        at = len(self.ends)
        self.ends.append("begun")
        self.sizes.append(0)

        def write(data: bytes) -> None:
            if self.full:
                raise Unavailable(Code.UNAVAILABLE, Problem(text="attachments.store"))
            self.sizes[at] += len(data)

        def finish() -> Attachment:
            self.ends[at] = "finished"
            return Attachment(name=name, media_type=media_type, size=self.sizes[at], sha256="ab" * 32, id="cd" * 32)

        def discard() -> None:
            self.ends[at] = "discarded"

        return SimpleNamespace(write=write, finish=finish, discard=discard)


@pytest.fixture
def store(hub: Any) -> Store:
    hub.attachments = Store()
    kept: Store = hub.attachments
    return kept


def test_document_and_what_came_beside_it_are_taken_in(call: Call, hub: Any, store: Store) -> None:
    answer = call("POST", PATH, headers=[FORM, ("idempotency-key", "k")], body=DOCUMENT + FILE + b"%PDF" + END)

    (arrival,) = hub.intake.arrivals
    assert answer.status == 202
    assert (arrival.body, arrival.repeat_key, [a.name for a in arrival.attachments]) == (b"<Envelope/>", "k", ["a.pdf"])
    assert store.ends == ["finished"]


def test_large_file_passes_in_blocks(call: Call, hub: Any, store: Store) -> None:
    pieces = [DOCUMENT + FILE, *[b"x" * 65_536] * 40, END]

    answer = call("POST", PATH, headers=[FORM], parts=pieces)

    assert (answer.status, store.sizes) == (202, [40 * 65_536])
    assert len(hub.intake.arrivals) == 1
    assert BLOCK < 40 * 65_536


def test_refused_document_takes_its_attachments_back(call: Call, store: Store) -> None:
    answer = call("POST", PATH, headers=[FORM], body=DOCUMENT.replace(b"<Envelope/>", b"no xml") + FILE + b"%PDF" + END)

    assert (answer.status, store.ends) == (400, ["discarded"])


def test_caller_that_leaves_takes_its_attachments_back(call: Call, hub: Any, store: Store) -> None:
    answer = call("POST", PATH, headers=[FORM], parts=[DOCUMENT + FILE, b"x" * BLOCK, b"x"], broken=True)

    assert (answer.status, store.ends, hub.intake.arrivals) == (0, ["discarded"], [])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (DOCUMENT + FILE + b"%PDF", 400, "web.multipart-truncated"),
        (FILE + b"%PDF" + END, 400, "web.multipart-no-document"),
        (b"<Envelope/>", 400, "web.multipart"),
    ],
)
def test_what_is_not_whole_is_refused_and_taken_back(call: Call, hub: Any, store: Store, body: bytes, status: int, code: str) -> None:
    answer = call("POST", PATH, headers=[FORM], body=body)

    assert (answer.status, answer.json["errors"][0]["code"]) == (status, code)
    assert set(store.ends) <= {"discarded"}
    assert not hub.intake.arrivals


def test_a_defect_leaves_nothing_behind(call: Call, hub: Any, store: Store) -> None:
    def fail(*_: object) -> Reply:
        raise ZeroDivisionError

    hub.intake.receive = fail

    answer = call("POST", PATH, headers=[FORM], body=DOCUMENT + FILE + b"%PDF" + END)

    assert (answer.status, store.ends) == (500, ["discarded"])


def test_too_large_is_refused_by_length_and_while_reading(calling: Any, rehub: Any) -> None:
    hub = rehub(attachment_bytes=1_048_576)
    hub.attachments = Store()
    call = calling(hub)

    by_length = call("POST", PATH, headers=[FORM, ("content-length", "1048577")], parts=[])
    in_pieces = call("POST", PATH, headers=[FORM], parts=[DOCUMENT + FILE, *[b"x" * 65_536] * 17], broken=True)

    assert (by_length.status, in_pieces.status) == (413, 413)
    assert "1 048 576" in in_pieces.json["errors"][0]["message_en"]
    assert hub.attachments.ends == ["discarded"]


def test_full_store_asks_the_sender_to_come_again(call: Call, hub: Any, store: Store) -> None:
    store.full = True

    answer = call("POST", PATH, headers=[FORM], body=DOCUMENT + FILE + b"%PDF" + END)

    assert (answer.status, answer.json["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"]
    assert (store.ends, hub.intake.arrivals) == (["discarded"], [])


def test_compressed_parts_are_refused(call: Call, store: Store) -> None:
    answer = call("POST", PATH, headers=[FORM, ("content-encoding", "gzip")], body=DOCUMENT + END)

    assert (answer.status, store.ends) == (415, [])


def test_without_the_role_nothing_is_read(call: Call, store: Store) -> None:
    answer = call("POST", PATH, headers=[FORM, ("origin", "https://elsewhere.example")], parts=[DOCUMENT + FILE], broken=True)

    assert (answer.status, store.ends) == (403, [])


def test_streamed_body_gives_back_what_it_held() -> None:
    bodies = Bodies()

    with bodies.one(limit=10) as body:
        body.hold(7)
        body.hold(-3)
        assert bodies.held == 4

    assert bodies.held == 0


def test_too_many_streams_are_refused() -> None:
    with Bodies(at_most=5).one(limit=10) as body, pytest.raises(Unavailable, match="busy"):
        body.hold(6)


def test_storage_that_hangs_leaves_threads_for_documents_alone() -> None:
    gate, hanging = threading.Event(), threading.Semaphore(0)

    def hang(_data: bytes) -> None:
        hanging.release()
        assert gate.wait(10)

    def begin(_name: str, _media_type: str) -> Any:
        ended = Attachment(name="a", media_type="b/c", size=1, sha256="ab" * 32, id="cd" * 32)
        return SimpleNamespace(write=hang, finish=lambda: ended, discard=lambda: None)

    async def upload(crew: Crew, turns: asyncio.Semaphore) -> int:
        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": DOCUMENT + FILE + b"%PDF" + END}

        def accept(_document: bytes, _signature: bytes, _beside: tuple[Attachment, ...]) -> Reply:
            return Reply(status=202, body=b"")

        with Bodies().one(limit=MAX_XML) as body:
            taken = take_parcel(body, {}, receive, media_type=FORM[1], begin=begin, crew=crew, accept=accept, turns=turns)
            return (await taken).status

    async def play() -> list[object]:
        crew = Crew(2)
        turns = turns_of(2)
        uploads = [asyncio.create_task(upload(crew, turns)) for _ in range(2)]
        await asyncio.to_thread(hanging.acquire)
        answers: list[object] = [await asyncio.wait_for(crew.run(lambda: "alone"), 5)]
        gate.set()
        answers += await asyncio.gather(*uploads)
        crew.close()
        return answers

    assert asyncio.run(play()) == ["alone", 202, 202]
