import asyncio
import threading
from collections.abc import Iterator

import pytest

from gateway.errors import Unavailable
from gateway.web.crew import Crew


@pytest.fixture
def crew() -> Iterator[Crew]:
    crew = Crew(2, waiting=2)
    yield crew
    crew.close()


def test_work_runs_in_another_thread_and_returns(crew: Crew) -> None:
    name = asyncio.run(crew.run(lambda: threading.current_thread().name))

    assert name.startswith("door-")


def test_error_of_a_work_reaches_its_caller(crew: Crew) -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(crew.run(lambda: 1 // 0))


def test_work_beyond_the_bound_is_refused_and_later_taken(crew: Crew) -> None:
    gate = threading.Event()

    async def overload() -> list[object]:
        held = [asyncio.create_task(crew.run(gate.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="busy"):
            await crew.run(lambda: None)
        gate.set()
        await asyncio.gather(*held)
        return [await crew.run(lambda: "taken")]

    assert asyncio.run(overload()) == ["taken"]


def test_works_run_side_by_side(crew: Crew) -> None:
    meeting = threading.Barrier(2)

    async def both() -> tuple[int, int]:
        return await asyncio.gather(crew.run(lambda: meeting.wait(5)), crew.run(lambda: meeting.wait(5)))

    assert sorted(asyncio.run(both())) == [0, 1]


def test_cancelled_caller_leaves_the_thread_unharmed(crew: Crew) -> None:
    gate = threading.Event()

    async def leave() -> str:
        task = asyncio.create_task(crew.run(gate.wait))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.set()
        return await crew.run(lambda: "alive")

    assert asyncio.run(leave()) == "alive"


def test_closing_ends_the_threads() -> None:
    crew = Crew(3)
    thread = asyncio.run(crew.run(threading.current_thread))

    crew.close()

    assert not thread.is_alive()
