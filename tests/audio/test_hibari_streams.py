"""Streams of the embedded engine: deadlines at the gate, closing, errors, a stopped engine."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.hibari import english_engine, stream_at, utterance
from tests.support.watched_gate import TIMEOUT, WatchedGate
from voxcpm_openai import DeadlineGate, Unavailable
from voxcpm_openai.embedded import hibari as synthesizer


@pytest.mark.parametrize("tempo", [0.5, 1.0, 4.0])
def test_the_deadline_is_the_arrival_and_then_the_end_of_the_playout(
    hibari: Any, tempo: float
) -> None:
    gate = WatchedGate(1)
    before = time.monotonic()
    spoken = dataclasses.replace(utterance("One.", "Two.", "Three."), tempo=tempo)
    stream = stream_at(gate, hibari, spoken)
    after = time.monotonic()
    playout = {0: 0.0, 1: 0.0, 2: 0.0}
    for chunk in stream:
        playout[chunk.segment] += len(chunk.samples) / 24_000 / tempo
    end = time.monotonic()
    arrived, second, third = gate.deadlines
    assert before <= arrived <= after
    assert after + playout[0] <= second <= end + playout[0]
    assert third - second == pytest.approx(playout[1])


def test_close_wakes_a_next_that_waits_at_the_gate(hibari: Any, pool: ThreadPoolExecutor) -> None:
    gate = WatchedGate(1)
    busy = gate.busy()
    stream = stream_at(gate, hibari, utterance("Hello."))
    chunk = pool.submit(next, stream, "the end")
    assert gate.tickets[-1].wake.awaited.wait(TIMEOUT)
    stream.close()
    assert chunk.result(TIMEOUT) == "the end"
    stream.close()
    gate.release(busy)
    assert gate.counts().running == gate.counts().waiting == 0


def test_a_closed_stream_ends_before_its_first_chunk_and_between_chunks(engine: Any) -> None:
    for count in (0, 1, 2):
        stream = engine.synthesize(utterance("Good morning to all of you.", "And good night."))
        assert len(list(itertools.islice(stream, count))) == count
        stream.close()
        assert next(stream, None) is None
        assert engine.status().streams == engine.status().running == 0


def test_a_segment_that_is_synthesized_while_the_stream_is_closed_is_dropped(
    hibari: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = WatchedGate(1)
    stream = stream_at(gate, hibari, utterance("Hello."))
    real_trim = synthesizer.trim

    def closing(samples: Any) -> Any:
        stream.close()
        return real_trim(samples)

    monkeypatch.setattr(synthesizer, "trim", closing)
    assert next(stream, None) is None
    assert gate.counts().running == 0


def test_an_error_during_synthesis_releases_the_place(
    hibari: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(samples: Any) -> Any:
        raise MemoryError

    gate = WatchedGate(1)
    monkeypatch.setattr(synthesizer, "trim", failing)
    with pytest.raises(MemoryError):
        next(stream_at(gate, hibari, utterance("Hello.")))
    assert gate.counts() == (0, 0, 0)


def test_stop_ends_waiting_and_running_streams_with_unavailable(
    hibari: Any, pool: ThreadPoolExecutor
) -> None:
    engine = english_engine(hibari, 1)
    running = engine.synthesize(utterance("Good morning to all of you."))
    next(running)
    closed = engine.synthesize(utterance("Hello."))
    closed.close()
    engine.stop()
    with pytest.raises(Unavailable, match="stopped"):
        next(running)
    assert next(closed, None) is None
    with pytest.raises(Unavailable, match="stopped"):
        engine.synthesize(utterance("Hello."))

    gate = WatchedGate(1)
    gate.busy()
    waiting = pool.submit(next, stream_at(gate, hibari, utterance("Hello.")))
    assert gate.tickets[-1].wake.awaited.wait(TIMEOUT)
    gate.close()
    with pytest.raises(Unavailable, match="stopped"):
        waiting.result(TIMEOUT)


def test_an_abandoned_stream_can_be_collected_while_the_gate_is_locked(hibari: Any) -> None:
    """The garbage collector runs anywhere, also in a thread that holds the gate's lock."""
    gate = DeadlineGate(1)

    def abandon_and_collect() -> None:
        stream = stream_at(gate, hibari, utterance("One.", "Two."))
        next(stream)
        stream.itself = stream  # only the collector can free it
        del stream
        with gate._lock:
            gc.collect()

    thread = threading.Thread(target=abandon_and_collect, daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    assert not thread.is_alive()
