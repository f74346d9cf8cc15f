"""Connections and reloads with several workers, some of them with an unloaded engine."""

from __future__ import annotations

import pytest

from tests.unit.test_workers_together import LIMIT, Staff


@pytest.mark.parametrize(
    ("engine", "load", "other", "accepts"),
    [
        ("failed", 0, ("unloaded", 0), False),
        ("loading", 0, ("waking", 0), False),
        ("ready", 0, ("unloaded", 0), True),
        ("ready", LIMIT - 1, ("unloaded", 0), True),
        ("ready", LIMIT, ("unloaded", 0), False),
        ("unloaded", 0, None, True),
        ("unloaded", 0, ("ready", 0), False),
        ("unloaded", 0, ("ready", LIMIT), True),
        ("unloaded", 0, ("waking", 0), False),
        ("unloaded", 0, ("unloaded", 0), True),
        ("waking", 0, ("unloaded", 0), True),
        ("waking", 0, ("ready", 0), False),
        ("waking", LIMIT, ("unloaded", 0), False),
    ],
)
def test_an_engine_is_loaded_only_if_no_loaded_one_has_room(
    engine: str, load: int, other: tuple[str, int] | None, accepts: bool
) -> None:
    assert Staff(engine).accepts(load, other) is accepts


@pytest.mark.parametrize("mine", ["ready", "unloaded", "waking"])
@pytest.mark.parametrize("new", ["ready", "unloaded", "waking"])
def test_a_replaced_worker_with_an_unloaded_engine_serves_until_its_successor_can(
    mine: str, new: str
) -> None:
    staff = Staff(mine)
    staff.board.replace(1)
    staff.worker.alive = False
    staff.other("loading")
    assert not staff.duty.done()
    assert staff.duty.accepts()
    staff.other(new)
    assert staff.duty.done()
