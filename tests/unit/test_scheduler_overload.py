"""The scheduler predicts the wait for a slot and refuses streams that would wait too long."""

from __future__ import annotations

import pytest

from tests.support.scheduling import fill, join, scheduler, step, stream
from voxcpm_openai.errors import Overloaded


def test_no_wait_is_predicted_while_a_slot_is_free() -> None:
    s = scheduler(2, max_waiting=0)
    s.record_iteration(1.0)
    join(s, stream(5))
    s.admit(0.0)
    assert s.predicted_wait() == 0
    join(s, stream(5))


def test_above_the_waiting_limit_a_stream_is_refused_with_retry_after() -> None:
    s = scheduler(2, max_waiting=1)
    s.record_iteration(0.5)
    join(s, stream(8), stream(20))
    fill(s)
    for _ in range(2):
        for slot in s.rows(0.0):
            step(s, slot, 0.0)
    join(s, stream(7))
    with pytest.raises(Overloaded) as caught:
        s.join(stream(7))
    # One stream waits already: the second slot is free after its remaining 18 patches.
    assert caught.value.headers["Retry-After"] == "9"
    assert len(s.streams) == 3


def test_a_stream_is_refused_when_the_predicted_wait_is_too_long() -> None:
    s = scheduler(2, max_wait=4.0)
    s.record_iteration(0.5)
    join(s, stream(8), stream(20))
    fill(s)
    join(s, stream(7))  # gets a slot in 4.0 s
    with pytest.raises(Overloaded) as caught:
        s.check_room()
    assert caught.value.retry_after == 10


def test_the_predicted_wait_is_longer_when_a_step_holds_only_some_rows() -> None:
    s = scheduler(4, rows=2)
    s.record_iteration(0.5)
    join(s, *(stream(10) for _ in range(4)))
    fill(s)
    assert s.predicted_wait() == pytest.approx(10 * 2 * 0.5)


def test_the_predicted_wait_grows_with_each_batch_of_waiting_streams() -> None:
    s = scheduler(2)
    s.record_iteration(1.0)
    join(s, stream(4), stream(6))
    fill(s)
    waits = []
    for _ in range(5):
        waits.append(s.predicted_wait())
        join(s, stream(5))
    assert waits == [4, 6, 4 + 6, 6 + 6, 4 + 12]


def test_a_long_text_alone_is_never_refused() -> None:
    s = scheduler(2, max_waiting=1, max_wait=1.0)
    s.record_iteration(1.0)
    join(s, stream(*[5] * 500))


def test_the_iteration_time_is_smoothed() -> None:
    s = scheduler(2)
    for seconds in (1.0, 2.0):
        s.record_iteration(seconds)
    assert s.iteration_seconds == pytest.approx(1.1)
