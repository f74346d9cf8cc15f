"""``check_engine``: engines that fulfil the contract pass, and each kind of fault is caught."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.support.examples import load_example
from tests.support.stock import load_plugin
from voxcpm_openai import (
    Capabilities,
    Chunk,
    Engine,
    EngineStatus,
    GeneratorStream,
    InvalidRequest,
    Settings,
    Unavailable,
    Usage,
    Utterance,
    Voice,
)
from voxcpm_openai.runtime.engine.engine import BatchedEngine
from voxcpm_openai.testing.conformance import check_engine
from voxcpm_openai.testing.mock_runner import MockRunner
from voxcpm_openai.testing.plugins.tone_engine import CloningToneEngine, ToneEngine

BEEP = np.full(2_400, 0.1, np.float32)
SHORT = 2.0
"""Seconds to wait for a broken engine that hangs for ever."""


@pytest.mark.parametrize("engine", [ToneEngine, CloningToneEngine])
def test_the_tone_engines_fulfil_the_contract(engine: type[Engine]) -> None:
    check_engine(engine(), voice=Voice("sine", "Sine", options={"tone": {}}))


def test_the_beep_engine_of_the_docs_fulfils_the_contract() -> None:
    check_engine(load_example("plugins/beep_engine").start(Settings()))


def test_the_embedded_engine_fulfils_the_contract() -> None:
    engine = load_plugin("embedded_engine").start(Settings(threads=2))
    engine.name = "embedded"
    check_engine(engine, voice=Voice("plain", "Plain", options={"hibari": {}}))


def test_a_batched_engine_fulfils_the_contract() -> None:
    runner = MockRunner(4)
    runner.sample_rate = 8_000
    check_engine(
        BatchedEngine(runner, rows_per_step=4, max_waiting=1_000, max_wait=1e9), text="length:3"
    )
    assert not runner.live


class Good(Engine):
    """Fulfils the contract; the engines below break it in one point each."""

    capabilities = Capabilities(sample_rate=24_000, params={"seed", "wave"})

    def __init__(self) -> None:
        self.stopped = threading.Event()

    def synthesize(self, utterance: Utterance) -> Any:
        if self.stopped.is_set():
            raise Unavailable("stopped")
        if "wave" in utterance.options:
            raise InvalidRequest("no such wave", param="wave")
        return GeneratorStream(self.chunks(utterance))

    def chunks(self, utterance: Utterance) -> Iterator[Any]:
        for index, segment in enumerate(utterance.segments):
            if segment.text.isascii():
                yield Chunk(BEEP, index)

    def stop(self) -> None:
        self.stopped.set()


def test_a_good_engine_passes() -> None:
    engine = Good()
    check_engine(engine)
    assert engine.stopped.is_set()


class Stream:
    """A stream without a thread, of one chunk for each segment."""

    usage: Any = Usage(1, 1)

    def __init__(self, engine: Any, utterance: Utterance) -> None:
        self.engine = engine
        self.utterance = utterance
        self.closed = threading.Event()
        self.chunks = iter([Chunk(BEEP, n) for n in range(len(utterance.segments))])

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        if self.closed.is_set():
            raise StopIteration
        return next(self.chunks)

    def close(self) -> None:
        self.closed.set()


def with_chunks(*chunks: Any) -> type[Engine]:
    class Broken(Good):
        def chunks(self, utterance: Utterance) -> Iterator[Any]:
            yield from chunks

    return Broken


def with_stream(**methods: Any) -> type[Engine]:
    stream = type("BrokenStream", (Stream,), methods)

    class Broken(Good):
        def synthesize(self, utterance: Utterance) -> Any:
            return stream(self, utterance)

    return Broken


def changed(**members: Any) -> type[Engine]:
    return type("Broken", (Good,), members)


def raises(error: Exception) -> Callable[..., Any]:
    def method(*_: object) -> Any:
        raise error

    return method


def odd(error: Exception) -> Callable[..., Any]:
    """Return a ``chunks`` that fails at texts that are not ASCII."""

    def chunks(self: Good, utterance: Utterance) -> Iterator[Chunk]:
        if not utterance.segments[0].text.isascii():
            raise error
        yield from Good.chunks(self, utterance)

    return chunks


def one_at_a_time(self: Any, utterance: Utterance) -> Any:
    """Return a stream that waits until all streams before it have been closed."""

    class Exclusive(Stream):
        def __next__(self) -> Any:
            if self not in self.engine.open:
                self.engine.open.append(self)
            for stream in self.engine.open[: self.engine.open.index(self)]:
                stream.closed.wait()
            return super().__next__()

    self.__dict__.setdefault("open", [])
    return Exclusive(self, utterance)


def refuses_a_second(self: Any, utterance: Utterance) -> Any:
    """Return a stream, or raise the wrong error if another one is open."""
    if any(not stream.closed.is_set() for stream in self.__dict__.setdefault("open", [])):
        raise RuntimeError("busy")
    self.open.append(Stream(self, utterance))
    return self.open[-1]


def waits_at_long(until: Callable[[Stream], threading.Event]) -> Callable[[Any], Any]:
    """Return a ``next`` that waits after the first chunk of an utterance of many segments."""

    def method(stream: Any) -> Any:
        if "begun" in vars(stream) and len(stream.utterance.segments) > 3:
            if not stream.closed.is_set():
                until(stream).wait()
            raise StopIteration
        stream.begun = True
        return Stream.__next__(stream)

    return method


def resumes(stream: Any) -> Chunk:
    """A ``next`` that goes on after its end."""
    stream.count = getattr(stream, "count", 0) + 1
    if stream.count == 2:
        raise StopIteration
    return Chunk(BEEP)


NEVER = threading.Event()


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        (changed(name=property(lambda _: "x")), "name cannot be set"),
        (changed(capabilities=None), "Broken.capabilities is not a Capabilities"),
        (changed(capabilities=Capabilities(1)), "sample_rate = 1: must be"),
        (changed(status=lambda _: {}), "status() returned {}, which is not an EngineStatus"),
        (changed(status=lambda _: EngineStatus(streams=-1)), "status().streams = -1: must be"),
        (changed(synthesize=lambda *_: None), "synthesize returned None, which is not"),
        (changed(synthesize=lambda *_: (c for c in ())), "it has no usage"),
        (changed(synthesize=raises(ValueError("no"))), "synthesize raised ValueError('no')"),
        (changed(synthesize=refuses_a_second), "synthesize raised RuntimeError('busy')"),
        (changed(chunks=raises(ValueError("no"))), "synthesize raised ValueError('no')"),
        (changed(chunks=odd(ValueError("no"))), "'好' with {}: ValueError('no') is not a Request"),
        (
            changed(prepare_voice=raises(ValueError("no"))),
            "prepare_voice raised [ValueError",
        ),
        (with_chunks("beep"), "yielded 'beep', which is not a Chunk"),
        (with_chunks(Chunk(BEEP.astype(np.float64))), "samples of float64"),
        (with_chunks(Chunk(BEEP[None])), "samples of shape (1, 2400)"),
        (with_chunks(Chunk(BEEP * np.float32("nan"))), "a chunk holds NaN"),
        (with_chunks(Chunk(BEEP * 0)), "made no sound"),
        (with_chunks(), "made no sound"),
        (with_chunks(Chunk(BEEP, 1), Chunk(BEEP, 0)), "not in order: [1, 0]"),
        (with_chunks(Chunk(BEEP, 3)), "the segments 0 to 2; chunks name [3]"),
        (with_chunks(Chunk(BEEP, "0")), "the segment '0'"),
        (with_stream(__next__=resumes), "after the end"),
        (with_stream(usage=None), "before the first chunk, usage is None"),
        (with_stream(usage=Usage(0, 1)), "usage.input_tokens = 0: must be"),
        (with_stream(__iter__=lambda stream: iter(list(stream.chunks))), "the stream itself"),
        (with_stream(close=raises(ValueError("no"))), "close() raised ValueError('no')"),
        (with_stream(close=lambda stream: None), "after close() before the first next()"),
    ],
)
def test_a_broken_engine_is_caught(engine: type[Engine], message: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_engine(engine())
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        (changed(synthesize=one_at_a_time), "a stream hangs"),
        (changed(prepare_voice=lambda *_: NEVER.wait()), "prepare_voice hangs"),
        (with_stream(__next__=waits_at_long(lambda _: NEVER)), "did not wake a waiting next()"),
        (
            with_stream(__next__=waits_at_long(lambda stream: stream.closed)),
            "stop() did not end an open stream",
        ),
    ],
)
def test_an_engine_that_hangs_is_caught(engine: type[Engine], message: str) -> None:
    with pytest.raises(AssertionError, match="nothing happened within 2 s") as caught:
        check_engine(engine(), timeout=SHORT)
    assert message in str(caught.value)


def test_a_wrong_value_of_an_own_field_must_be_a_request_error() -> None:
    def synthesize(self: Good, utterance: Utterance) -> Any:
        float(utterance.options.get("wave", 0))
        return GeneratorStream(self.chunks(utterance))

    with pytest.raises(AssertionError, match=r"TypeError.* is not a RequestError"):
        check_engine(changed(synthesize=synthesize)())


def test_a_wrong_option_of_a_voice_must_be_a_request_error() -> None:
    def synthesize(self: Good, utterance: Utterance) -> Any:
        if utterance.voice.options["good"]:
            raise KeyError("no_such_option")
        return Good.synthesize(self, utterance)

    engine = changed(synthesize=synthesize)()
    engine.name = "good"
    with pytest.raises(AssertionError, match=r"KeyError.* is not a RequestError"):
        check_engine(engine, voice=Voice("plain", "Plain", options={"good": {}}))


def test_a_speed_that_the_engine_claims_must_work() -> None:
    def chunks(self: Good, utterance: Utterance) -> Iterator[Chunk]:
        if utterance.speed > 1.5:
            raise ValueError("too fast")
        yield from Good.chunks(self, utterance)

    capabilities = replace(Good.capabilities, native_speed=(0.5, 2.0))
    with pytest.raises(AssertionError, match="too fast"):
        check_engine(changed(chunks=chunks, capabilities=capabilities)())
