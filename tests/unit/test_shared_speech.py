"""Equal requests at the same time: made once, whoever leaves or fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.speech_makers import PARTS, SECONDS, Engine
from voxcpm_openai.cache.shared import Listener
from voxcpm_openai.cache.source import Source
from voxcpm_openai.cache.speech_cache import SpeechCache
from voxcpm_openai.errors import ClientLeft, RateLimited, SynthesisFailed
from voxcpm_openai.settings import Settings


@pytest.fixture
def engine() -> Engine:
    return Engine()


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
def ended(cache: SpeechCache, engine: Engine) -> Iterator[None]:
    """Check that nothing is left: each maker that was opened is closed."""
    yield
    assert cache._shared == {}
    assert all(maker.closed for maker in engine.makers if maker.opened)


def stored(cache: SpeechCache, key: str = "a") -> bytes | None:
    found = cache._store.get(key)
    return None if found is None else read(found)


def test_what_was_made_is_stored_and_found(cache: SpeechCache, engine: Engine) -> None:
    engine.let(9)
    with ended(cache, engine):
        source = cache.source("a", engine.maker())
        first = next(source)
        assert not cache.count(source)
        assert first + read(source) == b"onetwothree"
        found = cache.source("a", engine.maker())
        assert cache.count(found)
        assert (found.seconds, found.progress, found.whole) == (1.5, 1.0, True)
        assert read(found) == b"onetwothree"
    assert engine.opened == 1
    assert (cache.counts.hits, cache.counts.misses, cache.counts.stored_bytes) == (1, 1, 11)


def test_many_at_once_are_made_once_and_each_gets_all(
    cache: SpeechCache, engine: Engine, pool: ThreadPoolExecutor
) -> None:
    with ended(cache, engine):
        sources = [cache.source("a", engine.maker()) for _ in range(16)]
        asked = [pool.submit(read, source) for source in sources]
        engine.let(9)
        assert {one.result(SECONDS) for one in asked} == {b"onetwothree"}
        assert engine.opened == 1
        assert [cache.count(source) for source in sources].count(False) == 1
    assert stored(cache) == b"onetwothree"


def test_one_who_comes_late_gets_what_was_made_at_once(cache: SpeechCache, engine: Engine) -> None:
    first = cache.source("a", engine.maker())
    engine.let(2)
    assert next(first) == b"one"
    late = cache.source("a", engine.maker())
    assert next(late) == b"one"  # the engine may make no more
    engine.let(9)
    assert (read(late), read(first)) == (b"twothree", b"twothree")
    assert cache.count(late)
    assert not cache.count(first)


def test_different_requests_share_nothing(cache: SpeechCache, engine: Engine) -> None:
    engine.let(9)
    with ended(cache, engine):
        one = cache.source("a", engine.maker(parts=[b"a"]))
        other = cache.source("b", engine.maker(parts=[b"b"]))
        assert (read(one), read(other)) == (b"a", b"b")
    assert engine.opened == 2


def reading(
    cache: SpeechCache, engine: Engine, pool: ThreadPoolExecutor, count: int
) -> list[tuple[Source, Future[bytes]]]:
    """Return readers, the first of which is at work in the engine."""
    readers = []
    for number in range(count):
        source = cache.source("a", engine.maker())
        readers.append((source, pool.submit(read, source)))
        if not number:
            engine.wait_asked()
    return readers


@pytest.mark.parametrize("made", [0, 1, 2])
def test_when_the_one_at_work_leaves_the_other_goes_on(
    cache: SpeechCache, engine: Engine, pool: ThreadPoolExecutor, made: int
) -> None:
    with ended(cache, engine):
        first = cache.source("a", engine.maker())
        engine.let(made + 1 if made else 0)
        heard = [next(first) for _ in range(made)]
        gone = pool.submit(read, first)  # begins, or makes the next part
        for _ in range(made + 2 if made else 1):
            engine.wait_asked()
        other = cache.source("a", engine.maker())
        second = pool.submit(read, other)
        first.cancel()
        engine.let(9)
        with pytest.raises(ClientLeft):
            gone.result(SECONDS)
        assert second.result(SECONDS) == b"onetwothree"
        assert engine.opened == 1
        assert heard == PARTS[:made]
        assert not engine.makers[0].cancelled
    assert stored(cache) == b"onetwothree"


def test_when_one_who_waits_leaves_it_waits_no_longer(
    cache: SpeechCache, engine: Engine, pool: ThreadPoolExecutor
) -> None:
    with ended(cache, engine):
        (_, first), (waiting, gone) = reading(cache, engine, pool, 2)
        waiting.cancel()
        with pytest.raises(ClientLeft):
            gone.result(SECONDS)
        engine.let(9)
        assert first.result(SECONDS) == b"onetwothree"


def test_when_all_have_left_the_work_ends_and_nothing_is_stored(
    cache: SpeechCache, engine: Engine, pool: ThreadPoolExecutor
) -> None:
    with ended(cache, engine):
        readers = reading(cache, engine, pool, 3)
        engine.let()
        engine.wait_asked()  # it has begun and makes the first part
        for source, _ in readers:
            source.cancel()
        for _, one in readers:
            with pytest.raises(ClientLeft):
                one.result(SECONDS)
        assert [maker.cancelled for maker in engine.makers] == [True, False, False]
    assert stored(cache) is None


def test_one_who_comes_after_all_have_left_is_not_told_of_it(
    cache: SpeechCache, engine: Engine, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ended(cache, engine):
        ((first, gone),) = reading(cache, engine, pool, 1)
        maker = engine.makers[0]
        released = threading.Event()
        cancel = maker.cancel
        monkeypatch.setattr(maker, "cancel", released.set)
        first.cancel()
        assert released.is_set()
        late = cache.source("a", engine.maker())
        cancel()  # the engine notices only now
        with pytest.raises(ClientLeft):
            gone.result(SECONDS)
        engine.let(9)
        assert read(late) == b"onetwothree"


def test_a_refusal_of_one_is_not_that_of_the_others(
    cache: SpeechCache, engine: Engine, pool: ThreadPoolExecutor
) -> None:
    refusal = RateLimited("Too many.", retry_after=1)
    with ended(cache, engine):
        one = cache.source("a", engine.maker(refusal=refusal))
        refused = pool.submit(read, one)
        engine.wait_asked()
        other = cache.source("a", engine.maker())
        second = pool.submit(read, other)
        engine.let(9)
        with pytest.raises(RateLimited):
            refused.result(SECONDS)
        assert second.result(SECONDS) == b"onetwothree"
        assert not cache.count(other)  # it was made for this one


@pytest.mark.parametrize("parts", [[], PARTS])
def test_a_failure_is_told_to_all_and_nothing_is_stored(
    cache: SpeechCache, engine: Engine, pool: ThreadPoolExecutor, parts: list[bytes]
) -> None:
    failure = SynthesisFailed("It failed.")
    with ended(cache, engine):
        sources = [cache.source("a", engine.maker(parts=parts, failure=failure)) for _ in range(4)]
        asked = [pool.submit(read, source) for source in sources]
        engine.let(9)
        for one in asked:
            with pytest.raises(SynthesisFailed):
                one.result(SECONDS)
        assert engine.opened == 1
    assert stored(cache) is None
    engine.let(9)
    assert read(cache.source("a", engine.maker())) == b"onetwothree"


def test_what_is_not_whole_is_not_stored(cache: SpeechCache, engine: Engine) -> None:
    engine.let(9)
    with ended(cache, engine):
        assert read(cache.source("a", engine.maker(whole=False))) == b"onetwothree"
    assert stored(cache) is None


def test_one_that_grows_too_long_is_not_kept_and_shared_no_more(
    cache: SpeechCache, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voxcpm_openai.cache.speech_cache.MAX_HELD", 5)
    engine.let(9)
    with ended(cache, engine):
        first = cache.source("a", engine.maker())
        second = cache.source("a", engine.maker())
        assert [next(first), next(first)] == PARTS[:2]  # now it is too long
        third = cache.source("a", engine.maker())
        assert read(second) == b"onetwothree"
        assert next(first) == b"three"
        assert isinstance(second, Listener)
        assert second._shared.parts == [b"", b"", b""]
        assert read(first) == b""
        engine.let(9)
        assert read(third) == b"onetwothree"
        assert engine.opened == 2
    assert stored(cache) is None


def test_a_disk_that_fails_harms_none(
    cache: SpeechCache, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache._store, "_put", full)
    engine.let(9)
    with ended(cache, engine):
        assert read(cache.source("a", engine.maker())) == b"onetwothree"
    assert cache.counts.stored_bytes == 0


def test_many_come_and_leave_and_none_waits_for_ever(
    cache: SpeechCache, engine: Engine, pool: ThreadPoolExecutor
) -> None:
    engine.let(100_000)

    def ask(number: int) -> bytes | None:
        source = cache.source(f"{number % 3}", engine.maker())
        try:
            heard = next(source)
            if number % 4 == 0:
                source.cancel()
            return heard + read(source)
        except ClientLeft:
            return None
        finally:
            source.close()

    with ended(cache, engine):
        answers = list(pool.map(ask, range(400), timeout=SECONDS))
    assert {answer for number, answer in enumerate(answers) if number % 4} == {b"onetwothree"}
