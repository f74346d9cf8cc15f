"""Kernels: each of Triton's against PyTorch's operators, at the sizes of the models.

Both are captured as CUDA graphs of many calls, so that Python's time does not count; right comes
before fast.  In a graph of nothing else a kernel finds its numbers in the GPU's cache, which in a
step it may not.  On a CPU Triton's interpreter runs them where ``TRITON_INTERPRET`` is set; without
it PyTorch's stand in their place, and the table says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from math import prod
from statistics import median

import torch
from torch import Tensor

from benchmarks.on_gpu.bench import CFG, Bench, Task
from voxcpm_openai.runtime.model.config import StackConfig
from voxcpm_openai.runtime.model.ops import Draw, Heads, Ops, TorchOps
from voxcpm_openai.runtime.model.state import Rows
from voxcpm_openai.runtime.model.voxcpm import VoxCPM

CALLS = {"true": 100, "tiny": 1}
"""In a graph."""
POSITION = 400
"""Where rows stand: a clip and some speech.  Where a slot is too short for it, in its middle."""
BAR = {"float32": 2e-5, "bfloat16": 2e-2}
"""The largest error, against float32 on the same numbers, relative to the largest number."""

COLUMNS = {
    "kernel": "kernel",
    "model": "model",
    "rows": "rows",
    "dtype": "dtype",
    "ran": "ran",
    "torch_us": "torch us",
    "triton_us": "triton us",
    "times": "times",
    "error": "error",
    "torch_error": "torch's",
    "within_bar": "within bar",
}

Call = Callable[[Ops], Tensor]
"""Calls one operator, on the same numbers each time."""


@dataclass(frozen=True, slots=True)
class Row:
    """Microseconds a call, medians; ``times``: how much sooner Triton's is done.

    ``error``: the furthest from PyTorch's operators in float32, relative to the largest number;
    ``torch_error``: the same of PyTorch's in the dtype.  ``ran``: on what Triton's ran.
    """

    kernel: str
    model: str
    rows: int
    dtype: str
    ran: str
    torch_us: float
    triton_us: float
    times: float
    error: float
    torch_error: float
    within_bar: bool


def tasks(bench: Bench) -> Iterator[Task]:
    """All kernels at the numbers of rows that tell most."""
    for model in bench.scale.models:
        for rows in bench.scale.first:
            for kernel in KERNELS:
                yield Task(
                    f"{kernel}, {model}, {rows} rows", partial(measure, bench, kernel, model, rows)
                )


@torch.inference_mode()
def measure(bench: Bench, kernel: str, model: str, rows: int) -> Row:
    """Compare, then time in turn."""
    loaded, dtype = bench.model(model), getattr(torch, bench.dtype)
    numbers = Numbers(bench.device, loaded, rows, bench.length(loaded), dtype)
    both = (TorchOps(), (triton := _triton(bench))[0])
    # Made anew for each, since some operators write.  In float32: what was rounded to the dtype.
    exact = KERNELS[kernel](numbers.in_float32())(both[0]).double()
    furthest = exact.abs().max()
    errors = [
        float((KERNELS[kernel](numbers)(ops).double() - exact).abs().max() / furthest)
        for ops in both
    ]
    calls = CALLS[bench.scale.size]
    runs = [_repeated(bench, partial(KERNELS[kernel](numbers), ops), calls) for ops in both]
    spent = [[run() for run in runs] for _ in range(bench.scale.repeats)]  # microseconds
    torch_us, triton_us = (median(times) for times in zip(*spent, strict=True))
    return Row(
        kernel=kernel,
        model=model,
        rows=rows,
        dtype=bench.dtype,
        ran=triton[1],
        torch_us=torch_us,
        triton_us=triton_us,
        times=torch_us / triton_us,
        error=errors[1],
        torch_error=errors[0],
        within_bar=errors[1] <= BAR[bench.dtype],  # nan is not
    )


@dataclass(frozen=True)
class Numbers:
    """What the operators are given: a model's sizes at so many rows, and random numbers."""

    device: torch.device
    model: VoxCPM
    rows: int
    length: int  # of a slot
    rounded: torch.dtype  # numbers are rounded to it,
    exact: bool = False  # and may be told in float32 for all that

    def in_float32(self) -> Numbers:
        """Return the same numbers, in float32."""
        return Numbers(self.device, self.model, self.rows, self.length, self.rounded, exact=True)

    def some(self, *shape: int, seed: int = 1) -> Tensor:
        """Normal noise in the dtype of the model."""
        noise = self.plain(*shape, seed=seed).to(self.rounded)  # shape
        return noise.float() if self.exact else noise

    def plain(self, *shape: int, seed: int = 1) -> Tensor:
        """Normal noise in float32."""
        generator = torch.Generator(self.device).manual_seed(seed)
        return torch.randn(shape, generator=generator, device=self.device)

    @property
    def tokens(self) -> int:
        """What a row of LocDiT sees."""
        return self.model.flow.lead + 2 * self.model.config.patch

    def at(self, *, spread: bool) -> Rows:
        """Return rows that stand one behind the other, each in a slot of its own or in one."""
        where = min(POSITION, self.length // 2)
        index = torch.arange(self.rows, device=self.device)
        positions = where + (torch.zeros_like(index) if spread else index)
        slots = index if spread else torch.zeros_like(index)
        span = where + 1 if spread else where + self.rows
        places = torch.arange(span, device=self.device)
        mask = (places <= positions[:, None])[:, None, None]  # [B, 1, 1, span]
        return Rows(slots, slots, slots, positions, slots, positions + 1, span, mask)


def _norm(numbers: Numbers, config: StackConfig, tokens: int) -> Call:
    shape = (numbers.rows, tokens, config.width)
    x, more = numbers.some(*shape), numbers.some(*shape, seed=2)
    weight = numbers.some(config.width, seed=3)
    return lambda ops: ops.add_norm(x, more, weight, config.epsilon)[1]


def _gate(numbers: Numbers, config: StackConfig, tokens: int) -> Call:
    gate_up = numbers.some(numbers.rows, tokens, 2 * config.inner)
    return lambda ops: ops.gated(gate_up)


def _base_norm(numbers: Numbers) -> Call:
    return _norm(numbers, numbers.model.config.base, 1)


def _base_gate(numbers: Numbers) -> Call:
    return _gate(numbers, numbers.model.config.base, 1)


def _dit_norm(numbers: Numbers) -> Call:
    return _norm(numbers, numbers.model.config.dit, 2 * numbers.tokens)


def _dit_gate(numbers: Numbers) -> Call:
    return _gate(numbers, numbers.model.config.dit, 2 * numbers.tokens)


def _dit_attention(numbers: Numbers) -> Call:
    stack = numbers.model.flow.stack
    qkv = numbers.some(2 * numbers.rows, numbers.tokens, _qkv(stack.heads))
    return lambda ops: ops.see_all(qkv, stack.heads, stack.rope, slice(None))


def _past(numbers: Numbers, *, spread: bool) -> Call:
    stack, heads = numbers.model.base, numbers.model.base.heads
    qkv = numbers.some(numbers.rows, _qkv(heads))
    slot = (heads.shared, numbers.length, heads.width)
    k, v = numbers.some(2, numbers.rows if spread else 1, *slot, seed=2)  # [S, KV, N, D] each
    rows = numbers.at(spread=spread)
    return lambda ops: ops.see_past(qkv, heads, stack.rope, k, v, rows)


def _base_attention(numbers: Numbers) -> Call:
    return _past(numbers, spread=True)


def _prompt_attention(numbers: Numbers) -> Call:
    return _past(numbers, spread=False)


def _line_up(numbers: Numbers) -> Call:
    flow, width = numbers.model.flow, numbers.model.config.dit.width
    told = flow.lead - flow.separate_time
    condition, time = numbers.some(numbers.rows, told, width), numbers.some(numbers.rows, width)
    past, frames = numbers.some(2, numbers.rows, flow.patch, width, seed=2)
    return lambda ops: ops.line_up(condition, time, past, frames, separate=flow.separate_time)


def _guide(numbers: Numbers) -> Call:
    shape = numbers.model.latent_shape
    x = numbers.plain(numbers.rows, *shape)
    velocity = numbers.some(2 * numbers.rows, *shape, seed=2)
    cfg, strides = torch.full((2, numbers.rows), CFG, device=numbers.device) / 8

    def call(ops: Ops) -> Tensor:
        ops.guide(x, velocity, cfg, strides)
        return x

    return call


def _noise(numbers: Numbers) -> Call:
    frames, channels = numbers.model.latent_shape
    seeds = torch.arange(numbers.rows, device=numbers.device) * 7_777_777
    draws: dict[type, Draw] = {}  # those of PyTorch hold tensors, which no graph can make

    def call(ops: Ops) -> Tensor:
        draw = draws.setdefault(type(ops), ops.noise(numbers.device))
        return draw(seeds, seeds % 11, channels, frames)

    return call


def _snake(numbers: Numbers) -> Call:
    vae = numbers.model.config.vae
    middle = len(vae.decoder_strides) // 2  # of the decoder's blocks
    channels = vae.decoder_width >> middle
    length = numbers.model.config.patch * prod(vae.decoder_strides[:middle])
    x = numbers.plain(numbers.rows, channels, length)
    alpha = 0.1 + numbers.plain(1, channels, 1, seed=2).abs()  # [1, C, 1]
    inverse = alpha.reciprocal()
    return lambda ops: ops.snake(x, alpha, inverse)


KERNELS: dict[str, Callable[[Numbers], Call]] = {
    "norm, LM": _base_norm,
    "gate, LM": _base_gate,
    "past": _base_attention,
    "past, one slot": _prompt_attention,
    "norm, LocDiT": _dit_norm,
    "gate, LocDiT": _dit_gate,
    "tokens that see all": _dit_attention,
    "tokens of LocDiT": _line_up,
    "guidance": _guide,
    "noise": _noise,
    "snake": _snake,
}


def _qkv(heads: Heads) -> int:
    return (heads.own + 2 * heads.shared) * heads.width


def _triton(bench: Bench) -> tuple[Ops, str]:
    """Return Triton's operators, and what they run on."""
    if not bench.on_gpu and not (os.environ.get("TRITON_INTERPRET") and find_spec("triton")):
        return TorchOps(), "torch in its place"
    from voxcpm_openai.runtime.kernels.ops import TritonOps

    return TritonOps(), "GPU" if bench.on_gpu else "interpreter"


def _repeated(bench: Bench, call: Callable[[], Tensor], calls: int) -> Callable[[], float]:
    """Return what calls it so often, at once, and returns the microseconds of each call."""

    def every() -> None:
        for _ in range(calls):
            call()

    capture = bench.capture()
    run = every if capture is None else capture(every)

    def timed() -> float:
        run()  # so that the device is awake
        begun = bench.mark()
        run()
        ended = bench.mark()
        bench.synchronize()
        return begun.until(ended) * 1e3 / calls

    return timed
