"""Each Triton kernel against PyTorch's operators, at the sizes of the models.

Both are captured as CUDA graphs of many calls, so that Python's time does not count.  In such a
graph a kernel finds its inputs in the GPU's cache, which in a step it may not.  On a CPU Triton's
interpreter runs them where ``TRITON_INTERPRET`` is set; without it PyTorch's run in their place,
and the column ``ran`` says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from statistics import median

import torch
from torch import Tensor

from benchmarks.gpu.bench import Bench, Task, missing
from benchmarks.lib.models import CFG, Mark, synchronize
from benchmarks.lib.report import Row
from voxcpm_openai.runtime.model.config import TransformerConfig
from voxcpm_openai.runtime.model.depthwise import ChannelSnake, DepthwiseConv
from voxcpm_openai.runtime.model.ops import Draw, Ops, TorchOps
from voxcpm_openai.runtime.model.state import TokenBatch
from voxcpm_openai.runtime.model.voxcpm import VoxCPM

POSITION = 400  # the position of the rows; the middle of a slot that is too short for it
TOLERANCES = {"float32": 2e-5, "bfloat16": 2e-2}
"""The largest error, against float32 with the same inputs, relative to the largest value."""

Call = Callable[[Ops], Tensor]  # calls one operator, with the same inputs each time


def tasks(bench: Bench) -> Iterator[Task]:
    for model in bench.scale.models:
        for rows in bench.scale.first:
            for kernel in KERNELS:
                found = partial(measure, bench, kernel, model, rows)
                yield Task(f"{kernel}, {model}, {rows} rows", found)


@torch.inference_mode()
def measure(bench: Bench, kernel: str, model: str, rows: int) -> Row:
    loaded, dtype = bench.model(model), getattr(torch, bench.dtype)
    inputs = Inputs(bench.device, loaded, rows, bench.length(loaded), dtype)
    triton, ran = _triton(bench)
    both = (TorchOps(), triton)
    # Made anew for each, since some operators write to them.
    exact = KERNELS[kernel](replace(inputs, exact=True))(both[0]).double()
    largest = exact.abs().max()
    torch_error, error = (
        float((KERNELS[kernel](inputs)(ops).double() - exact).abs().max() / largest) for ops in both
    )
    runs = [_repeated(bench, partial(KERNELS[kernel](inputs), ops)) for ops in both]
    spent = [[run() for run in runs] for _ in range(bench.scale.repeats)]  # microseconds
    torch_us, triton_us = (median(times) for times in zip(*spent, strict=True))
    row = {**bench.row(model), "kernel": kernel, "rows": rows, "ran": ran}
    row |= {"torch_us": torch_us, "triton_us": triton_us, "speedup": torch_us / triton_us}
    within = error <= TOLERANCES[bench.dtype]  # nan is not
    return {**row, "error": error, "torch_error": torch_error, "within_tolerance": within}


@dataclass(frozen=True)
class Inputs:
    """Random inputs of the operators, with the sizes of a model.

    Values are rounded to ``rounded``; with ``exact`` they are then given in float32.
    """

    device: torch.device
    model: VoxCPM
    rows: int
    length: int  # of a slot
    rounded: torch.dtype
    exact: bool = False

    def some(self, *shape: int, seed: int = 1) -> Tensor:
        noise = self.plain(*shape, seed=seed).to(self.rounded)  # shape
        return noise.float() if self.exact else noise

    def plain(self, *shape: int, seed: int = 1) -> Tensor:
        """Return values that are float32 in any model."""
        generator = torch.Generator(self.device).manual_seed(seed)
        return torch.randn(shape, generator=generator, device=self.device)

    @property
    def tokens(self) -> int:
        return (
            self.model.flow.prefix_tokens + 2 * self.model.config.patch_size
        )  # of a row of LocDiT


def _norm(inputs: Inputs, config: TransformerConfig, tokens: int = 1) -> Call:
    x, delta = inputs.some(2, inputs.rows, tokens, config.hidden_size)
    weight = inputs.some(config.hidden_size, seed=3)
    return lambda ops: ops.add_norm(x, delta, weight, config.rms_norm_eps)[1]


def _swiglu(inputs: Inputs, config: TransformerConfig, tokens: int = 1) -> Call:
    gate_up = inputs.some(inputs.rows, tokens, 2 * config.intermediate_size)
    return lambda ops: ops.swiglu(gate_up)


def _attention(inputs: Inputs) -> Call:
    dit = inputs.model.flow.transformer
    qkv = inputs.some(2 * inputs.rows, inputs.tokens, dit.heads.qkv_size)
    return lambda ops: ops.attention(qkv, dit.heads, dit.rope, slice(None))


def _decode_attention(inputs: Inputs, *, spread: bool) -> Call:
    """Rows at successive positions of one slot, or, with ``spread``, each in a slot of its own."""
    lm, heads = inputs.model.base, inputs.model.base.heads
    qkv = inputs.some(inputs.rows, heads.qkv_size)
    slot = (heads.num_kv_heads, inputs.length, heads.head_dim)
    k, v = inputs.some(2, inputs.rows if spread else 1, *slot, seed=2)  # [S, KV, N, D] each
    position = min(POSITION, inputs.length // 2)
    index = torch.arange(inputs.rows, device=inputs.device)
    positions = position + (torch.zeros_like(index) if spread else index)
    slots = index if spread else torch.zeros_like(index)
    kv_len = position + 1 if spread else position + inputs.rows
    keys = torch.arange(kv_len, device=inputs.device)
    mask = (keys <= positions[:, None])[:, None, None]  # [B, 1, 1, kv_len]
    batch = TokenBatch(slots, slots, slots, positions, slots, positions + 1, kv_len, mask)
    return lambda ops: ops.decode_attention(qkv, heads, lm.rope, k, v, batch)


def _dit_input(inputs: Inputs) -> Call:
    flow, size = inputs.model.flow, inputs.model.config.dit.hidden_size
    separate = flow.separate_time
    condition = inputs.some(inputs.rows, flow.prefix_tokens - separate, size)
    time = inputs.some(inputs.rows, size)
    past, frames = inputs.some(2, inputs.rows, flow.patch_size, size, seed=2)
    return lambda ops: ops.build_dit_input(condition, time, past, frames, separate_time=separate)


def _cfg_step(inputs: Inputs) -> Call:
    shape = inputs.model.latent_shape
    x, velocity = inputs.plain(inputs.rows, *shape), inputs.some(2 * inputs.rows, *shape, seed=2)
    cfg, step_sizes = torch.full((2, inputs.rows), CFG, device=inputs.device) / 8

    def call(ops: Ops) -> Tensor:
        ops.cfg_euler_step(x, velocity, cfg, step_sizes)
        return x

    return call


def _noise(inputs: Inputs) -> Call:
    frames, channels = inputs.model.latent_shape
    seeds = torch.arange(inputs.rows, device=inputs.device) * 7_777_777
    draws: dict[type, Draw] = {}  # PyTorch's hold tensors, which cannot be made in a graph

    def call(ops: Ops) -> Tensor:
        draw = draws.setdefault(type(ops), ops.noise(inputs.device))
        return draw(seeds, seeds % 11, channels, frames)

    return call


def _middle(inputs: Inputs) -> tuple[int, int]:
    """Return the channels and the length of a middle block of the VAE's decoder."""
    vae = inputs.model.config.vae
    middle = len(vae.decoder_strides) // 2
    length = inputs.model.config.patch_size * prod(vae.decoder_strides[:middle])
    return vae.decoder_dim >> middle, length


def _snake(inputs: Inputs) -> Call:
    channels, length = _middle(inputs)
    x, alpha = inputs.plain(inputs.rows, channels, length), inputs.plain(1, channels, 1, seed=2)
    alpha = 0.1 + alpha.abs()  # [1, C, 1]
    inverse = alpha.reciprocal()
    return lambda ops: ops.snake(x, alpha, inverse)


def _snake_conv(inputs: Inputs) -> Call:
    channels, length = _middle(inputs)
    x, dilation = inputs.some(inputs.rows, length, channels), 9
    ones = torch.ones(channels, device=inputs.device)
    snake = ChannelSnake(ones, ones, torch.zeros_like(ones))
    taps = inputs.plain(7, channels, seed=2) / 3
    conv = DepthwiseConv(taps, ones, dilation, snake, snake)
    past = inputs.plain(inputs.rows, channels, 6 * dilation, seed=3)
    slots = torch.arange(inputs.rows, device=inputs.device)
    return lambda ops: ops.snake_conv(x, conv, past, slots, x.dtype)


KERNELS: dict[str, Callable[[Inputs], Call]] = {
    "norm, LM": lambda inputs: _norm(inputs, inputs.model.config.base),
    "swiglu, LM": lambda inputs: _swiglu(inputs, inputs.model.config.base),
    "decode attention": partial(_decode_attention, spread=True),
    "decode attention, one slot": partial(_decode_attention, spread=False),
    "norm, LocDiT": lambda inputs: _norm(inputs, inputs.model.config.dit, 2 * inputs.tokens),
    "swiglu, LocDiT": lambda inputs: _swiglu(inputs, inputs.model.config.dit, 2 * inputs.tokens),
    "attention": _attention,
    "LocDiT input": _dit_input,
    "CFG step": _cfg_step,
    "noise": _noise,
    "snake": _snake,
    "snake conv": _snake_conv,
}


def _triton(bench: Bench) -> tuple[Ops, str]:
    if not bench.on_gpu and (missing(["triton"]) or not os.environ.get("TRITON_INTERPRET")):
        return TorchOps(), "torch in its place"
    from voxcpm_openai.runtime.model.kernels.triton_ops import TritonOps

    return TritonOps(), "GPU" if bench.on_gpu else "interpreter"


def _repeated(bench: Bench, call: Callable[[], Tensor]) -> Callable[[], float]:
    calls = 100 if bench.true else 1

    def every() -> None:
        for _ in range(calls):
            call()

    capture = bench.capture()
    run = every if capture is None else capture(every)

    def timed() -> float:
        run()  # to wake the device
        begun = Mark(bench.device)
        run()
        ended = Mark(bench.device)
        synchronize(bench.device)
        return begun.until(ended) * 1e3 / calls

    return timed
