"""Speech waits at the gate: the stream with the earliest playout deadline is encoded first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.support.watched_gate import TIMEOUT, WatchedGate
from voxcpm_openai.contracts import Samples, Segment, Utterance, Voice
from voxcpm_openai.errors import ClientLeft
from voxcpm_openai.formats import AudioFormat
from voxcpm_openai.speech import Speech
from voxcpm_openai.speech_request import OutputSpec
from voxcpm_openai.testing.plugins.tone_engine import CHUNK, CHUNKS, RATE, ToneEngine

UTTERANCE = Utterance((Segment("Hello."),), Voice("sine", "Sine"))


class Floats:
    """Return the samples unchanged."""

    def feed(self, samples: Samples) -> bytes:
        return samples.tobytes()

    def finish(self) -> bytes:
        return b"end"

    def close(self) -> None:
        pass


class Broken(Floats):
    def feed(self, samples: Samples) -> bytes:
        raise RuntimeError("broken")


def speech_through(gate: WatchedGate, encoder: Any = Floats) -> Speech:
    format_ = AudioFormat("floats", "audio/x", lambda rate: encoder(), lambda rate, asked: rate)
    return Speech(ToneEngine(), UTTERANCE, OutputSpec(format_, RATE), gate)


def test_nothing_is_encoded_before_the_gate_grants_a_place(pool: ThreadPoolExecutor) -> None:
    gate = WatchedGate(1)
    busy = gate.busy()
    with closing(speech_through(gate)) as speech:
        first = pool.submit(next, speech)
        assert gate.tickets[-1].wake.awaited.wait(TIMEOUT)
        assert not speech.seconds
        gate.release(busy)
        assert len(first.result(TIMEOUT)) == CHUNK * 4


def test_a_chunk_that_is_being_sent_holds_no_place() -> None:
    gate = WatchedGate(1)
    with closing(speech_through(gate)) as slow, closing(speech_through(gate)) as fast:
        next(slow)
        assert len(b"".join(fast)) == CHUNKS * CHUNK * 4 + len(b"end")


def test_the_deadline_advances_with_the_delivered_audio(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = SimpleNamespace(monotonic=lambda: 100.0)
    monkeypatch.setattr("voxcpm_openai.output_chain.time", now)
    gate = WatchedGate(1)
    with closing(speech_through(gate)) as first, closing(speech_through(gate)) as second:
        for stream in (first, first, second, first):
            next(stream)
    chunk = CHUNK / RATE
    assert gate.deadlines == pytest.approx([100.0, 100.0 + chunk, 100.0, 100.0 + 2 * chunk])


def test_after_an_underrun_the_deadline_counts_from_the_next_chunk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = SimpleNamespace(monotonic=lambda: 100.0)
    monkeypatch.setattr("voxcpm_openai.output_chain.time", now)
    gate = WatchedGate(1)
    with closing(speech_through(gate)) as speech:
        next(speech)
        now.monotonic = lambda: 200.0
        next(speech)
        next(speech)
    assert gate.deadlines[-1] == pytest.approx(200.0 + CHUNK / RATE)


def test_cancel_wakes_a_thread_that_waits_at_the_gate(pool: ThreadPoolExecutor) -> None:
    gate = WatchedGate(1)
    gate.busy()
    speech = speech_through(gate)
    first = pool.submit(next, speech)
    assert gate.tickets[-1].wake.awaited.wait(TIMEOUT)
    speech.cancel()
    with pytest.raises(ClientLeft):
        first.result(TIMEOUT)
    speech.close()


def test_an_encoder_that_fails_releases_its_place() -> None:
    gate = WatchedGate(1)
    broken = speech_through(gate, Broken)
    with closing(broken), pytest.raises(RuntimeError, match="broken"):
        next(broken)
    assert gate.counts() == (0, 0, 0)
    gate.busy()


def test_all_samples_are_encoded_once() -> None:
    with closing(speech_through(WatchedGate(1))) as speech:
        *chunks, end = speech
    assert end == b"end"
    samples = np.frombuffer(b"".join(chunks), np.float32)
    assert len(samples) == CHUNKS * CHUNK
    assert speech.seconds == pytest.approx(CHUNKS * CHUNK / RATE)
