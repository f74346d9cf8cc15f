"""The stream of a request: the order of its audio, deadlines, errors and close."""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.support.jobs import PATCH, RATE, append_audio, concat, generate, job, silence, tone
from voxcpm_openai.contracts import Usage
from voxcpm_openai.errors import Unavailable
from voxcpm_openai.runtime.engine.stream import BatchedStream

TIMEOUT = 20


def test_segments_are_delivered_in_text_order_whichever_finishes_first() -> None:
    jobs = [job(0, pause=0.1), job(1), job(2)]
    stream = BatchedStream(jobs, RATE, 0.0)
    generate(jobs[2], tone(PATCH, 0.3), tone(PATCH, 0.3))
    stream.deliver(1.0)
    generate(jobs[1], tone(PATCH, 0.2), tone(PATCH, 0.2))
    stream.deliver(2.0)
    assert not stream.ended
    generate(jobs[0], tone(PATCH, 0.1), tone(PATCH, 0.1))
    stream.deliver(3.0)
    assert stream.ended
    chunks = list(stream)
    assert [chunk.segment for chunk in chunks] == [0, 1, 2]
    np.testing.assert_array_equal(
        concat(*(chunk.samples for chunk in chunks)),
        concat(tone(200, 0.1), silence(100), tone(200, 0.2), tone(200, 0.3)),
    )


def test_the_current_segment_is_streamed_and_later_ones_are_buffered() -> None:
    jobs = [job(0), job(1)]
    stream = BatchedStream(jobs, RATE, 0.0)
    for one in jobs:
        append_audio(one, tone(PATCH), stopped=False)
    stream.deliver(0.0)
    assert next(stream).segment == 0
    assert (jobs[0].buffered_seconds, jobs[1].buffered_seconds) == (0, pytest.approx(0.1))
    generate(jobs[0], tone(PATCH))
    stream.deliver(0.0)
    assert [next(stream).segment, next(stream).segment] == [0, 1]


def test_buffered_audio_of_a_segment_is_joined_into_chunks_of_bounded_size() -> None:
    jobs = [job(0), job(1)]
    stream = BatchedStream(jobs, RATE, 0.0)
    append_audio(jobs[0], tone(PATCH), stopped=False)
    stream.deliver(0.0)
    assert len(next(stream).samples) == PATCH  # a waiting reader gets it at once
    generate(jobs[0], *[tone(PATCH, 0.1 + 0.02 * number) for number in range(8)])
    generate(jobs[1], tone(PATCH), tone(PATCH))
    stream.deliver(0.0)
    chunks = list(stream)
    bound = 600  # samples: 0.6 s
    assert [len(chunk.samples) for chunk in chunks] == [bound, 8 * PATCH - bound, 2 * PATCH]
    assert [chunk.segment for chunk in chunks] == [0, 0, 1]
    samples = concat(*(chunk.samples for chunk in chunks))
    patches = concat(*(tone(PATCH, 0.1 + 0.02 * number) for number in range(8)), tone(2 * PATCH))
    np.testing.assert_array_equal(samples, patches)


def test_the_deadline_is_when_the_listener_has_played_everything() -> None:
    one = job()
    stream = BatchedStream([one], RATE, 5.0)
    assert stream.clock.deadline == 5.0
    append_audio(one, tone(PATCH), stopped=False)
    stream.deliver(6.0)
    append_audio(one, tone(PATCH), stopped=False)
    stream.deliver(6.01)
    assert stream.clock.deadline == pytest.approx(6.2)
    append_audio(one, tone(PATCH), stopped=False)
    stream.deliver(9.0)
    assert stream.clock.deadline == pytest.approx(9.1)


def test_a_segment_is_due_at_the_end_of_the_segments_before_it() -> None:
    jobs = [job(0, expected_patches=10), job(1, expected_patches=20), job(2)]
    stream = BatchedStream(jobs, RATE, 5.0)
    assert [due for _, due in stream.deadlines()] == pytest.approx([5.0, 6.0, 8.0])
    append_audio(jobs[1], tone(PATCH), stopped=False)
    assert [due for _, due in stream.deadlines()] == pytest.approx([5.0, 6.1, 8.0])
    append_audio(jobs[0], tone(PATCH), stopped=False)
    stream.deliver(5.0)
    assert [due for _, due in stream.deadlines()] == pytest.approx([5.1, 6.1, 8.0])
    generate(jobs[0], tone(PATCH))
    stream.deliver(5.0)  # the first is shorter than estimated; the second is delivered
    assert [one.index for one, _ in stream.deadlines()] == [1, 2]
    assert [due for _, due in stream.deadlines()] == pytest.approx([5.3, 7.2])


def test_close_wakes_a_waiting_next_and_drops_undelivered_audio() -> None:
    one = job()
    stream = BatchedStream([one], RATE, 0.0)
    started = threading.Event()

    def read() -> list[object]:
        started.set()
        return list(stream)

    with ThreadPoolExecutor(1) as pool:
        chunks = pool.submit(read)
        assert started.wait(TIMEOUT)
        stream.close()
        assert chunks.result(TIMEOUT) == []
    append_audio(one, tone(PATCH), stopped=False)
    stream.deliver(0.0)
    stream.close()
    assert list(stream) == []


def test_close_frees_undelivered_audio() -> None:
    one = job()
    stream = BatchedStream([one], RATE, 0.0)
    patches = [tone(PATCH), tone(PATCH)]
    undelivered = weakref.ref(patches[0])
    while patches:
        append_audio(one, patches.pop(0), stopped=False)
    stream.deliver(0.0)
    assert undelivered() is not None
    stream.close()
    assert undelivered() is None


def test_the_first_error_is_raised_after_the_audio_before_it() -> None:
    one = job()
    stream = BatchedStream([one], RATE, 0.0)
    append_audio(one, tone(PATCH), stopped=False)
    stream.deliver(0.0)
    first = Unavailable("first")
    stream.fail(first)
    stream.fail(Unavailable("second"))
    next(stream)
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            next(stream)
        assert caught.value is first
    stream.close()
    assert list(stream) == []


def test_usage_counts_tokens_and_the_patches_of_the_final_attempts() -> None:
    jobs = [job(0), job(1, max_patches=3)]
    stream = BatchedStream(jobs, RATE, 0.0)
    assert stream.usage == Usage(6, 1)
    for _ in range(3):
        append_audio(jobs[1], tone(PATCH), stopped=False)  # a failed attempt
    generate(jobs[0], tone(PATCH), tone(PATCH))
    generate(jobs[1], tone(PATCH), tone(PATCH), tone(PATCH))
    assert stream.usage == Usage(6, 5)
