"""The threads of a step on a CPU follow the load of the cores."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest

from voxcpm_openai.runtime.engine.thread_count import FIRST_DELAY, LAST_DELAY, SLOW, ThreadCount

ONE_ROW, TWO_ROWS = (1, 10), (2, 20)


class Machine:
    """A clock, and cores on which others run; a step with more threads than there is room waits.

    ``others``: the cores that they need; ``told``: whether the system tells the load.
    """

    def __init__(self, cores: int = 2, *, told: bool = True, most: int | None = None) -> None:
        self.now, self.own, self.process, self.busy = 100.0, 3.0, 7.0, 50.0
        self.cores, self.others, self.told, self.slower = cores, 0.0, told, 1.0
        self.set: list[int] = []
        self.threads = ThreadCount(
            most or cores,
            self.set.append,
            clock=lambda: self.now,
            own=lambda: self.own,
            process=lambda: self.process,
            busy=lambda: self.busy if self.told else None,
            bound_to=cores,
        )

    def step(self, kind: tuple[int, int] = ONE_ROW, work: float = 0.4) -> float:
        """Make a step and return its seconds."""
        with self.threads.step(kind):
            count = self.threads.count
            waits = count + self.others > self.cores
            seconds = self.slower * work / count * (4 if waits else 1)
            self.pass_time(seconds, count)
        return seconds

    def steps(self, number: int) -> list[float]:
        return [self.step() for _ in range(number)]

    def pass_time(self, seconds: float, own: int = 0) -> None:
        self.now += seconds
        needed = own + self.others
        share = min(1.0, self.cores / needed) if needed else 0.0
        self.own += seconds * (share if own else 0.0)
        self.process += seconds * share * own
        self.busy += seconds * share * needed


def spans(seconds: Iterable[float], bound: float) -> int:
    return sum(value > bound for value in seconds)


@pytest.mark.parametrize("told", [True, False])
def test_alone_all_threads_work_and_nothing_is_set(told: bool) -> None:
    machine = Machine(told=told)
    assert set(machine.steps(200)) == {0.2}
    assert machine.set == []


@pytest.mark.parametrize("told", [True, False])
def test_beside_a_busy_program_one_step_is_slow_and_the_next_has_a_thread_less(told: bool) -> None:
    machine = Machine(told=told)
    machine.steps(5)
    machine.others = 1.0
    assert machine.steps(2) == [0.8, 0.4]
    assert machine.threads.status() == {"now": 1, "most": 2}


def test_a_load_that_is_told_costs_one_slow_step_however_long_it_lasts() -> None:
    machine = Machine()
    machine.steps(5)
    machine.others = 1.0
    assert spans(machine.steps(2000), 0.5) == 1


def test_a_load_between_requests_is_seen_before_the_first_step() -> None:
    machine = Machine()
    machine.steps(5)
    machine.others = 1.0
    machine.pass_time(3.0)
    assert spans(machine.steps(20), 0.5) == 0


@pytest.mark.parametrize("told", [True, False])
def test_threads_come_back_when_the_others_have_ended(told: bool) -> None:
    machine = Machine(told=told)
    machine.steps(5)
    machine.others = 1.0
    machine.steps(3)
    machine.others = 0.0
    until = machine.now + 2 * FIRST_DELAY
    while machine.now < until:
        machine.step()
    assert machine.threads.count == 2


def test_a_load_that_is_not_told_is_tried_again_ever_more_rarely() -> None:
    machine = Machine(told=False)
    machine.steps(5)
    machine.others = 1.0
    slow = [machine.now for _ in range(5000) if machine.step() > 0.5]
    gaps = [after - before for before, after in pairwise(slow)]
    assert all(after > before - 1.0 for before, after in pairwise(gaps))
    assert gaps[-1] == pytest.approx(LAST_DELAY, abs=2.0)


def test_a_load_that_comes_and_goes_is_followed_ever_more_slowly() -> None:
    machine = Machine()
    machine.steps(5)
    changes = []
    for number in range(400):
        machine.others = float(number % 2)
        machine.steps(5)
        changes.append(len(machine.set))
    assert changes[-1] - changes[200] < 40, "of 200 changes"


def test_little_load_changes_nothing() -> None:
    machine = Machine()
    machine.steps(5)
    machine.busy += 0.3 * 0.2  # of one step
    machine.steps(20)
    assert machine.set == []


def test_work_of_the_same_process_beside_the_steps_counts_as_that_of_others() -> None:
    machine = Machine()
    machine.steps(5)
    machine.others = 1.0
    for _ in range(20):
        machine.process += machine.step()  # an encoder's, which is in `busy` already
    assert machine.threads.count == 1


def test_a_program_that_shares_a_core_with_another_thread_only_is_seen() -> None:
    machine = Machine()
    machine.steps(5)
    for _ in range(3):
        with machine.threads.step(ONE_ROW):  # slower, but not twice as slow
            machine.now += 0.3
            machine.own += 0.3
            machine.process += 0.45
            machine.busy += 0.6
    assert machine.threads.count == 1


def test_many_cores_lose_as_many_threads_as_others_use() -> None:
    machine = Machine(16)
    machine.steps(5)
    machine.others = 5.0
    machine.steps(20)
    assert machine.threads.count == 11


def test_a_quota_leaves_room_for_others_on_the_other_cores() -> None:
    machine = Machine(16, most=4)
    machine.others = 12.0
    machine.steps(50)
    assert machine.set == []


def test_one_thread_stays_however_busy_the_cores_are() -> None:
    machine = Machine()
    machine.others = 2.0
    machine.steps(50)
    assert machine.threads.count == 1


def test_one_thread_is_never_changed() -> None:
    machine = Machine(1)
    machine.others = 1.0
    machine.steps(50)
    assert machine.set == []


def test_steps_of_more_rows_are_not_slow_ones_of_fewer() -> None:
    machine = Machine(told=False)
    machine.steps(5)
    machine.step(TWO_ROWS, 0.4 * SLOW * 1.5)
    assert machine.set == []


def test_a_machine_that_got_slower_keeps_its_threads() -> None:
    machine = Machine(told=False)
    machine.steps(20)
    machine.slower = 3.0
    machine.steps(200)
    assert machine.threads.count == 2
    assert machine.set == [1, 2]
