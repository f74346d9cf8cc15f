"""Which stages are captured, when, and what a capture refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional as F  # noqa: N812
from torch.utils._python_dispatch import TorchDispatchMode

from tests.support.runtime.graph_batch import Batch, Counted, assert_same
from tests.support.runtime.tape import EmptyAttention, HostError, Recorder
from voxcpm_openai.runtime.device import cuda_graphs
from voxcpm_openai.runtime.device.batch_inputs import PrefillQueue
from voxcpm_openai.runtime.device.capture import enforce_eager
from voxcpm_openai.runtime.device.stages import AcousticStage, LMStage, VAEStage
from voxcpm_openai.runtime.model.voxcpm import VoxCPM
from voxcpm_openai.testing import tiny_checkpoints as tiny
from voxcpm_openai.testing.streams import alone, clip

Kinds = Callable[[str], VoxCPM]


class MutationCounter(TorchDispatchMode):
    """Counts the operators that change a tensor: on a GPU each is a kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += function._schema.is_mutable
        return function(*args, **(kwargs or {}))


@pytest.fixture(autouse=True)
def _short_kv_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tests' short streams cross several lengths."""
    monkeypatch.setattr(cuda_graphs, "KV_LENGTHS", (16, 32, 64))


def test_a_prefill_queue_pops_tokens_in_order() -> None:
    patches = torch.arange(6.0).view(3, 2)  # [T, W]
    queue = PrefillQueue([[1, 2, 3], patches, [], [9]])
    assert len(queue) == 7
    assert queue.pop(2) == [[1, 2]]
    text, audio = queue.pop(3)
    assert text == [3]
    assert torch.equal(torch.as_tensor(audio), patches[:2])
    assert len(queue) == 2
    audio, text = queue.pop(9)
    assert torch.equal(torch.as_tensor(audio), patches[2:])
    assert text == [9]
    assert (len(queue), queue.pop(1)) == (0, [])


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_beginning_a_stream_takes_few_operators(model: Kinds, kind: str) -> None:
    """They run between two steps and delay the other rows."""
    ours = model(kind)
    prompt = ours.prompt(ours.encode(clip(0.6, ours.encoder_rate)))
    batch, stream = Batch(ours, enforce_eager), Counted("the hello")
    with MutationCounter() as mutations:
        parts = ours.begin(batch.slots, 0, ours.tokens(stream.text), prompt)
        batch.graphs.begin(0, parts, seed=1, cfg=2.0, steps=10)
    assert 6 <= mutations.count <= 12


def test_each_stage_is_captured_once_and_then_replayed(model: Kinds) -> None:
    ours, recorder = model("voxcpm15"), Recorder()
    batch = Batch(ours, recorder)
    batch.join(0, Counted("the", patches=6))
    batch.step()  # prefill; no patch to encode yet
    assert (recorder.captured, recorder.replayed) == (3, 3)
    batch.step()
    assert (recorder.captured, recorder.replayed) == (4, 6)
    batch.join(1, Counted("the", patches=4, seed=9))
    batch.step()  # a prefill beside a row; two rows
    assert (recorder.captured, recorder.replayed) == (7, 9)
    batch.run()
    # Two rows are encoded, and later one.
    assert (recorder.captured, recorder.replayed) == (8, 18)


def test_warmup_captures_small_batches_first_and_stops_in_time(model: Kinds) -> None:
    batch = Batch(model("voxcpm15"), enforce_eager, slots=5, length=40)
    assert batch.graphs.warmup(seconds=-1) == 0
    assert batch.graphs.warmup(seconds=600) == 3 + 4 * (4 + 2 * 3)
    captured = list(batch.graphs._graphs._captured)  # of 1, 2, 4, 5 rows; of 16, 32, 40 positions
    assert captured[:7] == [
        LMStage(0, 64, 16),
        LMStage(0, 128, 16),
        LMStage(0, 256, 16),
        AcousticStage(1, 9),
        VAEStage(1),
        LMStage(1, 0, 16),
        LMStage(1, 64, 16),
    ]
    assert captured[-3:] == [LMStage(5, 64, 40), AcousticStage(5, 6), AcousticStage(5, 4)]


@pytest.mark.parametrize(("gathers", "rows"), [(True, 128), (False, 256)])
def test_a_text_of_70_tokens_is_padded_to_128_rows_where_keys_are_gathered(
    model: Kinds, monkeypatch: pytest.MonkeyPatch, gathers: bool, rows: int
) -> None:
    ours = model("voxcpm15")
    monkeypatch.setattr(ours.ops, "gathers_kv", gathers)
    batch = Batch(ours, enforce_eager)
    ran: list[Any] = []
    monkeypatch.setattr(batch.graphs._stages, "run", ran.append)
    batch.join(0, Counted("x" * 70))
    batch.graphs.launch([0])
    assert 64 < batch.prompt_tokens[0] <= 128
    assert ran[0].tokens == rows


def test_sizes_end_with_the_largest_that_is_needed() -> None:
    sizes = cuda_graphs.BATCH_SIZES
    assert cuda_graphs._sizes_up_to(sizes, 1) == (1,)
    assert cuda_graphs._sizes_up_to(sizes, 20) == (1, 2, 4, 8, 16, 20)
    assert cuda_graphs._sizes_up_to(sizes, 160)[-4:] == (112, 120, 128, 160)
    assert cuda_graphs._smallest_at_least((1, 2, 4), 3) == 4
    assert cuda_graphs._smallest_at_least((1, 2, 4), 4) == 4


def test_without_free_memory_stages_run_eagerly(
    model: Kinds, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder()
    batch = Batch(model("voxcpm15"), recorder)
    monkeypatch.setattr(batch.graphs._graphs, "_has_room", lambda: False)
    stream = Counted("the", patches=3)
    batch.join(0, stream)
    batch.run()
    assert recorder.captured == 0
    assert_same(batch.output(stream), alone(model("voxcpm15"), stream))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.sum().item(),
        lambda x: x.tolist(),
        lambda x: x[x > 0],
        lambda x: bool(x.any()),
        lambda x: x + torch.tensor([1.0]),
        lambda x: x.to("cpu"),
        lambda x: x.cpu(),
        lambda x: x + torch.arange(3),
    ],
)
def test_the_recorder_refuses_calls_that_need_the_host(
    call: Callable[[torch.Tensor], object],
) -> None:
    def stage() -> None:
        call(torch.ones(3))

    with pytest.raises(HostError):
        Recorder()(stage)


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_a_prefill_without_other_rows_runs_no_local_encoder(model: Kinds, kind: str) -> None:
    """Up to torch 2.9, flash attention refuses a batch of 0."""
    ours, recorder = model(kind), Recorder()
    batch = Batch(ours, recorder)
    for tokens in (64, 256):
        batch.graphs._graphs.capture(LMStage(0, tokens, 120))
    assert recorder.captured == 2
    assert ours.local_encoder(torch.zeros(0, *ours.latent_shape)).shape == (
        0,
        ours.config.base.hidden_size,
    )


def test_the_recorder_refuses_attention_over_no_rows() -> None:
    empty = torch.zeros(0, 2, 3, 4)  # [B, H, T, D]

    with pytest.raises(EmptyAttention):
        Recorder()(lambda: F.scaled_dot_product_attention(empty, empty, empty).sum().zero_())
