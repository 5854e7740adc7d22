import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from gateway.errors import GatewayError, NotReadable, Unavailable
from gateway.web.bodies import MAX_SMALL, MAX_XML, Bodies, Gone, read_head

Receive = Callable[[], Awaitable[Any]]


def _parts(*parts: bytes, end: bool = True) -> Receive:
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages.append({"type": "http.request", "body": b"", "more_body": False} if end else {"type": "http.disconnect"})

    async def receive() -> Any:
        return messages.pop(0)

    return receive


def _read(receive: Receive, *, head: dict[bytes, bytes] | None = None, limit: int = 10, bodies: Bodies | None = None) -> bytes:
    async def read() -> bytes:
        with (bodies or Bodies()).one(limit=limit) as body:
            return await body.read(head or {}, receive)

    return asyncio.run(read())


async def _never() -> Any:
    await asyncio.Event().wait()


async def _first(blocks: AsyncIterator[bytes]) -> bytes:
    return await anext(blocks)


def _stalled(part: bytes, waits: asyncio.Event) -> Receive:
    """Give one part, and nothing after it; say when it is waited for."""
    parts = [part]

    async def receive() -> Any:
        if parts:
            return {"type": "http.request", "body": parts.pop(), "more_body": True}
        waits.set()
        return await _never()

    return receive


def test_body_is_put_together_from_its_parts() -> None:
    assert _read(_parts(b"abc", b"", b"defg", b"hij")) == b"abcdefghij"


def test_declared_length_over_the_limit_is_refused_before_reading() -> None:
    with pytest.raises(NotReadable, match="body-too-large"):
        _read(_never, head={b"content-length": b"11"})


def test_streamed_body_is_refused_where_it_passes_the_limit() -> None:
    with pytest.raises(NotReadable, match="body-too-large"):
        _read(_parts(b"abcdef", b"ghijk", end=False))


def test_slow_body_is_refused_in_its_time() -> None:
    with pytest.raises(NotReadable, match="body-too-slow"):
        _read(_never, bodies=Bodies(seconds=0.001))


def test_caller_that_leaves_has_no_body() -> None:
    with pytest.raises(Gone):
        _read(_parts(b"abc", end=False))


@pytest.mark.parametrize("encoding", [b"gzip", b"GZIP", b"br, identity", b"deflate", b"identity, identity"])
def test_encoded_body_is_refused(encoding: bytes) -> None:
    with pytest.raises(NotReadable, match="body-encoded"):
        _read(_never, head={b"content-encoding": encoding})


@pytest.mark.parametrize("encoding", [b"identity", b" Identity ", b""])
def test_identity_is_no_encoding(encoding: bytes) -> None:
    assert _read(_parts(b"a"), head={b"content-encoding": encoding}) == b"a"


@pytest.mark.parametrize("length", [b"-1", b"+1", b"1e3", b"", b"1,1", b"0x10", b"9" * 20, b"\xd9\xa1", b"1 1"])
def test_length_that_is_no_number_is_refused(length: bytes) -> None:
    with pytest.raises(NotReadable, match="content-length"):
        _read(_never, head={b"content-length": length})


def test_too_many_bytes_held_by_all_are_refused() -> None:
    bodies = Bodies(at_most=15)

    with bodies.one(limit=10) as other:
        asyncio.run(other.read({}, _parts(b"0123456789")))
        with pytest.raises(Unavailable, match="busy"):
            _read(_parts(b"abcdef"), bodies=bodies)
        assert bodies.held == 10

    assert bodies.held == 0


def test_refused_body_gives_back_what_it_held() -> None:
    bodies = Bodies()

    with pytest.raises(GatewayError):
        _read(_parts(b"abcdef", b"ghijklm"), bodies=bodies)

    assert bodies.held == 0


def test_slowest_body_gives_way_to_one_that_comes() -> None:
    bodies = Bodies(at_most=250_000)

    async def story() -> bytes:
        with bodies.one(limit=MAX_XML) as slow, bodies.one(limit=MAX_XML) as quick:
            waits = asyncio.Event()
            waiting = asyncio.create_task(slow.read({}, _stalled(b"s" * 150_000, waits)))
            await waits.wait()
            whole = await quick.read({}, _parts(b"q" * 200_000))
            assert bodies.held == 200_000
            with pytest.raises(Unavailable, match="busy"):
                await waiting
            return whole

    assert asyncio.run(story()) == b"q" * 200_000
    assert bodies.held == 0


def test_upload_that_waits_gives_way_with_all_it_holds() -> None:
    bodies = Bodies(at_most=250_000)

    async def story() -> None:
        with bodies.one(limit=MAX_XML) as upload, bodies.one(limit=MAX_XML) as quick:
            upload.hold(150_000)
            waits = asyncio.Event()
            waiting = asyncio.create_task(_first(upload.blocks({}, _stalled(b"", waits))))
            await waits.wait()
            await quick.read({}, _parts(b"q" * 200_000))
            with pytest.raises(Unavailable, match="busy"):
                await waiting

    asyncio.run(story())
    assert bodies.held == 0


def test_body_of_a_few_words_never_gives_way() -> None:
    bodies = Bodies(at_most=100_000)

    async def story() -> None:
        with bodies.one(limit=MAX_XML) as few, bodies.one(limit=MAX_XML) as large:
            waits = asyncio.Event()
            waiting = asyncio.create_task(few.read({}, _stalled(b"s" * MAX_SMALL, waits)))
            await waits.wait()
            with pytest.raises(Unavailable, match="busy"):
                await large.read({}, _parts(b"q" * 200_000))
            assert not waiting.done()
            waiting.cancel()

    asyncio.run(story())
    assert bodies.held == 0


@pytest.mark.parametrize(
    "name", [b"authorization", b"content-type", b"content-length", b"idempotency-key", b"host", b"x-api-key", b"origin"]
)
def test_deciding_header_that_stands_twice_is_refused(name: bytes) -> None:
    with pytest.raises(NotReadable, match="header-twice"):
        read_head({"headers": [(name, b"a"), (b"accept", b"x"), (b"accept", b"y"), (name, b"a")]})


def test_only_deciding_headers_are_picked() -> None:
    assert read_head({"headers": [(b"accept", b"x"), (b"host", b"h")]}) == {b"host": b"h"}
