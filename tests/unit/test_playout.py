"""The playout clock, and that schedulers serve listeners of different speeds alike."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from voxcpm_openai import DeadlineGate, PlayoutClock, Ticket
from voxcpm_openai.contracts import Chunk, Samples, Segment, Utterance, Voice
from voxcpm_openai.formats import AudioFormat
from voxcpm_openai.runtime.engine.engine import BatchedEngine
from voxcpm_openai.speech import Speech
from voxcpm_openai.speech_request import OutputSpec
from voxcpm_openai.testing.mock_runner import PATCH, TIMEOUT, MockRunner, StepGate, utterance
from voxcpm_openai.testing.mock_runner import RATE as MOCK_RATE
from voxcpm_openai.testing.plugins.tone_engine import CHUNK, RATE, ToneEngine, ToneStream

FAST, SLOW, EACH = 4.0, 1.0, 8


def test_before_the_first_audio_the_deadline_is_the_arrival() -> None:
    assert PlayoutClock(5.0, tempo=2.0).deadline == 5.0


@pytest.mark.parametrize(("tempo", "plays"), [(1.0, 8.0), (4.0, 2.0), (0.25, 32.0)])
def test_audio_is_played_at_the_tempo(tempo: float, plays: float) -> None:
    clock = PlayoutClock(0.0, tempo)
    clock.deliver(8.0, now=10.0)
    assert clock.deadline == 10.0 + plays
    assert clock.playing_time(8.0) == plays


def test_audio_that_comes_in_time_is_played_after_the_rest() -> None:
    clock = PlayoutClock(0.0)
    clock.deliver(3.0, now=1.0)
    clock.deliver(2.0, now=2.0)
    assert clock.deadline == 6.0


def test_after_an_underrun_playback_goes_on_with_the_next_audio() -> None:
    clock = PlayoutClock(0.0)
    clock.deliver(1.0, now=1.0)
    clock.deliver(1.0, now=5.0)
    assert clock.deadline == 6.0


class Listener(PlayoutClock):
    """A playout clock that adds up for how long its listener had nothing to play."""

    def __init__(self, arrived: float, tempo: float) -> None:
        super().__init__(arrived, tempo)
        self.underrun = 0.0
        self._plays = False

    def deliver(self, seconds: float, now: float) -> None:
        if self._plays:
            self.underrun += max(0.0, now - self.deadline)
        self._plays = True
        super().deliver(seconds, now)


class Observed(PlayoutClock):
    """The clock of an engine's stream, and what the stream's real listener makes of it."""

    def __init__(self, clock: PlayoutClock, listener: Listener) -> None:
        super().__init__(clock.deadline, clock.tempo)
        self._listener = listener

    def deliver(self, seconds: float, now: float) -> None:
        self._listener.deliver(seconds, now)
        super().deliver(seconds, now)


class Time:
    """A clock that only the tests advance."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_batched_engine_serves_fast_and_slow_listeners_alike() -> None:
    time, runner = Time(), MockRunner(2 * EACH)
    gate = StepGate(runner)
    pass_gate = runner.in_step
    # In the time in which a patch is played at speed 1, a patch for each slow listener and four
    # for each fast one: the runner just keeps up.
    rows_per_step = 8
    step_seconds = rows_per_step * runner.patch_seconds / (EACH * (FAST + SLOW))

    def step() -> None:
        pass_gate()
        time.now += step_seconds

    runner.in_step = step
    engine = BatchedEngine(
        runner, rows_per_step=rows_per_step, max_waiting=99, max_wait=1e9, clock=time
    )
    try:
        streams = [
            engine.synthesize(utterance("length:60", seed=seed, tempo=tempo))
            for seed, tempo in enumerate([FAST, SLOW] * EACH)
        ]
        listeners = [Listener(0.0, tempo) for tempo in [FAST, SLOW] * EACH]
        for stream, listener in zip(streams, listeners, strict=True):
            stream.clock = Observed(stream.clock, listener)
        gate.open()
        for stream in streams:
            assert sum(len(chunk.samples) for chunk in stream) == 60 * PATCH
    finally:
        gate.open()
        engine.stop()
    underruns = [listener.underrun for listener in listeners]
    assert pytest.approx(4.8) == 60 * PATCH / MOCK_RATE  # seconds of audio for each
    assert max(underruns) <= 3 * step_seconds


class RoundGate(DeadlineGate):
    """Grants a place only when all streams wait, so that the order is that of the deadlines."""

    def _grant(self) -> None:
        if len(self._waiting) == len(self._streams):
            super()._grant()

    def unregister(self, ticket: Ticket) -> None:
        super().unregister(ticket)
        with self._lock:
            self._grant()


class PacedToneStream(ToneStream):
    """Makes each chunk at a gate of the engine, earliest deadline first, as hibari does."""

    engine: PacedToneEngine

    def __init__(self, engine: PacedToneEngine, utterance: Utterance) -> None:
        super().__init__(engine, utterance)
        self.listener = Listener(0.0, utterance.tempo)
        self._ticket = engine.gate.register()

    def _make(self, utterance: Utterance) -> Iterator[Chunk]:
        for chunk in super()._make(utterance):
            assert self.engine.gate.acquire(self._ticket, self.listener.deadline)
            self.engine.time.now += self.engine.chunk_seconds
            self.listener.deliver(len(chunk.samples) / RATE, self.engine.time.now)
            self.engine.gate.release(self._ticket)
            yield chunk
        self.engine.gate.unregister(self._ticket)


class PacedToneEngine(ToneEngine):
    """A tone engine that makes one chunk at a time and just keeps up with its listeners."""

    chunk_seconds = CHUNK / RATE / (EACH * (FAST + SLOW))

    def __init__(self) -> None:
        super().__init__()
        self.time, self.gate = Time(), RoundGate(1)
        self.streams: list[PacedToneStream] = []

    def synthesize(self, utterance: Utterance) -> ToneStream:
        stream = PacedToneStream(self, utterance)
        self.streams.append(stream)
        return stream


class Floats:
    """Encodes samples as they are."""

    def feed(self, samples: Samples) -> bytes:
        return samples.tobytes()

    def finish(self) -> bytes:
        return b""

    def close(self) -> None:
        pass


def test_an_engine_with_a_deadline_gate_serves_fast_and_slow_listeners_alike() -> None:
    engine = PacedToneEngine()
    format_ = AudioFormat("floats", "audio/x", lambda rate: Floats(), lambda rate, asked: rate)
    text = tuple(Segment("Hello.") for _ in range(20))
    together = threading.Barrier(2 * EACH)

    def listen(tempo: float) -> None:
        spoken = Utterance(text, Voice("sine", "Sine"), tempo=tempo)
        speech = Speech(engine, spoken, OutputSpec(format_, RATE, tempo), DeadlineGate(2 * EACH))
        together.wait(TIMEOUT)
        assert b"".join(speech)
        speech.close()

    with ThreadPoolExecutor(2 * EACH) as pool:
        for done in [pool.submit(listen, tempo) for tempo in [FAST, SLOW] * EACH]:
            done.result(TIMEOUT)
    underruns = {
        tempo: max(s.listener.underrun for s in engine.streams if s.listener.tempo == tempo)
        for tempo in (FAST, SLOW)
    }
    # At the start, every listener gets its first chunk before any gets a second one.
    assert max(underruns.values()) <= 2 * EACH * engine.chunk_seconds


@pytest.mark.parametrize("tempo", [1.0, 4.0, 0.25])
def test_speech_sets_deadlines_by_what_the_listener_plays(
    tempo: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voxcpm_openai.output_chain.time.monotonic", lambda: 100.0)
    deadlines: list[float] = []

    class Recorder(DeadlineGate):
        def acquire(self, ticket: object, deadline: float) -> bool:
            deadlines.append(deadline)
            return super().acquire(ticket, deadline)

    format_ = AudioFormat("floats", "audio/x", lambda rate: Floats(), lambda rate, asked: rate)
    text = tuple(Segment("Hello.") for _ in range(40))
    spoken = Utterance(text, Voice("sine", "Sine"), tempo=tempo)
    speech = Speech(ToneEngine(), spoken, OutputSpec(format_, RATE, tempo), Recorder(1))
    seconds = sum(len(chunk) for chunk in speech) / 4 / RATE
    speech.close()
    made = 40 * 3 * CHUNK / RATE
    assert seconds == pytest.approx(made / tempo, rel=0.02)
    assert deadlines[0] == 100.0
    assert deadlines[-1] - 100.0 == pytest.approx(made / tempo, rel=0.05)
    assert np.all(np.diff(deadlines) >= 0)
