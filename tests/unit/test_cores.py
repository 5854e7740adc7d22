"""A process stays on one core, leaves one that others crowd, and never minds where it may not choose."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway import cores
from gateway.cores import OneCore, Use


@dataclass
class Machine:
    """Cores that count what is done on them; a step is a second of each."""

    count: int = 3
    busy: dict[int, float] = field(default_factory=dict)
    whole: float = 0.0
    own: float = 0.0
    placed: list[int] = field(default_factory=list)
    allowed: bool = True

    def use(self) -> dict[int, Use]:
        return {core: Use(busy=self.busy.get(core, 0.0), all=self.whole) for core in range(self.count)}

    def pass_(self, *others: float, own: float = 0.0, at: int = 0) -> None:
        """Let a second pass in which others took a share of each core, and the process a share of one."""
        self.whole += 1.0
        self.own += own
        for core, share in enumerate(others):
            self.busy[core] = self.busy.get(core, 0.0) + share + (own if core == at else 0.0)

    def place(self, core: int) -> None:
        if not self.allowed:
            raise PermissionError
        self.placed.append(core)

    def process(self, number: int = 0) -> OneCore:
        return OneCore(range(self.count), number, used=self.use, own=lambda: self.own, place=self.place)


def test_core_that_is_taken_out_of_the_machine_ends_the_choice() -> None:
    machine = Machine()
    process = machine.process()

    machine.count = 2
    process.look()
    process.look()

    assert machine.placed == []


@pytest.mark.parametrize(("number", "core"), [(0, 0), (1, 1), (5, 2)])
def test_processes_begin_on_different_cores(number: int, core: int) -> None:
    machine = Machine()

    machine.process(number).look()

    assert machine.placed == [core]


def test_process_stays_on_a_core_that_only_itself_uses() -> None:
    machine = Machine()
    process = machine.process()

    machine.pass_(0.0, 0.0, 0.0, own=0.9)
    process.look()

    assert machine.placed == [0]


def test_process_leaves_a_crowded_core_for_the_least_used_and_stays_there() -> None:
    machine = Machine()
    process = machine.process()

    machine.pass_(0.6, 0.3, 0.1, own=0.4)
    process.look()
    machine.pass_(0.0, 0.0, 0.2, own=0.8, at=2)
    process.look()

    assert machine.placed == [2, 2]


def test_a_little_less_use_is_not_worth_a_move() -> None:
    machine = Machine()
    process = machine.process()

    machine.pass_(0.3, 0.1, 0.1, own=0.5)
    process.look()

    assert machine.placed == [0]


def test_process_that_may_not_choose_asks_once() -> None:
    machine = Machine(allowed=False)
    process = machine.process()

    process.look()
    machine.allowed = True
    process.look()

    assert machine.placed == []


@pytest.mark.parametrize("count", [0, 1])
def test_where_there_is_nothing_to_choose_nothing_is_done(count: int) -> None:
    machine = Machine(count=count)

    machine.process().look()

    assert machine.placed == []


def test_use_is_read_as_the_system_tells_it(tmp_path: Path) -> None:
    told = tmp_path / "stat"
    told.write_text("cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 0 50 800 50 0 0 0 0 0\ncpu3 0 0 0 100 0 0 0 300 0 0\nintr 5\n", "ascii")
    tick = 1 / cores.TICKS

    assert cores.uses(told) == {0: Use(busy=150 * tick, all=1000 * tick), 3: Use(busy=300 * tick, all=400 * tick)}
    assert cores.uses(tmp_path / "none") == {}


def test_this_process_knows_its_cores() -> None:
    assert os.sched_getaffinity(0) <= set(cores.uses())
