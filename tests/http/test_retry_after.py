"""The Retry-After header when all streams of a worker are in use."""

from __future__ import annotations

import pytest

from tests.support.clock import Clock
from voxcpm_openai import cores
from voxcpm_openai.app import create_app
from voxcpm_openai.errors import Overloaded
from voxcpm_openai.limits import StreamLimiter
from voxcpm_openai.settings import Settings


def retry_after(streams: StreamLimiter) -> int:
    """Return the Retry-After of a refused stream in seconds."""
    with pytest.raises(Overloaded) as caught:
        streams.enter()
    return int(caught.value.headers["Retry-After"])


def test_the_wait_is_the_mean_duration_divided_by_the_number_of_streams(clock: Clock) -> None:
    streams = StreamLimiter(4)
    permits = [streams.enter() for _ in range(4)]
    clock.now += 201
    with permits.pop():
        pass
    streams.enter()
    # The mean was 1 s; a fifth of the way to 201 s is 41 s, and one of four ends every 10.25 s.
    assert retry_after(streams) == 11


def test_the_newest_stream_has_a_fifth_of_the_weight(clock: Clock) -> None:
    streams = StreamLimiter(1)
    for seconds, wait in ((11, 3), (103, 23), (3, 19)):  # the means are 3, 23 and 19 s
        with streams.enter():
            clock.now += seconds
        with streams.enter():
            assert retry_after(streams) == wait
            clock.now += wait  # a stream of the mean duration does not change the mean


def test_retry_after_is_at_least_one_second() -> None:
    streams = StreamLimiter(8)
    for _ in range(8):
        streams.enter()
    assert retry_after(streams) == 1


def test_no_more_streams_than_the_limit_are_admitted() -> None:
    streams = StreamLimiter(2)
    first, _ = streams.enter(), streams.enter()
    assert streams.running == 2
    retry_after(streams)
    assert streams.running == 2
    with first:
        pass
    assert streams.running == 1
    streams.enter()
    retry_after(streams)


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/ready"])
def test_retry_after_is_five_seconds_while_the_engine_loads(
    tone_settings: Settings, path: str
) -> None:
    client = create_app(tone_settings).test_client()  # its engine is never started
    body = {"model": "tone", "input": "Hello.", "voice": "alloy"}
    reply = client.get(path) if path == "/ready" else client.post(path, json=body)
    assert (reply.status_code, reply.headers["Retry-After"]) == (503, "5")


@pytest.mark.parametrize(("count", "places"), [(8, 9), (1, 2)])
def test_the_gate_has_one_place_per_core_and_one_more(
    monkeypatch: pytest.MonkeyPatch, count: int, places: int
) -> None:
    monkeypatch.setattr(cores, "available", lambda: count)
    assert StreamLimiter(64).gate.places == places
