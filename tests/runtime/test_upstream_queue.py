"""The upstream engine's queue, with a fake package that waits at a gate."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.support.runtime.utterances import CLONED, DESIGNED, OPTIONS, collect
from tests.support.stock import load_plugin
from voxcpm_openai import (
    EngineFailed,
    InvalidRequest,
    Overloaded,
    Segment,
    Unavailable,
    Usage,
    Utterance,
)
from voxcpm_openai.testing.mock_runner import TIMEOUT

plugin: Any = load_plugin("upstream_engine")

HELLO = Utterance((Segment("Hello there."),), CLONED, OPTIONS, seed=3)


def test_a_failing_load_is_raised_at_the_start() -> None:
    def load() -> Any:
        raise OSError("no such weights")

    with pytest.raises(OSError, match="no such weights"):
        plugin.UpstreamEngine(load)


class FakePackage:
    """A model of the package: three patches per text, each waiting at a gate if ``closed``.

    ``boom`` in a text raises at the second patch, ``lost`` raises a CUDA error.
    """

    sample_rate = 8_000
    device = "cpu"
    config = SimpleNamespace(dtype="float32")

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.ended: list[str] = []  # texts whose generator has ended
        self.at_gate = threading.Semaphore(0)
        self.permits = threading.Semaphore(0)
        self.closed = False

    def generate_with_prompt_cache_streaming(
        self, text: str, prompt: Any, *, inference_timesteps: int, cfg_value: float
    ) -> Iterator[Any]:
        self.calls.append((text, prompt, inference_timesteps, cfg_value))
        try:
            for patch in range(3):
                if self.closed:
                    self.at_gate.release()
                    assert self.permits.acquire(timeout=TIMEOUT)
                if patch and "boom" in text:
                    raise ValueError("boom")
                if patch and "lost" in text:
                    raise RuntimeError("CUDA error: the device is lost")
                latents = [torch.full((1, 1, 2, 4), float(patch))]
                yield torch.full((1, 80), 0.1 * patch), torch.zeros(5), latents
        finally:
            self.ended.append(text)

    def build_prompt_cache(self, *arguments: Any, **options: Any) -> Any:
        return ("clip", *arguments, *options.items())

    def merge_prompt_cache(self, cache: Any, text: str, latents: torch.Tensor) -> Any:
        assert cache is None
        return ("generated", text, latents[:, 0, 0].tolist())

    def wait_at_gate(self) -> None:
        assert self.at_gate.acquire(timeout=TIMEOUT)

    def open(self) -> None:
        self.closed = False
        self.permits.release(100)


class VoxCPM2Model(FakePackage):
    """The engine recognizes the second model by its class name."""


@pytest.fixture
def package() -> FakePackage:
    return FakePackage()


@pytest.fixture
def queue(package: FakePackage) -> Iterator[Any]:
    before = count_threads()
    engine = plugin.UpstreamEngine(lambda: package)
    assert count_threads() == before + 1
    yield engine
    package.open()
    engine.stop()
    assert count_threads() == before


def count_threads() -> int:
    return [thread.name for thread in threading.enumerate()].count("upstream-engine")


def utterance(*texts: str, **changes: Any) -> Utterance:
    return replace(HELLO, segments=tuple(Segment(text) for text in texts), **changes)


def test_the_first_patch_is_delivered_while_the_rest_is_generated(
    queue: Any, package: FakePackage
) -> None:
    package.closed = True
    stream = queue.synthesize(utterance("one"))
    package.permits.release()
    assert len(next(stream).samples) == 80
    package.wait_at_gate()
    package.wait_at_gate()
    assert queue.status().running == 1
    package.open()
    assert len(collect(stream)) == 2 * 80
    assert stream.usage == Usage(5, 3)


def test_options_and_clips_reach_the_package(queue: Any, package: FakePackage) -> None:
    collect(
        queue.synthesize(utterance("one", "two", options={"cfg_value": 1.5, "inference_steps": 7}))
    )
    collect(queue.synthesize(utterance("三", voice=replace(CLONED, transcript="好。"), options={})))
    clip = ("clip", "The words of the clip. ", str(CLONED.audio))
    assert package.calls == [
        ("one", clip, 7, 1.5),
        ("two", clip, 7, 1.5),
        ("三", ("clip", "好。", str(CLONED.audio)), 10, 2.0),
    ]
    with pytest.raises(InvalidRequest, match="cfg_value"):
        queue.synthesize(utterance("one", options={"cfg_value": "much"}))


def test_without_a_clip_the_first_segment_is_the_prompt_of_the_others(
    queue: Any, package: FakePackage
) -> None:
    collect(
        queue.synthesize(
            utterance("one.", "two.", "three.", voice=DESIGNED, instructions="Whisper.")
        )
    )
    prompt = ("generated", "one. ", [0.0, 1.0, 2.0])
    assert [call[:2] for call in package.calls] == [
        ("one.", None),
        ("two.", prompt),
        ("three.", prompt),
    ]


def test_voxcpm2_gets_a_direction() -> None:
    package = VoxCPM2Model()
    engine = plugin.UpstreamEngine(lambda: package)
    collect(engine.synthesize(utterance("one.", "two.", voice=DESIGNED, instructions="Whisper.")))
    collect(engine.synthesize(utterance("three.", instructions="Whisper.")))
    engine.stop()
    assert [call[:2] for call in package.calls] == [
        ("(A low voice, Whisper.)one.", None),
        ("two.", ("generated", "(A low voice, Whisper.)one. ", [0.0, 1.0, 2.0])),
        ("(Whisper.)three.", ("clip", ("reference_wav_path", str(CLONED.audio)))),
    ]


def test_requests_are_served_in_order_of_arrival(queue: Any, package: FakePackage) -> None:
    package.closed = True
    streams = [queue.synthesize(utterance(f"{n} a", f"{n} b")) for n in range(3)]
    package.wait_at_gate()
    assert (queue.status().running, queue.status().waiting) == (1, 2)
    package.open()
    for stream in reversed(streams):
        collect(stream)
    assert [call[0] for call in package.calls] == ["0 a", "0 b", "1 a", "1 b", "2 a", "2 b"]
    queue.stop()
    assert queue.status().completed == 3


def test_close_wakes_the_reader_and_ends_the_generation_at_its_patch(
    queue: Any, package: FakePackage, pool: ThreadPoolExecutor
) -> None:
    package.closed = True
    running, waiting, last = (
        queue.synthesize(utterance(text, "more")) for text in ("one", "two", "three")
    )
    readers = [pool.submit(collect, stream) for stream in (running, waiting)]
    package.wait_at_gate()
    waiting.close()
    assert queue.status().waiting == 1
    running.close()
    running.close()  # again: no effect
    assert [len(future.result(TIMEOUT)) for future in readers] == [0, 0]
    package.open()
    assert len(collect(last)) == 6 * 80
    assert [call[0] for call in package.calls] == ["one", "three", "more"]
    assert package.ended[0] == "one"
    with pytest.raises(StopIteration):
        next(running)
    queue.stop()
    assert (queue.status().cancelled, queue.status().completed) == (2, 1)


def test_a_full_queue_refuses_with_retry_after(
    queue: Any, package: FakePackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin, "MAX_WAITING", 2)
    package.closed = True
    queue.synthesize(utterance("one"))
    package.wait_at_gate()
    second, third = (queue.synthesize(utterance(text)) for text in ("two", "three"))
    with pytest.raises(Overloaded) as caught:
        queue.synthesize(utterance("four"))
    assert int(caught.value.headers["Retry-After"]) >= 1
    second.close()
    last = queue.synthesize(utterance("five"))
    package.open()
    assert len(collect(third)) == len(collect(last)) == 3 * 80


def test_a_failing_generation_fails_only_its_request(queue: Any, package: FakePackage) -> None:
    bad, good = queue.synthesize(utterance("boom", "more")), queue.synthesize(utterance("fine"))
    assert len(next(bad).samples) == 80
    for _ in range(2):
        with pytest.raises(Unavailable, match="log"):
            next(bad)
    assert len(collect(good)) == 3 * 80
    assert "more" not in [call[0] for call in package.calls]
    queue.stop()
    assert (queue.status().failed, queue.status().completed) == (1, 1)


def test_a_lost_device_fails_the_engine_and_all_streams(queue: Any, package: FakePackage) -> None:
    package.closed = True
    streams = [queue.synthesize(utterance(text)) for text in ("lost", "waits")]
    package.open()
    for stream in streams:
        with pytest.raises(EngineFailed):
            collect(stream)
    assert queue.status().state == "failed"
    with pytest.raises(EngineFailed):
        queue.synthesize(utterance("one"))


def test_stop_ends_running_and_waiting_streams(
    queue: Any, package: FakePackage, pool: ThreadPoolExecutor
) -> None:
    package.closed = True
    readers = [pool.submit(collect, queue.synthesize(utterance("one", "two"))) for _ in range(2)]
    package.wait_at_gate()
    stopping = pool.submit(queue.stop)
    for reader in readers:  # at once, not at the end of the patch
        with pytest.raises(Unavailable, match="stopped"):
            reader.result(TIMEOUT)
    package.open()
    stopping.result(TIMEOUT)
    assert len(package.calls) == 1
    with pytest.raises(Unavailable, match="stopped"):
        queue.synthesize(utterance("three"))
