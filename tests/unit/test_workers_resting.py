"""Which worker gets a connection, and which leaves, where engines are unloaded."""

from __future__ import annotations

import pytest

from tests.unit.test_workers_together import LIMIT, Staff, connection
from voxcpm_openai.server.connection import State


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
def test_an_engine_is_loaded_only_where_no_other_has_room(
    engine: str, load: int, other: tuple[str, int] | None, accepts: bool
) -> None:
    staff = Staff(engine)
    staff.worker.loaded = [connection(state=State.RECEIVING)] * load
    if other:
        staff.other(*other)
    staff.duty.publish()
    assert staff.duty.accepts() is accepts


@pytest.mark.parametrize("mine", ["ready", "unloaded", "waking"])
@pytest.mark.parametrize("new", ["ready", "unloaded", "waking"])
def test_a_replaced_worker_whose_engine_rests_serves_until_its_successor_can(
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
