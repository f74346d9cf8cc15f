"""The batched engine with many at once: nobody hears of the others, and nothing stays behind."""

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

from tests.batched import CLONE, UNKNOWN, hear, idle, running, segment, utterance
from voxcpm_openai.errors import Unavailable
from voxcpm_openai.runtime.job import Job

TEXTS = st.lists(
    st.tuples(
        st.integers(4, 9),
        st.sampled_from(
            ["", "", "", "", "bad", "boom:0", "boom:3", "astray room:11", "dead", "read:2"]
        ),
    ),
    min_size=1,
    max_size=4,
)
REQUESTS = st.lists(
    st.tuples(TEXTS, st.booleans(), st.none() | st.integers(0, 12)), min_size=1, max_size=7
)
"""Segments, whether the voice has a clip, and after how many chunks the listener hangs up."""


@settings(max_examples=60, deadline=None)
@given(
    requests=REQUESTS,
    slots=st.integers(1, 5),
    rows=st.integers(1, 5),
    ahead=st.booleans(),
    order=st.integers(0, 2**32),
)
def test_whatever_joins_leaves_and_fails_the_others_speak_as_if_alone(
    requests: list[Any], slots: int, rows: int, ahead: bool, order: int
) -> None:
    with running(slots, rows_per_step=rows, ahead=ahead) as (engine, runner):
        streams, heard, failed = [], [], set()
        for seed, (texts, clip, _) in enumerate(requests):
            words = [f"length:{n} {word}" for n, word in texts]
            voice = CLONE if clip else UNKNOWN
            streams.append(engine.speak(utterance(*words, voice=voice, seed=seed)))
            heard.append([])
        open_ = set(range(len(streams)))
        # How often they are asked depends on what is joined: not for hypothesis to draw.
        chance = random.Random(order)
        while open_:  # listeners take their chunks in any order
            number = chance.choice(sorted(open_))
            if len(heard[number]) == requests[number][2]:
                streams[number].close()
            try:
                heard[number].append(next(streams[number]))
            except StopIteration:
                open_.remove(number)
            except Unavailable:
                open_.remove(number)
                failed.add(number)
        idle(engine, runner)
        for number, (texts, _, leaves) in enumerate(requests):
            jobs = set(streams[number].jobs)
            in_failed_step = bool(jobs & set(runner.failed))
            if number in failed:
                assert in_failed_step or any(word == "bad" for _, word in texts)
            elif leaves is None or len(heard[number]) < leaves:
                assert not in_failed_step
                check_sound(number, texts, heard[number])
        status = engine.status()
        total = sum(len(texts) for texts, _, _ in requests)
        assert status["done"] + status["failed"] + status["cancelled"] == total
        assert status["state"] == "ready"


def check_sound(seed: int, texts: list[tuple[int, str]], chunks: list[Any]) -> None:
    """Check each segment against the noise of its own seeds; a late one may end at its budget."""
    assert [c.segment for c in chunks] == sorted(c.segment for c in chunks)
    for index, (length, word) in enumerate(texts):
        sound = np.concatenate([c.samples for c in chunks if c.segment == index])
        may_be = [segment(seed, index, length, attempt=int(word == "dead"))]
        if word.startswith("astray"):
            may_be = [segment(seed, index, 11), segment(seed, index, length, attempt=1)]
        assert any(np.array_equal(sound, one) for one in may_be)


def test_a_row_alone_sounds_like_the_row_among_others(pool: ThreadPoolExecutor) -> None:
    texts = ("length:9", "length:5", "length:12")
    with running(8, rows_per_step=3) as (engine, _):
        alone = hear(engine.speak(utterance(*texts, pause=0.2)))
        others = [utterance("length:20", "length:6", seed=seed) for seed in range(7)]
        streams = [engine.speak(one) for one in [*others, utterance(*texts, pause=0.2)]]
        heard = list(pool.map(hear, streams))
    np.testing.assert_array_equal(heard[-1], alone)


def test_clients_that_hang_up_at_random_disturb_nobody() -> None:
    def client(number: int) -> None:
        chance = random.Random(number)
        texts = [f"length:{chance.randint(4, 12)}" for _ in range(chance.randint(1, 4))]
        stream = engine.speak(utterance(*texts, seed=number))
        leaves = chance.choice([None, None, chance.randint(0, 15)])
        chunks = list(itertools.islice(stream, leaves))
        stream.close()
        if leaves is None:
            check_sound(number, [(int(text[7:]), "") for text in texts], chunks)

    with running(6, rows_per_step=4) as (engine, runner), ThreadPoolExecutor(16) as clients:
        list(clients.map(client, range(200), timeout=60))
        idle(engine, runner)


def test_a_thousand_jobs_leave_no_slot_thread_or_memory_behind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # pytest keeps what is logged, and with it the tracebacks of failed steps.
    caplog.set_level(logging.CRITICAL, "voxcpm_openai.runtime.engine")
    with running(8) as (engine, runner):
        threads = threading.active_count()
        jobs: weakref.WeakSet[Job] = weakref.WeakSet()
        ends = itertools.cycle(["", "", "bad", "boom:2"])
        for number in range(250):
            texts = ["length:4", f"length:5 {next(ends)}", "length:4", "length:4"]
            stream = engine.speak(utterance(*texts, seed=number))
            jobs.update(stream.jobs)
            if number % 5 == 0:
                next(stream, None)
                stream.close()
            try:
                hear(stream)
            except Unavailable:
                pass
        idle(engine, runner)
        status = engine.status()
        assert status["done"] + status["failed"] + status["cancelled"] == 1000
        assert threading.active_count() == threads
        del stream
        for log in (runner.steps, runner.failed, runner.admitted):
            log.clear()
        # One more, so that what the thread still names is of its last turn.
        hear(engine.speak(utterance("length:4")))
        idle(engine, runner)
        for log in (runner.steps, runner.admitted):
            log.clear()
        gc.collect()
        assert len(jobs) == 0
