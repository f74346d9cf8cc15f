"""Concurrent identical requests share one synthesis, also if some disconnect or are refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.speech_producers import CHUNKS, SECONDS, ControlledEngine
from voxcpm_openai.cache.shared import SharedSpeech, Subscriber
from voxcpm_openai.cache.source import Producer, Source
from voxcpm_openai.cache.speech_cache import SpeechCache
from voxcpm_openai.errors import ClientLeft, RateLimited, SynthesisFailed
from voxcpm_openai.settings import Settings


@pytest.fixture
def engine() -> ControlledEngine:
    return ControlledEngine()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SpeechCache:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return SpeechCache(Settings(cache_mb=10))


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def read(source: Source) -> bytes:
    """Read a source to its end as a response does."""
    try:
        return b"".join(source)
    finally:
        source.close()


@contextmanager
def ended(cache: SpeechCache, engine: ControlledEngine) -> Iterator[None]:
    """Check that the cache holds no shared speech afterwards, and that all producers are closed."""
    yield
    assert cache._shared == {}
    assert all(producer.closed for producer in engine.producers if producer.opened)


def stored(cache: SpeechCache, key: str = "a") -> bytes | None:
    found = cache._store.get(key)
    return None if found is None else read(found)


def test_a_complete_speech_is_stored_and_found(
    cache: SpeechCache, engine: ControlledEngine
) -> None:
    engine.allow(9)
    with ended(cache, engine):
        source = cache.source("a", engine.producer())
        first = next(source)
        assert not source.hit
        assert first + read(source) == b"onetwothree"
        found = cache.source("a", engine.producer())
        assert found.hit
        assert (found.seconds, found.progress, found.complete) == (1.5, 1.0, True)
        assert read(found) == b"onetwothree"
    assert engine.opened == 1
    assert stored(cache) == b"onetwothree"


def test_concurrent_identical_requests_are_synthesized_once(
    cache: SpeechCache, engine: ControlledEngine, pool: ThreadPoolExecutor
) -> None:
    with ended(cache, engine):
        sources = [cache.source("a", engine.producer()) for _ in range(16)]
        asked = [pool.submit(read, source) for source in sources]
        engine.allow(9)
        assert {one.result(SECONDS) for one in asked} == {b"onetwothree"}
        assert engine.opened == 1
        assert [source.hit for source in sources].count(False) == 1
    assert stored(cache) == b"onetwothree"


def test_a_speech_that_is_stored_while_a_request_looks_for_it_is_found(
    cache: SpeechCache, engine: ControlledEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.allow(9)
    get = cache._store.get

    def slow_get(key: str) -> Source | None:
        monkeypatch.setattr(cache._store, "get", get)
        read(cache.source(key, engine.producer()))
        return None  # what it found before

    monkeypatch.setattr(cache._store, "get", slow_get)
    assert read(cache.source("a", engine.producer())) == b"onetwothree"
    assert engine.opened == 1


def test_a_late_request_gets_the_produced_chunks_at_once(
    cache: SpeechCache, engine: ControlledEngine
) -> None:
    first = cache.source("a", engine.producer())
    engine.allow(2)
    assert next(first) == b"one"
    late = cache.source("a", engine.producer())
    assert next(late) == b"one"  # without a permit for another chunk
    engine.allow(9)
    assert (read(late), read(first)) == (b"twothree", b"twothree")
    assert late.hit
    assert not first.hit


def test_requests_with_different_keys_share_nothing(
    cache: SpeechCache, engine: ControlledEngine
) -> None:
    engine.allow(9)
    with ended(cache, engine):
        sources = [cache.source(key, engine.producer(chunks=[key.encode()])) for key in "ab"]
        assert [read(source) for source in sources] == [b"a", b"b"]
    assert engine.opened == 2


def reading(
    cache: SpeechCache, engine: ControlledEngine, pool: ThreadPoolExecutor, count: int
) -> list[tuple[Source, Future[bytes]]]:
    """Return concurrent readers; the first one is producing."""
    readers = []
    for number in range(count):
        source = cache.source("a", engine.producer())
        readers.append((source, pool.submit(read, source)))
        if not number:
            engine.wait_for_step()
    return readers


@pytest.mark.parametrize("made", [0, 1, 2])
def test_when_the_producing_request_disconnects_the_others_continue(
    cache: SpeechCache, engine: ControlledEngine, pool: ThreadPoolExecutor, made: int
) -> None:
    with ended(cache, engine):
        first = cache.source("a", engine.producer())
        engine.allow(made + 1 if made else 0)
        received = [next(first) for _ in range(made)]
        gone = pool.submit(read, first)  # opens, or produces the next chunk
        for _ in range(made + 2 if made else 1):
            engine.wait_for_step()
        other = cache.source("a", engine.producer())
        second = pool.submit(read, other)
        first.cancel()
        engine.allow(9)
        with pytest.raises(ClientLeft):
            gone.result(SECONDS)
        assert second.result(SECONDS) == b"onetwothree"
        assert engine.opened == 1
        assert received == CHUNKS[:made]
        assert not engine.producers[0].cancelled
    assert stored(cache) == b"onetwothree"


def test_a_waiting_request_that_disconnects_returns_at_once(
    cache: SpeechCache, engine: ControlledEngine, pool: ThreadPoolExecutor
) -> None:
    with ended(cache, engine):
        (_, first), (waiting, gone) = reading(cache, engine, pool, 2)
        waiting.cancel()
        with pytest.raises(ClientLeft):
            gone.result(SECONDS)
        engine.allow(9)
        assert first.result(SECONDS) == b"onetwothree"


def test_the_last_disconnect_cancels_the_synthesis_and_nothing_is_stored(
    cache: SpeechCache, engine: ControlledEngine, pool: ThreadPoolExecutor
) -> None:
    with ended(cache, engine):
        readers = reading(cache, engine, pool, 3)
        engine.allow()
        engine.wait_for_step()  # it is open and produces the first chunk
        for source, _ in readers:
            source.cancel()
        for _, one in readers:
            with pytest.raises(ClientLeft):
                one.result(SECONDS)
        assert [producer.cancelled for producer in engine.producers] == [True, False, False]
    assert stored(cache) is None


def test_a_disconnect_before_the_producer_opens_cancels_it(
    cache: SpeechCache, engine: ControlledEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = cache.source("a", engine.producer())
    open_producer = SharedSpeech._open_producer

    def disconnect_first(shared: SharedSpeech, producer: Producer) -> None:
        source.cancel()
        open_producer(shared, producer)

    monkeypatch.setattr(SharedSpeech, "_open_producer", disconnect_first)
    with ended(cache, engine), pytest.raises(ClientLeft):
        read(source)
    assert engine.opened == 0
    assert engine.producers[0].closed


def test_a_request_after_the_last_disconnect_starts_anew(
    cache: SpeechCache,
    engine: ControlledEngine,
    pool: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ended(cache, engine):
        ((first, gone),) = reading(cache, engine, pool, 1)
        producer = engine.producers[0]
        released = threading.Event()
        cancel = producer.cancel
        monkeypatch.setattr(producer, "cancel", released.set)
        first.cancel()
        assert released.is_set()
        late = cache.source("a", engine.producer())
        cancel()  # the engine notices only now
        with pytest.raises(ClientLeft):
            gone.result(SECONDS)
        engine.allow(9)
        assert read(late) == b"onetwothree"


def test_a_refused_request_does_not_fail_the_others(
    cache: SpeechCache, engine: ControlledEngine, pool: ThreadPoolExecutor
) -> None:
    refusal = RateLimited("Too many.", retry_after=1)
    with ended(cache, engine):
        one = cache.source("a", engine.producer(refusal=refusal))
        refused = pool.submit(read, one)
        engine.wait_for_step()
        other = cache.source("a", engine.producer())
        second = pool.submit(read, other)
        engine.allow(9)
        with pytest.raises(RateLimited):
            refused.result(SECONDS)
        assert second.result(SECONDS) == b"onetwothree"
        assert not other.hit  # its own producer was opened


@pytest.mark.parametrize("chunks", [[], CHUNKS])
def test_a_failed_synthesis_fails_all_requests_and_is_not_stored(
    cache: SpeechCache, engine: ControlledEngine, pool: ThreadPoolExecutor, chunks: list[bytes]
) -> None:
    failure = SynthesisFailed("It failed.")
    with ended(cache, engine):
        sources = [
            cache.source("a", engine.producer(chunks=chunks, failure=failure)) for _ in range(4)
        ]
        asked = [pool.submit(read, source) for source in sources]
        engine.allow(9)
        for one in asked:
            with pytest.raises(SynthesisFailed):
                one.result(SECONDS)
        assert engine.opened == 1
    assert stored(cache) is None
    engine.allow(9)
    assert read(cache.source("a", engine.producer())) == b"onetwothree"


def test_an_incomplete_speech_is_not_stored(cache: SpeechCache, engine: ControlledEngine) -> None:
    engine.allow(9)
    with ended(cache, engine):
        assert read(cache.source("a", engine.producer(complete=False))) == b"onetwothree"
    assert stored(cache) is None


def test_a_speech_that_is_too_large_is_not_stored_nor_joined(
    cache: SpeechCache, engine: ControlledEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voxcpm_openai.cache.speech_cache.MAX_BUFFERED", 5)
    engine.allow(9)
    with ended(cache, engine):
        first = cache.source("a", engine.producer())
        second = cache.source("a", engine.producer())
        assert [next(first), next(first)] == CHUNKS[:2]  # now it is too large
        third = cache.source("a", engine.producer())
        assert read(second) == b"onetwothree"
        assert next(first) == b"three"
        assert isinstance(second, Subscriber)
        assert second._shared.chunks == [b"", b"", b""]
        assert read(first) == b""
        engine.allow(9)
        assert read(third) == b"onetwothree"
        assert engine.opened == 2
    assert stored(cache) is None


def test_a_full_disk_fails_no_request(
    cache: SpeechCache, engine: ControlledEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache._store, "_put", full)
    engine.allow(9)
    with ended(cache, engine):
        assert read(cache.source("a", engine.producer())) == b"onetwothree"
    assert stored(cache) is None


def test_many_requests_and_disconnects_end(
    cache: SpeechCache, engine: ControlledEngine, pool: ThreadPoolExecutor
) -> None:
    engine.allow(100_000)

    def ask(number: int) -> bytes | None:
        source = cache.source(f"{number % 3}", engine.producer())
        try:
            received = next(source)
            if number % 4 == 0:
                source.cancel()
            return received + read(source)
        except ClientLeft:
            return None
        finally:
            source.close()

    with ended(cache, engine):
        answers = list(pool.map(ask, range(400), timeout=SECONDS))
    assert {answer for number, answer in enumerate(answers) if number % 4} == {b"onetwothree"}
