"""The VAE's stream on a GPU, and where its graphs are captured; ``torch.cuda`` is replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from voxcpm_openai.runtime.device.capture import CudaCapture
from voxcpm_openai.runtime.device.side_stream import SideStream

GPU = torch.device("cuda", 0)


class FakeStream:
    """A stream that logs."""

    def __init__(self, log: list[str], number: int) -> None:
        self.cuda_stream, self._log = number, log

    def wait_stream(self, other: FakeStream) -> None:
        self._log.append(f"{self.cuda_stream} waits for {other.cuda_stream}")

    def wait_event(self, event: FakeEvent) -> None:
        self._log.append(f"{self.cuda_stream} waits for the event of {event.stream}")


class FakeEvent:
    """An event."""

    stream: int | None = None

    def record(self, stream: FakeStream) -> None:
        self.stream = stream.cuda_stream


@pytest.fixture(name="log")
def _log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the streams; 0 is that of the steps.  Return what they wait for."""
    log: list[str] = []
    made = [FakeStream(log, 0)]
    current = [made[0]]

    def new(_: torch.device) -> FakeStream:
        made.append(FakeStream(log, len(made)))
        return made[-1]

    @contextmanager
    def enter(stream: FakeStream) -> Iterator[None]:
        current.append(stream)
        yield
        current.pop()

    @contextmanager
    def graph(_: object, *, pool: object, stream: FakeStream, **__: object) -> Iterator[None]:
        log.append(f"captured on {stream.cuda_stream} in pool {pool}")
        yield

    pools = iter("abcdef")
    fakes: dict[str, Callable[..., Any]] = {
        "Stream": new,
        "Event": FakeEvent,
        "stream": enter,
        "current_stream": lambda _: current[-1],
        "graph": graph,
        "graph_pool_handle": lambda: next(pools),
        "CUDAGraph": lambda: type("FakeGraph", (), {"replay": None}),
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    return log


def test_the_streams_wait_for_each_other(log: list[str]) -> None:
    side = SideStream(GPU)
    side.hold_steps()  # nothing is marked yet
    with side.after_steps():
        assert torch.cuda.current_stream(GPU).cuda_stream == 1
        side.mark()
    assert torch.cuda.current_stream(GPU).cuda_stream == 0
    side.hold_steps()
    assert log == ["1 waits for 0", "0 waits for the event of 1"]


def test_graphs_that_run_at_the_same_time_share_no_memory(log: list[str]) -> None:
    """Neither a pool, nor cuBLAS's workspace, which belongs to the stream of the capture."""
    capture, side = CudaCapture(GPU), SideStream(GPU)
    for _ in range(2):
        capture(lambda: None)
        with side.after_steps():
            capture(lambda: None)
    captured = [line for line in log if line.startswith("captured")]
    assert captured == ["captured on 2 in pool a", "captured on 3 in pool b"] * 2


def test_a_cpu_has_no_streams() -> None:
    side = SideStream(torch.device("cpu"))
    with side.after_steps():
        side.mark()
    side.hold_steps()
