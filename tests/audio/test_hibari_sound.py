"""Audio of the embedded engine: seeds, chunks, pauses, trimmed ends, usage, unspeakable text."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from tests.support.hibari import synthesized, utterance
from tests.support.watched_gate import TIMEOUT
from voxcpm_openai import InvalidRequest
from voxcpm_openai.embedded import shape


def test_a_seed_fixes_every_bit(engine: Any) -> None:
    texts = ("The first part.", "The second part.")
    once = synthesized(engine, *texts)
    assert np.array_equal(once, synthesized(engine, *texts))
    assert not np.array_equal(once, synthesized(engine, *texts, seed=8))


def test_without_a_seed_no_two_are_the_same(engine: Any) -> None:
    once, again = (synthesized(engine, "Hello.", seed=None) for _ in range(2))
    assert not np.array_equal(once, again)


def test_a_segment_sounds_the_same_whatever_came_before_it(engine: Any) -> None:
    first, second = (
        [c.samples for c in engine.synthesize(utterance(text, "World.")) if c.segment == 1]
        for text in ("Hello.", "A longer beginning.")
    )
    assert np.array_equal(np.concatenate(first), np.concatenate(second))


def test_equal_segments_of_one_text_do_not_share_their_noise(engine: Any) -> None:
    chunks = list(engine.synthesize(utterance("Hello.", "Hello.")))
    first, second = (
        np.concatenate([c.samples for c in chunks if c.segment == number]) for number in (0, 1)
    )
    assert not np.array_equal(first[:9000], second[:9000])


def test_streams_at_once_do_not_change_each_other(engine: Any, pool: ThreadPoolExecutor) -> None:
    texts = ("It was a bright cold day.", "The clocks were striking.", "Nobody knew why.")
    alone = synthesized(engine, *texts)
    together = [pool.submit(synthesized, engine, *texts) for _ in range(4)]
    assert all(np.array_equal(alone, future.result(TIMEOUT)) for future in together)


def test_sound_comes_in_small_chunks_that_name_their_segment(engine: Any) -> None:
    chunks = list(engine.synthesize(utterance("Good morning to all of you.", "And good night.")))
    assert [c.segment for c in chunks] == sorted(c.segment for c in chunks)
    for number in (0, 1):
        *full, last = [c.samples for c in chunks if c.segment == number]
        assert full
        assert {len(samples) for samples in full} == {3840}
        assert 0 < len(last) <= 3840
    assert {c.samples.dtype for c in chunks} == {np.dtype(np.float32)}


def test_pauses_are_silence(engine: Any) -> None:
    without, paused = synthesized(engine, "One."), synthesized(engine, "One.", pause=0.6)
    assert np.array_equal(paused[: len(without)], without)
    assert np.array_equal(paused[len(without) :], np.zeros(round(0.6 * 24_000)))


def test_silence_at_the_ends_of_a_segment_is_cut_to_a_short_edge(engine: Any) -> None:
    loud = np.flatnonzero(np.abs(synthesized(engine, "Hello.")) > 0.01)
    whole = len(synthesized(engine, "Hello."))
    assert 240 < loud[0] < 2400
    assert 240 < whole - loud[-1] < 2400
    samples = np.concatenate([np.zeros(9600), np.ones(4800), np.zeros(9600)]).astype(np.float32)
    assert len(shape.trim(samples)) == 720 + 4800 + 720


def test_trimmed_ends_are_faded() -> None:
    trimmed = shape.trim(np.full(4800, 0.5, np.float32))
    assert trimmed[0] == trimmed[-1] == 0
    assert np.all(np.abs(np.diff(trimmed)) < 0.01)


def test_speed_is_left_to_time_stretching(engine: Any) -> None:
    assert engine.capabilities.native_speed == (1.0, 1.0)


def test_every_allowed_voice_suits_the_network() -> None:
    (slow, fast), (low, high) = shape.LIMITS["pace"], shape.LIMITS["formant"]
    assert slow / high >= 0.5
    assert fast / low <= 2.0


def test_a_lone_full_stop_speaks(engine: Any) -> None:
    stream = engine.synthesize(utterance("."))
    assert sum(len(chunk.samples) for chunk in stream) > 2400
    assert stream.usage.input_tokens == 1


def test_usage_counts_phonemes_and_patches(engine: Any) -> None:
    stream = engine.synthesize(utterance("Good morning.", "Good night."))
    assert (stream.usage.input_tokens, stream.usage.output_tokens) == (1, 1)
    samples = sum(len(chunk.samples) for chunk in stream)
    assert 15 < stream.usage.input_tokens < 40
    assert 0 <= stream.usage.output_tokens * 1920 - samples < 1920


def test_text_without_anything_speakable_is_refused_at_the_first_chunk(engine: Any) -> None:
    stream = engine.synthesize(utterance("$", "你好", pause=0.5))
    with pytest.raises(InvalidRequest, match="nothing in this text") as caught:
        next(stream)
    assert caught.value.param == "input"
    assert engine.status().streams == engine.status().running == 0


def test_unspeakable_segments_leave_their_pauses(engine: Any) -> None:
    plain = synthesized(engine, "One.")
    mixed = synthesized(engine, "$", "$", "One.", "$", pause=0.5)
    assert len(mixed) == pytest.approx(len(plain) + 4 * 12_000, rel=0.05)
    assert not mixed[:24_000].any()
    assert not mixed[-24_000:].any()
