"""``check_engine``: puts any engine through its contract.

For the tests of a plugin::

    def test_the_engine_fulfils_its_contract():
        check_engine(BeepEngine(pitch=440))

It needs no test framework: a broken contract is an AssertionError.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import cast

import numpy as np

from voxcpm_openai.contract_checks import (
    chunk_problems,
    engine_problems,
    status_problems,
    stream_problems,
    usage_problems,
)
from voxcpm_openai.contracts import (
    PARAMS,
    AudioStream,
    Chunk,
    ContinuingStream,
    Engine,
    Segment,
    Utterance,
    Voice,
)
from voxcpm_openai.errors import RequestError
from voxcpm_openai.testing.stream_reader import StreamReader

STREAMS = 4
"""The number of streams that are open at once in the checks."""
LONG = 20
"""The number of segments of an utterance that is cancelled before its end."""
ODD_TEXTS = (".", "$", "...", "12", "好", "\u2014 \u2014")
"""Texts that an engine may refuse, or be silent at, but must not break at."""
ODD_VALUE = {"odd": [None]}
"""A value that no option can have."""


def check_engine(
    engine: Engine, *, text: str = "Hello there.", voice: Voice | None = None, timeout: float = 60
) -> None:
    """Raise AssertionError, with a message, for the first part of the contract that is broken.

    ``engine`` is started and idle; it is stopped in the end.  ``text`` is one that it can speak,
    ``voice`` a voice (by default one without options and clip), and ``timeout`` the seconds after
    which a stream that neither yields nor ends counts as hanging.
    """
    _require("", engine_problems(engine))
    _check_name(engine)
    check = _Check(engine, text, voice or Voice("conformance", "Conformance"), timeout)
    check.audio()
    check.native_speeds()
    check.streams_at_once()
    check.continued_streams()
    check.prepared_voice()
    check.close_before_the_first_chunk()
    check.close_between_chunks()
    check.close_while_next_waits()
    check.odd_requests()
    _require("after all streams have ended, ", status_problems(engine.status()))
    check.stop()


class _Check:
    """The checks of one engine, in the order of ``check_engine``."""

    def __init__(self, engine: Engine, text: str, voice: Voice, timeout: float) -> None:
        self.engine = engine
        self.text = text
        self.voice = voice
        self.timeout = timeout

    def audio(self) -> None:
        """Chunks are valid, audible and in the order of their segments; usage is positive."""
        stream = self.start(self.utterance(3))
        _require("before the first chunk, ", usage_problems(stream.usage))
        chunks = self.read([stream])[0]
        _require("after the last chunk, ", usage_problems(stream.usage))
        _check_order(chunks, 3)

    def native_speeds(self) -> None:
        """The slowest and the fastest speed of ``native_speed`` work."""
        for speed in self.engine.capabilities.native_speed:
            self.read([self.start(replace(self.utterance(1), speed=speed))])

    def streams_at_once(self) -> None:
        """Several streams are started in threads of their own, and all of them speak."""
        streams: list[AudioStream] = []
        errors: list[BaseException] = []

        def start() -> None:
            try:
                streams.append(self.start(self.utterance(2)))
            except BaseException as error:  # noqa: BLE001  (raised again below)
                errors.append(error)

        threads = [threading.Thread(target=start, daemon=True) for _ in range(STREAMS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(self.timeout)
        if errors:
            raise errors[0]
        _assert(len(streams) == STREAMS, f"synthesize hangs: {self._waited()}")
        self.read(streams)

    def continued_streams(self) -> None:
        """With ``continues``, streams continue an ended one, several the same one, too."""
        if not self.engine.capabilities.continues:
            return
        continuation: object = None
        for segments in (1, 2, 1):
            utterance = replace(self.utterance(segments), continuation=continuation)
            streams = [self.start(utterance), self.start(utterance)]
            for chunks in self.heard(streams):
                _check_order(chunks, segments)
            with _faults("after the last chunk, continuation:"):
                continuation = cast("ContinuingStream", streams[0]).continuation
            for stream in streams:
                _close(stream)

    def prepared_voice(self) -> None:
        """``prepare_voice`` returns while a stream speaks, and does not end it."""
        stream = self.start(self.utterance(2))
        reader = StreamReader(stream)
        ended = threading.Event()
        errors: list[BaseException] = []

        def prepare() -> None:
            try:
                self.engine.prepare_voice(self.voice)
            except BaseException as error:  # noqa: BLE001  (reported below)
                errors.append(error)
            ended.set()

        threading.Thread(target=prepare, daemon=True).start()
        _assert(reader.wait_for_end(self.timeout), f"a stream hangs: {self._waited()}")
        _assert(reader.error is None, f"beside prepare_voice, a stream raised {reader.error!r}")
        _assert(ended.wait(self.timeout), f"prepare_voice hangs: {self._waited()}")
        _assert(not errors, f"prepare_voice raised {errors!r}")

    def close_before_the_first_chunk(self) -> None:
        """``close()`` ends a stream that was never read, and may be called twice."""
        stream = self.start(self.utterance(LONG))
        _close(stream)
        self._closed(stream, "before the first next()")

    def close_between_chunks(self) -> None:
        """``close()`` drops all chunks that were not taken."""
        stream = self.start(self.utterance(LONG))
        next(stream)
        _close(stream)
        self._closed(stream, "after a chunk")

    def close_while_next_waits(self) -> None:
        """``close()`` from another thread ends a reader, wherever it is."""
        streams = [self.start(self.utterance(LONG)) for _ in range(STREAMS)]
        readers = [StreamReader(stream) for stream in streams]
        for stream, reader in zip(streams, readers, strict=True):
            _assert(reader.wait_for_chunk(self.timeout), f"no chunk came: {self._waited()}")
            _close(stream)
            _assert(
                reader.wait_for_end(self.timeout),
                f"close() did not wake a waiting next(): {self._waited()}",
            )
            _assert(
                reader.error is None,
                f"after close(), next() must raise StopIteration, not {reader.error!r}",
            )

    def odd_requests(self) -> None:
        """Odd texts and options are spoken or refused with a RequestError."""
        requests = [replace(self.utterance(1), segments=(Segment(text),)) for text in ODD_TEXTS]
        own = [name for name in self.engine.capabilities.params if name not in PARAMS]
        requests += [replace(self.utterance(1), options={name: ODD_VALUE}) for name in own]
        if self.engine.name in self.voice.options:
            options = {**self.voice.options, self.engine.name: {"no_such_option": ODD_VALUE}}
            requests.append(replace(self.utterance(1), voice=replace(self.voice, options=options)))
        for request in requests:
            case = f"{request.segments[0].text!r} with {dict(request.options)}"
            reader = None
            with _faults(f"{case}:", " is not a RequestError", may_refuse=True):
                reader = StreamReader(self.engine.synthesize(request))
            if reader is None:
                continue
            _assert(reader.wait_for_end(self.timeout), f"{case} hangs: {self._waited()}")
            _assert_request_error(reader.error, case)

    def stop(self) -> None:
        """``stop()`` ends the streams that are open."""
        readers = [StreamReader(self.start(self.utterance(LONG))) for _ in range(STREAMS)]
        for reader in readers:
            reader.wait_for_chunk(self.timeout)
        self.engine.stop()
        for reader in readers:
            _assert(
                reader.wait_for_end(self.timeout),
                f"stop() did not end an open stream: {self._waited()}",
            )
            _assert_request_error(reader.error, "a stream that was open at stop()")
        with _faults("synthesize after stop() raised", may_refuse=True):
            self.engine.synthesize(self.utterance(1)).close()

    def utterance(self, segments: int) -> Utterance:
        """Return an utterance of n equal segments."""
        seed = 7 if "seed" in self.engine.capabilities.params else None
        return Utterance((Segment(self.text, 0.1),) * segments, self.voice, seed=seed)

    def start(self, utterance: Utterance) -> AudioStream:
        """Return a stream of the engine.  It must not refuse the text and the voice."""
        where = (
            f" at {self.text!r} with the voice {self.voice.id!r} "
            f"and the continuation {utterance.continuation!r}; "
            "pass a text and a voice that the engine can speak"
        )
        with _faults("synthesize raised", where):
            stream = self.engine.synthesize(utterance)
        continues = self.engine.capabilities.continues
        _require("", stream_problems(stream, continues=continues))
        _assert(iter(stream) is stream, "iter(stream) must return the stream itself")
        return stream

    def read(self, streams: Sequence[AudioStream]) -> list[list[Chunk]]:
        """Read streams side by side and close them; return the chunks, which must be audible."""
        chunks = self.heard(streams)
        for stream in streams:
            _close(stream)
        return chunks

    def heard(self, streams: Sequence[AudioStream]) -> list[list[Chunk]]:
        """Read streams to their ends side by side; return the chunks, which must be audible."""
        readers = [StreamReader(stream) for stream in streams]
        for reader in readers:
            _assert(reader.wait_for_end(self.timeout), f"a stream hangs: {self._waited()}")
            if reader.error is not None:
                raise AssertionError(f"next() raised {reader.error!r}") from reader.error
            _check_chunks(reader.chunks)
        return [reader.chunks for reader in readers]

    def _closed(self, stream: AudioStream, when: str) -> None:
        _close(stream)  # twice: it must be idempotent
        reader = StreamReader(stream)
        _assert(reader.wait_for_end(self.timeout), f"next() hangs after close() {when}")
        _assert(
            not reader.chunks and reader.error is None,
            f"after close() {when}, next() must raise StopIteration, "
            f"not {'return a chunk' if reader.chunks else f'raise {reader.error!r}'}",
        )
        _require(f"after close() {when}, ", usage_problems(stream.usage))

    def _waited(self) -> str:
        return f"nothing happened within {self.timeout:g} s"


def _check_name(engine: Engine) -> None:
    try:
        engine.name = engine.name  # the server sets it to the name of the spec
    except AttributeError as error:
        raise AssertionError(f"name cannot be set: {error}") from error


@contextmanager
def _faults(before: str, after: str = "", *, may_refuse: bool = False) -> Iterator[None]:
    """Raise AssertionError for an error of the block, with words before and after it.

    ``may_refuse``: a RequestError is none.
    """
    try:
        yield
    except Exception as error:  # the engine is somebody's, and may raise any type
        if not (may_refuse and isinstance(error, RequestError)):
            raise AssertionError(f"{before} {error!r}{after}") from error


def _close(stream: AudioStream) -> None:
    with _faults("close() raised"):
        stream.close()


def _check_chunks(chunks: Iterable[Chunk]) -> None:
    loudest = 0.0
    for chunk in chunks:
        _require("", chunk_problems(chunk))
        _assert(bool(np.isfinite(chunk.samples).all()), "a chunk holds NaN or infinite samples")
        loudest = max(loudest, float(np.abs(chunk.samples).max(initial=0)))
    _assert(loudest > 0, "the engine made no sound at all")


def _check_order(chunks: Sequence[Chunk], segments: int) -> None:
    order = [chunk.segment for chunk in chunks]
    _assert(order == sorted(order), f"the segments of the chunks are not in order: {order}")
    _assert(
        set(order) <= set(range(segments)),
        f"the utterance has the segments 0 to {segments - 1}; chunks name {order}",
    )


def _assert_request_error(error: Exception | None, case: str) -> None:
    if error is not None and not isinstance(error, RequestError):
        raise AssertionError(f"{case}: {error!r} is not a RequestError") from error


def _require(when: str, problems: list[str]) -> None:
    _assert(not problems, when + "; ".join(problems))


def _assert(condition: bool, message: str) -> None:
    """Raise AssertionError, also under ``python -O``."""
    if not condition:
        raise AssertionError(message)
