"""Streams of the batched engine that go on where an earlier one has ended."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from voxcpm_openai.contracts import Chunk, Samples, Utterance, Voice
from voxcpm_openai.errors import Unavailable
from voxcpm_openai.runtime.engine.engine import BatchedEngine
from voxcpm_openai.runtime.engine.job import seed_of
from voxcpm_openai.runtime.engine.stream import StreamContinuation
from voxcpm_openai.testing.mock_runner import (
    CLONE,
    PATCH,
    UNKNOWN,
    collect,
    idle,
    running,
    segment,
    utterance,
)

PROMPT = ("prompt", seed_of(7, 0, 0))
"""What the runner makes of the first segment."""


def segments_of(chunks: list[Chunk]) -> list[Samples]:
    """Return the samples of each segment; they count from 0."""
    numbers = sorted({chunk.segment for chunk in chunks})
    assert numbers == list(range(len(numbers)))
    return [
        np.concatenate([chunk.samples for chunk in chunks if chunk.segment == number])
        for number in numbers
    ]


def one_after_another(
    engine: BatchedEngine, whole: Utterance, lengths: list[int]
) -> list[list[Samples]]:
    """Speak the segments of an utterance in streams of so many segments; return their audio."""
    audio, start, continuation = [], 0, None
    for length in lengths:
        part = whole.segments[start : start + length]
        stream = engine.synthesize(replace(whole, segments=part, continuation=continuation))
        audio.append(segments_of(list(stream)))
        continuation = stream.continuation
        start += length
    return audio


@pytest.mark.parametrize("voice", [UNKNOWN, CLONE], ids=["no clip", "clip"])
@pytest.mark.parametrize("lengths", [[1, 1, 1, 1], [1, 2, 1], [2, 2], [3, 1]])
def test_streams_that_go_on_equal_one_stream_of_all_segments(
    voice: Voice, lengths: list[int]
) -> None:
    texts = ["length:5 silent", "length:4", "length:6 silent", "length:7"]
    whole = utterance(*texts, voice=voice, pause=0.1)
    with running(8) as (engine, runner):
        together = segments_of(list(engine.synthesize(whole)))
        admitted = Counter((job.seed, given) for job, given in runner.admitted)
        runner.admitted.clear()
        parts = one_after_another(engine, whole, lengths)
        assert list(map(len, parts)) == lengths
        flat = [samples for part in parts for samples in part]
        for samples, expected in zip(flat, together, strict=True):
            np.testing.assert_array_equal(samples, expected)
        assert Counter((job.seed, given) for job, given in runner.admitted) == admitted


def test_without_a_clip_all_later_segments_get_the_prompt_of_the_first_and_wait_for_none() -> None:
    with running(8) as (engine, runner):
        texts = ["length:5", "length:5", "length:4", "length:6"]
        one_after_another(engine, utterance(*texts, voice=UNKNOWN), [1, 2, 1])
        assert [given for _, given in runner.admitted] == [None, PROMPT, PROMPT, PROMPT]
        assert [job.after for job, _ in runner.admitted] == [None] * 4
        assert [job.index for job, _ in runner.admitted] == [0, 1, 2, 3]


def test_with_a_clip_only_the_seeds_go_on() -> None:
    with running(8) as (engine, runner):
        stream = engine.synthesize(utterance("length:5", "length:4"))
        collect(stream)
        assert stream.continuation == StreamContinuation(None, 2)
        later = engine.synthesize(utterance("length:6", continuation=stream.continuation))
        np.testing.assert_array_equal(collect(later), segment(7, 2, 6))
        assert [given for _, given in runner.admitted] == [None] * 3


@pytest.mark.parametrize("voice", [UNKNOWN, CLONE], ids=["no clip", "clip"])
def test_the_first_audio_of_a_stream_that_goes_on_comes_within_two_steps(voice: Voice) -> None:
    with running(4, gated=True, ahead=True) as (engine, runner, gate):
        first = engine.synthesize(utterance("length:5", voice=voice))
        gate.permit(5)
        assert len(collect(first)) == 5 * PATCH
        texts = ["length:50", "length:50"]
        continuation = first.continuation
        later = engine.synthesize(utterance(*texts, voice=voice, continuation=continuation))
        gate.permit(2)
        assert len(next(later).samples) == PATCH
        assert len(runner.steps) <= 5 + 2 + 1  # the last one is not permitted
        later.close()


@pytest.mark.parametrize("voice", [UNKNOWN, CLONE], ids=["no clip", "clip"])
def test_a_stream_that_is_cancelled_before_its_first_segment_is_done_leaves_nothing(
    voice: Voice,
) -> None:
    with running(4, gated=True) as (engine, runner, gate):
        stream = engine.synthesize(utterance("length:5", voice=voice))
        gate.permit(2)
        gate.wait_in_step(3)
        stream.close()
        gate.open()
        idle(engine, runner)
        assert stream.continuation is None


def test_a_stream_that_is_cancelled_later_leaves_its_prompt() -> None:
    with running(4, gated=True) as (engine, runner, gate):
        stream = engine.synthesize(utterance("length:5", "length:50", voice=UNKNOWN))
        gate.permit(5)
        gate.wait_in_step(6)
        stream.close()
        assert stream.continuation == StreamContinuation(PROMPT, 2)
        gate.open()
        idle(engine, runner)


@pytest.mark.parametrize("fault", ["boom:2", "no-continuation"])
def test_a_stream_that_fails_leaves_nothing(fault: str) -> None:
    with running(4) as (engine, runner):
        stream = engine.synthesize(utterance(f"length:5 {fault}", voice=UNKNOWN))
        with pytest.raises(Unavailable):
            collect(stream)
        assert stream.continuation is None
        idle(engine, runner)


def test_a_continuation_keeps_no_job_alive() -> None:
    with running(4) as (engine, runner):
        stream = engine.synthesize(utterance("length:5", "length:4", voice=UNKNOWN))
        collect(stream)
        idle(engine, runner)
        continuation, jobs = stream.continuation, [weakref.ref(job) for job in stream.jobs]
        del stream
        runner.admitted.clear()
        runner.steps.clear()
        gc.collect()
        assert [job() for job in jobs] == [None, None]
        assert continuation == StreamContinuation(PROMPT, 2)


def test_a_continuation_of_another_engine_is_an_error() -> None:
    with running() as (engine, _), pytest.raises(TypeError, match="'other' is not"):
        engine.synthesize(utterance("length:5", continuation="other"))
