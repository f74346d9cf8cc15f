"""``GeneratorStream``: a generator as a stream, ended from any thread.  No sleeps."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.support.watched_gate import TIMEOUT
from voxcpm_openai import Chunk, GeneratorStream, Overloaded, Usage
from voxcpm_openai import generator_stream as module

CHUNKS = [Chunk(np.full(10, number, np.float32), number) for number in range(5)]


def segments(stream: GeneratorStream) -> list[int]:
    return [chunk.segment for chunk in stream]


def thread_of(stream: GeneratorStream) -> threading.Thread:
    assert stream._thread is not None
    return stream._thread


def ends(stream: GeneratorStream) -> bool:
    """Wait for the thread of a stream; return whether it ended."""
    thread_of(stream).join(TIMEOUT)
    return not thread_of(stream).is_alive()


class Generator:
    """A generator that records its end, and that a test can hold up before a chunk."""

    def __init__(self, hold_before: int = -1) -> None:
        self.held = threading.Event()
        self.go_on = threading.Event()
        self.closed = threading.Event()
        self.made = 0
        self._hold_before = hold_before

    def chunks(self) -> Iterator[Chunk]:
        try:
            for number, chunk in enumerate(CHUNKS):
                if number == self._hold_before:
                    self.held.set()
                    assert self.go_on.wait(TIMEOUT)
                self.made += 1
                yield chunk
        finally:
            self.closed.set()


@pytest.mark.parametrize("chunks", [CHUNKS, iter(CHUNKS), (chunk for chunk in CHUNKS)])
def test_all_chunks_come_in_order_and_the_end_is_repeated(chunks: Iterator[Chunk]) -> None:
    stream = GeneratorStream(chunks)
    assert iter(stream) is stream
    assert segments(stream) == [0, 1, 2, 3, 4]
    assert [next(stream, "end") for _ in range(2)] == ["end", "end"]
    assert ends(stream)


def test_a_generator_without_chunks_ends_at_once() -> None:
    stream = GeneratorStream([])
    assert segments(stream) == []
    assert ends(stream)


def test_what_cannot_be_iterated_is_refused_at_once() -> None:
    with pytest.raises(TypeError):
        GeneratorStream(None)


def test_nothing_runs_before_the_first_next() -> None:
    generator = Generator()
    stream = GeneratorStream(generator.chunks())
    assert (stream._thread, generator.made) == (None, 0)


@pytest.mark.parametrize("number", [0, 1, 4])
@pytest.mark.parametrize("error", [ValueError("broken"), Overloaded("busy")])
def test_an_error_comes_after_the_chunks_before_it_and_is_repeated(
    number: int, error: Exception
) -> None:
    def failing() -> Iterator[Chunk]:
        yield from CHUNKS[:number]
        raise error

    stream = GeneratorStream(failing())
    assert [next(stream).segment for _ in range(number)] == list(range(number))
    for _ in range(2):
        with pytest.raises(type(error)) as caught:
            next(stream)
        assert caught.value is error
    stream.close()
    assert next(stream, "end") == "end"
    assert ends(stream)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_an_error_that_would_end_a_thread_ends_only_the_stream(error: BaseException) -> None:
    def failing() -> Iterator[Chunk]:
        yield CHUNKS[0]
        raise error

    stream = GeneratorStream(failing())
    next(stream)
    with pytest.raises(RuntimeError, match=type(error).__name__):
        next(stream)
    assert ends(stream)


def test_close_before_the_first_next_starts_no_thread_and_closes_the_generator() -> None:
    generator = Generator()
    chunks = generator.chunks()
    next(chunks)  # an engine may have run it up to here, to fail early
    stream = GeneratorStream(chunks)
    stream.close()
    assert generator.closed.is_set()
    assert next(stream, "end") == "end"
    assert stream._thread is None
    stream.close()


def test_close_between_chunks_ends_the_generator_and_its_thread() -> None:
    generator = Generator()
    stream = GeneratorStream(generator.chunks())
    next(stream)
    stream.close()
    stream.close()
    assert generator.closed.wait(TIMEOUT)
    assert ends(stream)
    assert next(stream, "end") == "end"
    assert generator.made <= 1 + module.AHEAD


def test_close_wakes_a_next_that_waits_though_the_generator_is_blocked(
    pool: ThreadPoolExecutor,
) -> None:
    generator = Generator(hold_before=1)
    stream = GeneratorStream(generator.chunks())
    next(stream)
    waiting = pool.submit(next, stream, "end")
    assert generator.held.wait(TIMEOUT)
    stream.close()
    assert waiting.result(TIMEOUT) == "end"
    assert not generator.closed.is_set()
    generator.go_on.set()  # what it yields now is dropped
    assert generator.closed.wait(TIMEOUT)
    assert ends(stream)
    assert not stream._ready


def test_a_generator_makes_a_few_chunks_ahead_and_no_more() -> None:
    generator = Generator(hold_before=module.AHEAD)
    ready = []

    def watched() -> Iterator[Chunk]:
        for chunk in generator.chunks():
            ready.append(len(stream._ready))
            yield chunk

    stream = GeneratorStream(watched())
    assert next(stream).segment == 0
    assert generator.held.wait(TIMEOUT)  # it goes on without another next()
    generator.go_on.set()
    assert segments(stream) == [1, 2, 3, 4]
    assert max(ready) < module.AHEAD


def test_a_generator_may_close_its_own_stream() -> None:
    def closing() -> Iterator[Chunk]:
        yield CHUNKS[0]
        stream.close()
        yield CHUNKS[1]

    stream = GeneratorStream(closing())
    assert len(segments(stream)) <= 1
    assert ends(stream)


def test_a_generator_that_yields_or_raises_when_it_is_closed_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def stubborn() -> Iterator[Chunk]:
        try:
            yield from CHUNKS
        finally:
            yield CHUNKS[0]

    def broken() -> Iterator[Chunk]:
        try:
            yield from CHUNKS
        finally:
            raise ValueError("no end")

    def leaving() -> Iterator[Chunk]:
        try:
            yield from CHUNKS
        finally:
            raise SystemExit("it leaves")

    found = ((stubborn, "ignored GeneratorExit"), (broken, "no end"), (leaving, "it leaves"))
    for generator, message in found:
        stream = GeneratorStream(generator())
        next(stream)
        with caplog.at_level(logging.ERROR):
            stream.close()
            assert ends(stream)
        assert message in caplog.text
        assert next(stream, "end") == "end"


def test_a_thread_that_cannot_start_is_an_error_at_every_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    stream = GeneratorStream(CHUNKS)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="can't start"):
            next(stream)
    stream.close()


def test_usage_counts_chunks_unless_the_engine_counts() -> None:
    stream = GeneratorStream(CHUNKS)
    assert stream.usage == Usage(1, 1)
    assert len(segments(stream)) == 5
    assert stream.usage == Usage(1, 5)
    assert GeneratorStream(CHUNKS, usage=lambda: Usage(7, 8)).usage == Usage(7, 8)


def test_many_threads_share_out_the_chunks_of_one_stream(pool: ThreadPoolExecutor) -> None:
    stream = GeneratorStream(CHUNKS * 20)
    shares = [pool.submit(segments, stream) for _ in range(4)]
    assert sum(len(share.result(TIMEOUT)) for share in shares) == 100
