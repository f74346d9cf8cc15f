"""The upstream engine's queue, on a package that obeys a gate."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.batched import TIMEOUT, hear
from tests.hearing.stock import load_plugin
from tests.runtime.test_runner import CLIP, NOBODY, STEPS
from voxcpm_openai import (
    EngineFailed,
    InvalidRequest,
    Overloaded,
    Segment,
    Unavailable,
    Usage,
    Utterance,
)

plugin: Any = load_plugin("upstream_engine")

HELLO = Utterance((Segment("Hello there."),), CLIP, STEPS, seed=3)


def test_a_package_that_does_not_load_stops_the_start() -> None:
    def load() -> Any:
        raise OSError("no such weights")

    with pytest.raises(OSError, match="no such weights"):
        plugin.UpstreamEngine(load)


class Package:
    """A model of the package: three patches a text, each behind a gate while it is ``shut``.

    ``boom`` in a text fails at the second patch, ``lost`` as CUDA does.
    """

    sample_rate = 8_000
    device = "cpu"
    config = SimpleNamespace(dtype="float32")

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.closed: list[str] = []  # whose generator has come to its end
        self.at_gate = threading.Semaphore(0)
        self.permits = threading.Semaphore(0)
        self.shut = False

    def generate_with_prompt_cache_streaming(
        self, text: str, prompt: Any, *, inference_timesteps: int, cfg_value: float
    ) -> Iterator[Any]:
        self.calls.append((text, prompt, inference_timesteps, cfg_value))
        try:
            for patch in range(3):
                if self.shut:
                    self.at_gate.release()
                    assert self.permits.acquire(timeout=TIMEOUT)
                if patch and "boom" in text:
                    raise ValueError("boom")
                if patch and "lost" in text:
                    raise RuntimeError("CUDA error: the device is lost")
                latents = [torch.full((1, 1, 2, 4), float(patch))]
                yield torch.full((1, 80), 0.1 * patch), torch.zeros(5), latents
        finally:
            self.closed.append(text)

    def build_prompt_cache(self, *given: Any, **named: Any) -> Any:
        return ("clip", *given, *named.items())

    def merge_prompt_cache(self, before: Any, text: str, latents: torch.Tensor) -> Any:
        assert before is None
        return ("said", text, latents[:, 0, 0].tolist())

    def wait_at_gate(self) -> None:
        assert self.at_gate.acquire(timeout=TIMEOUT)

    def open(self) -> None:
        self.shut = False
        self.permits.release(100)


class VoxCPM2Model(Package):
    """The engine knows the second model by its name."""


@pytest.fixture
def package() -> Package:
    return Package()


@pytest.fixture
def queue(package: Package) -> Iterator[Any]:
    before = threads()
    engine = plugin.UpstreamEngine(lambda: package)
    assert threads() == before + 1
    yield engine
    package.open()
    engine.stop()
    assert threads() == before


def threads() -> int:
    return [thread.name for thread in threading.enumerate()].count("upstream-engine")


def say(*texts: str, **changes: Any) -> Utterance:
    return replace(HELLO, segments=tuple(Segment(text) for text in texts), **changes)


def test_the_first_patch_is_heard_while_the_rest_is_made(queue: Any, package: Package) -> None:
    package.shut = True
    stream = queue.speak(say("one"))
    package.permits.release()
    assert len(next(stream).samples) == 80
    package.wait_at_gate()
    package.wait_at_gate()
    assert queue.status()["running"] == 1
    package.open()
    assert len(hear(stream)) == 2 * 80
    assert stream.usage == Usage(5, 3)


def test_options_and_clips_reach_the_package(queue: Any, package: Package) -> None:
    hear(queue.speak(say("one", "two", options={"cfg_value": 1.5, "inference_steps": 7})))
    hear(queue.speak(say("三", voice=replace(CLIP, transcript="好。"), options={})))
    clip = ("clip", "The words of the clip. ", str(CLIP.audio))
    assert package.calls == [
        ("one", clip, 7, 1.5),
        ("two", clip, 7, 1.5),
        ("三", ("clip", "好。", str(CLIP.audio)), 10, 2.0),
    ]
    with pytest.raises(InvalidRequest, match="cfg_value"):
        queue.speak(say("one", options={"cfg_value": "much"}))


def test_without_a_clip_the_first_segment_is_the_prompt_of_the_rest(
    queue: Any, package: Package
) -> None:
    hear(queue.speak(say("one.", "two.", "three.", voice=NOBODY, instructions="Whisper.")))
    prompt = ("said", "one. ", [0.0, 1.0, 2.0])
    assert [call[:2] for call in package.calls] == [
        ("one.", None),
        ("two.", prompt),
        ("three.", prompt),
    ]


def test_voxcpm2_is_told_of_the_voice_and_how_to_speak() -> None:
    package = VoxCPM2Model()
    engine = plugin.UpstreamEngine(lambda: package)
    hear(engine.speak(say("one.", "two.", voice=NOBODY, instructions="Whisper.")))
    hear(engine.speak(say("three.", instructions="Whisper.")))
    engine.stop()
    assert [call[:2] for call in package.calls] == [
        ("(A low voice, Whisper.)one.", None),
        ("two.", ("said", "(A low voice, Whisper.)one. ", [0.0, 1.0, 2.0])),
        ("(Whisper.)three.", ("clip", ("reference_wav_path", str(CLIP.audio)))),
    ]


def test_who_comes_first_is_heard_first_and_whole(queue: Any, package: Package) -> None:
    package.shut = True
    streams = [queue.speak(say(f"{n} a", f"{n} b")) for n in range(3)]
    package.wait_at_gate()
    assert (queue.status()["running"], queue.status()["waiting"]) == (1, 2)
    package.open()
    for stream in reversed(streams):
        hear(stream)
    assert [call[0] for call in package.calls] == ["0 a", "0 b", "1 a", "1 b", "2 a", "2 b"]
    queue.stop()
    assert queue.status()["done"] == 3


def test_closing_wakes_a_listener_and_ends_the_work_at_its_patch(
    queue: Any, package: Package, pool: ThreadPoolExecutor
) -> None:
    package.shut = True
    leaves, waits, stays = (queue.speak(say(text, "more")) for text in ("one", "two", "three"))
    heard = [pool.submit(hear, stream) for stream in (leaves, waits)]
    package.wait_at_gate()
    waits.close()
    assert queue.status()["waiting"] == 1
    leaves.close()
    leaves.close()
    assert [len(future.result(TIMEOUT)) for future in heard] == [0, 0]
    package.open()
    assert len(hear(stays)) == 6 * 80
    assert [call[0] for call in package.calls] == ["one", "three", "more"]
    assert package.closed[0] == "one"
    with pytest.raises(StopIteration):
        next(leaves)
    queue.stop()
    assert (queue.status()["cancelled"], queue.status()["done"]) == (2, 1)


def test_one_too_many_is_told_to_come_back(
    queue: Any, package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin, "MAX_WAITING", 2)
    package.shut = True
    queue.speak(say("one"))
    package.wait_at_gate()
    second, third = (queue.speak(say(text)) for text in ("two", "three"))
    with pytest.raises(Overloaded) as caught:
        queue.speak(say("four"))
    assert int(caught.value.headers["Retry-After"]) >= 1
    second.close()
    last = queue.speak(say("five"))
    package.open()
    assert len(hear(third)) == len(hear(last)) == 3 * 80


def test_a_failing_generation_fails_its_request_alone(queue: Any, package: Package) -> None:
    bad, good = queue.speak(say("boom", "more")), queue.speak(say("fine"))
    assert len(next(bad).samples) == 80
    for _ in range(2):
        with pytest.raises(Unavailable, match="log"):
            next(bad)
    assert len(hear(good)) == 3 * 80
    assert "more" not in [call[0] for call in package.calls]
    queue.stop()
    assert (queue.status()["failed"], queue.status()["done"]) == (1, 1)


def test_a_lost_device_ends_all_streams_and_turns_the_engine_red(
    queue: Any, package: Package
) -> None:
    package.shut = True
    streams = [queue.speak(say(text)) for text in ("lost", "waits")]
    package.open()
    for stream in streams:
        with pytest.raises(EngineFailed):
            hear(stream)
    assert queue.status()["state"] == "failed"
    with pytest.raises(EngineFailed):
        queue.speak(say("one"))


def test_stop_ends_streams_that_speak_and_wait(
    queue: Any, package: Package, pool: ThreadPoolExecutor
) -> None:
    package.shut = True
    listeners = [pool.submit(hear, queue.speak(say("one", "two"))) for _ in range(2)]
    package.wait_at_gate()
    stopping = pool.submit(queue.stop)
    for listener in listeners:  # at once, and not when the patch is made
        with pytest.raises(Unavailable, match="stopped"):
            listener.result(TIMEOUT)
    package.open()
    stopping.result(TIMEOUT)
    assert len(package.calls) == 1
    with pytest.raises(Unavailable, match="stopped"):
        queue.speak(say("three"))
