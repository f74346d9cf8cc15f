"""The batched engine with many streams: they do not affect each other, and nothing leaks."""

from __future__ import annotations

import gc
import itertools
import logging
import random
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxcpm_openai.errors import Unavailable
from voxcpm_openai.runtime.engine.job import Job
from voxcpm_openai.testing.mock_runner import (
    CLONE,
    UNKNOWN,
    collect,
    idle,
    running,
    segment,
    utterance,
)

WORDS = ["", "", "", "", "bad", "boom:0", "boom:3"]
WORDS += ["failed-attempt room:11", "silent", "prefill:2"]
TEXTS = st.lists(st.tuples(st.integers(4, 9), st.sampled_from(WORDS)), min_size=1, max_size=4)
REQUESTS = st.lists(
    st.tuples(TEXTS, st.booleans(), st.none() | st.integers(0, 12)), min_size=1, max_size=7
)
"""Segments, whether the voice has a clip, and after how many chunks the client disconnects."""


@settings(max_examples=60, deadline=None)
@given(
    requests=REQUESTS,
    slots=st.integers(1, 5),
    rows=st.integers(1, 5),
    ahead=st.booleans(),
    order=st.integers(0, 2**32),
)
def test_joining_leaving_and_failing_streams_do_not_change_the_audio_of_others(
    requests: list[Any], slots: int, rows: int, ahead: bool, order: int
) -> None:
    with running(slots, rows_per_step=rows, ahead=ahead) as (engine, runner):
        streams, chunks, failed = [], [], set()
        for seed, (texts, clip, _) in enumerate(requests):
            words = [f"length:{n} {word}" for n, word in texts]
            voice = CLONE if clip else UNKNOWN
            streams.append(engine.synthesize(utterance(*words, voice=voice, seed=seed)))
            chunks.append([])
        open_ = set(range(len(streams)))
        # The number of calls depends on how chunks are joined, so hypothesis cannot draw them.
        chance = random.Random(order)
        while open_:  # the streams are read in any order
            number = chance.choice(sorted(open_))
            if len(chunks[number]) == requests[number][2]:
                streams[number].close()
            try:
                chunks[number].append(next(streams[number]))
            except StopIteration:
                open_.remove(number)
            except Unavailable:
                open_.remove(number)
                failed.add(number)
        idle(engine, runner)
        for number, (texts, _, chunks_read) in enumerate(requests):
            jobs = set(streams[number].jobs)
            in_failed_step = bool(jobs & set(runner.failed))
            if number in failed:
                assert in_failed_step or any(word == "bad" for _, word in texts)
            elif chunks_read is None or len(chunks[number]) < chunks_read:
                assert not in_failed_step
                check_audio(number, texts, chunks[number])
        status = engine.status()
        total = sum(len(texts) for texts, _, _ in requests)
        assert status.completed + status.failed + status.cancelled == total
        assert status.state == "ready"


def check_audio(seed: int, texts: list[tuple[int, str]], chunks: list[Any]) -> None:
    """Compare each segment with the noise of its seeds.

    A failed attempt may be retried or, if audio was delivered, end at its maximum length.
    """
    assert [c.segment for c in chunks] == sorted(c.segment for c in chunks)
    for index, (length, word) in enumerate(texts):
        samples = np.concatenate([c.samples for c in chunks if c.segment == index])
        candidates = [segment(seed, index, length, attempt=int(word == "silent"))]
        if word.startswith("failed-attempt"):
            candidates = [segment(seed, index, 11), segment(seed, index, length, attempt=1)]
        assert any(np.array_equal(samples, one) for one in candidates)


def test_the_audio_of_a_stream_is_the_same_alone_and_in_a_batch(pool: ThreadPoolExecutor) -> None:
    texts = ("length:9", "length:5", "length:12")
    with running(8, rows_per_step=3) as (engine, _):
        alone = collect(engine.synthesize(utterance(*texts, pause=0.2)))
        others = [utterance("length:20", "length:6", seed=seed) for seed in range(7)]
        streams = [engine.synthesize(one) for one in [*others, utterance(*texts, pause=0.2)]]
        results = list(pool.map(collect, streams))
    np.testing.assert_array_equal(results[-1], alone)


def test_clients_that_disconnect_at_random_do_not_affect_the_others() -> None:
    def client(number: int) -> None:
        chance = random.Random(number)
        texts = [f"length:{chance.randint(4, 12)}" for _ in range(chance.randint(1, 4))]
        stream = engine.synthesize(utterance(*texts, seed=number))
        chunks_read = chance.choice([None, None, chance.randint(0, 15)])
        chunks = list(itertools.islice(stream, chunks_read))
        stream.close()
        if chunks_read is None:
            check_audio(number, [(int(text[7:]), "") for text in texts], chunks)

    with running(6, rows_per_step=4) as (engine, runner), ThreadPoolExecutor(16) as clients:
        list(clients.map(client, range(200), timeout=60))
        idle(engine, runner)


def test_a_thousand_jobs_leak_no_slot_thread_or_memory(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # pytest keeps the log records, and with them the tracebacks of failed steps.
    caplog.set_level(logging.CRITICAL, "voxcpm_openai.runtime.engine.step_loop")
    with running(8) as (engine, runner):
        threads = threading.active_count()
        jobs: weakref.WeakSet[Job] = weakref.WeakSet()
        faults = itertools.cycle(["", "", "bad", "boom:2"])
        for number in range(250):
            texts = ["length:4", f"length:5 {next(faults)}", "length:4", "length:4"]
            stream = engine.synthesize(utterance(*texts, seed=number))
            jobs.update(stream.jobs)
            if number % 5 == 0:
                next(stream, None)
                stream.close()
            try:
                collect(stream)
            except Unavailable:
                pass
        idle(engine, runner)
        status = engine.status()
        assert status.completed + status.failed + status.cancelled == 1000
        assert threading.active_count() == threads
        del stream
        for log in (runner.steps, runner.failed, runner.admitted):
            log.clear()
        # One more request replaces the objects that the thread still references.
        collect(engine.synthesize(utterance("length:4")))
        idle(engine, runner)
        for log in (runner.steps, runner.admitted):
            log.clear()
        gc.collect()
        assert len(jobs) == 0
