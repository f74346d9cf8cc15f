"""CUDA graphs are captured as long as memory is left for them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from tests.runtime.test_cuda_graphs import Batch, Counted
from tests.support.runtime.tape import Recorder
from voxcpm_openai.runtime.model.voxcpm import VoxCPM

GIB = 2**30


def captured(batch: Batch, recorder: Recorder) -> int:
    """Speak one text as if on a GPU; return how many graphs were captured."""
    batch.graphs._graphs._device = torch.device("cuda")
    batch.join(0, Counted("the", patches=3))
    while batch.live:
        batch.step()
    return recorder.captured


@pytest.mark.parametrize(("free", "expected"), [(GIB, 0), (GIB + 1, 4)])
def test_no_graph_is_captured_where_a_gib_or_less_is_free(
    model: Callable[[str], VoxCPM], monkeypatch: pytest.MonkeyPatch, free: int, expected: int
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 80 * GIB))
    recorder = Recorder()
    assert captured(Batch(model("voxcpm15"), recorder), recorder) == expected


def test_what_was_captured_is_replayed_when_memory_runs_out(
    model: Callable[[str], VoxCPM], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [GIB + 1, GIB + 1]  # for the first two
    monkeypatch.setattr(
        torch.cuda, "mem_get_info", lambda _: (left.pop() if left else GIB, 80 * GIB)
    )
    recorder = Recorder()
    assert captured(Batch(model("voxcpm15"), recorder), recorder) == 2
    assert recorder.replayed > 2
