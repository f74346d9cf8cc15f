"""``check_engine`` and engines that continue: good ones pass, and each kind of fault is caught."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.test_conformance import Good, Stream, changed
from voxcpm_openai import Chunk, Engine, Utterance
from voxcpm_openai.testing.conformance import check_engine

CONTINUES = replace(Good.capabilities, continues=True)


def with_stream(**members: Any) -> type[Engine]:
    """Return an engine that continues; ``members`` of its stream."""
    stream = type("BrokenStream", (Stream,), {"continuation": 5, **members})
    return changed(capabilities=CONTINUES, synthesize=lambda *asked: stream(*asked))


def counting_on(stream: Any) -> Chunk:
    """A ``next`` that counts the segments of earlier streams."""
    chunk = Stream.__next__(stream)
    return replace(chunk, segment=chunk.segment + (stream.utterance.continuation or 0))


def refused(self: Any, utterance: Utterance) -> Any:
    if utterance.continuation is not None:
        raise KeyError(utterance.continuation)
    return type("BrokenStream", (Stream,), {"continuation": 5})(self, utterance)


def test_an_engine_that_continues_gets_each_continuation_twice() -> None:
    given: list[Any] = []

    def synthesize(self: Good, utterance: Utterance) -> Any:
        given.append(utterance.continuation)
        stream: Any = Good.synthesize(self, utterance)
        stream.continuation = len(given)
        return stream

    check_engine(changed(capabilities=CONTINUES, synthesize=synthesize)())
    numbers = [number for number in given if number is not None]
    assert len(numbers) == 4
    assert numbers[0] == numbers[1] < numbers[2] == numbers[3]


def test_an_engine_that_does_not_continue_is_given_nothing() -> None:
    given: list[Any] = []

    def synthesize(self: Good, utterance: Utterance) -> Any:
        given.append(utterance.continuation)
        return Good.synthesize(self, utterance)

    check_engine(changed(synthesize=synthesize)())
    assert set(given) == {None}


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        (
            changed(capabilities=CONTINUES),
            "which is not a ContinuingStream: it has no continuation",
        ),
        (
            with_stream(continuation=property(lambda _: 1 / 0)),
            "after the last chunk, continuation: ZeroDivisionError",
        ),
        (
            with_stream(continuation=1, __next__=counting_on),
            "the utterance has the segments 0 to 1; chunks name [1, 2]",
        ),
        (
            changed(capabilities=CONTINUES, synthesize=refused),
            "synthesize raised KeyError(5) at 'Hello there.' with the voice 'conformance' and the "
            "continuation 5",
        ),
    ],
)
def test_a_broken_engine_is_caught(engine: type[Engine], message: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_engine(engine())
    assert message in str(caught.value)
